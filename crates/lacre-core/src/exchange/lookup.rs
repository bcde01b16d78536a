//! Lookup: the step from the store to the network. It decides whether a stored response may be used
//! (RFC 9111 §4).

use super::pending::SentConditions;
use super::{Decision, Exchange, Pending};
use crate::directives::MaxStale;
use crate::entry_state::EntryState;
use crate::freshness::{self, Freshness};
use crate::hit::Hit;
use crate::identity::VariantKind;
use crate::policy::Validation;
use crate::validate;
use crate::{CacheStatus, Detail, Entry, Forward, HitKind, Key, Mode, Slot, StoredBody, Timestamp, vary};
use http::{HeaderValue, Method, StatusCode, header};

/// The number of aliases that are followed. One alias cannot form a loop.
const MAX_ALIASES: u8 = 1;

/// A kind of record that may answer a request, in the order of lookup. All but the first need a
/// [`VariantIndex`](crate::VariantIndex).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Candidate {
    /// The record under the key of the request itself.
    Own,
    /// The variant that the request headers select (§4.1).
    Variant,
    /// The part that answered the same `Range`.
    Part,
    /// The part that was stored last. It may contain the requested range.
    LatestPart,
    /// The variant in the language that the request prefers.
    Language,
}

impl Candidate {
    fn next(self) -> Option<Self> {
        match self {
            Self::Own => Some(Self::Variant),
            Self::Variant => Some(Self::Part),
            Self::Part => Some(Self::LatestPart),
            Self::LatestPart => Some(Self::Language),
            Self::Language => None,
        }
    }
}

/// Waits for the record that the store holds under [`key`](Lookup::key).
#[derive(Debug)]
pub struct Lookup(Box<Exchange>);

impl Lookup {
    pub(super) fn new(exchange: Box<Exchange>) -> Self {
        Self(exchange)
    }

    /// The key to look up.
    pub fn key(&self) -> &Key {
        &self.0.at
    }

    /// Returns the kind of hit that `entry` would be, for callers that read ahead.
    pub fn would_serve<B: StoredBody>(&self, entry: &Entry<B>, now: Timestamp) -> HitKind {
        let Self(exchange) = self;
        exchange.hit_kind(entry, now)
    }

    /// Takes the record that was found. Pass `None` if there is none or it is not authentic.
    pub fn found<B: StoredBody>(self, slot: Option<Slot<B>>, now: Timestamp) -> Decision<B> {
        let Self(mut exchange) = self;
        exchange.sent = now;
        match slot {
            Some(Slot::Alias(key)) if exchange.aliases < MAX_ALIASES => {
                exchange.aliases += 1;
                exchange.at = key;
                Decision::Lookup(Self(exchange))
            }
            Some(Slot::Vary(index)) if exchange.rows.current().index.is_none() => {
                exchange.rows.found(index);
                exchange.next_candidate()
            }
            Some(Slot::Entry(entry)) if exchange.is_selected(&entry) => exchange.evaluate(entry, now),
            _ => exchange.next_candidate(),
        }
    }
}

impl Exchange {
    fn next_candidate<B>(mut self: Box<Self>) -> Decision<B> {
        while let Some(candidate) = self.candidate.next() {
            self.candidate = candidate;
            if let Some(key) = self.key_of(candidate) {
                self.at = key;
                return Decision::Lookup(Lookup(self));
            }
        }
        if let Some(key) = self.rows.advance() {
            (self.at, self.candidate, self.aliases) = (key, Candidate::Own, 0);
            return Decision::Lookup(Lookup(self));
        }
        self.miss()
    }

    /// Returns the key of a candidate, or `None` if there cannot be one for this request.
    fn key_of(&self, candidate: Candidate) -> Option<Key> {
        let row = self.rows.current();
        let names = &row.index.as_ref()?.names;
        let key = |kind| self.variant(&row.key, names, kind);
        match candidate {
            Candidate::Own => Some(row.key),
            // A complete response that does not vary is stored under the row key itself.
            Candidate::Variant => (!names.is_empty()).then(|| key(VariantKind::Whole)),
            Candidate::Part => self.range().map(|range| key(VariantKind::Part(range.as_bytes()))),
            Candidate::LatestPart => self.range().map(|_| key(VariantKind::LatestPart)),
            Candidate::Language if !names.contains(&header::ACCEPT_LANGUAGE) => None,
            Candidate::Language => {
                let language = vary::preferred_language(&self.request.headers)?;
                Some(key(VariantKind::Language(&language)))
            }
        }
    }

    fn range(&self) -> Option<&HeaderValue> {
        self.conditions.range_field()
    }

    /// §4.1: whether the stored response was selected by this request, whether fresh or not.
    fn is_selected<B: StoredBody>(&self, entry: &Entry<B>) -> bool {
        // A variant older than its index belongs to an earlier index, which was invalidated.
        let index = self.rows.current().index.as_ref();
        let current = index.is_none_or(|index| entry.received >= index.since);
        let cookie_fits = !self.rows.is_shared_by_cookies() || freshness::has_lifetime(self.policy(), entry);
        let fits = match (self.candidate, entry.status) {
            (_, StatusCode::PARTIAL_CONTENT) => self.conditions.are_within(entry, entry.body.length()),
            // The alias may be older than the response it leads to.
            (Candidate::Language, _) => {
                vary::content_language(&entry.headers) == vary::preferred_language(&self.request.headers)
            }
            _ => true,
        };
        current && cookie_fits && fits
    }

    fn miss<B>(mut self: Box<Self>) -> Decision<B> {
        let row = self.rows.expected();
        let names = row.index.as_ref().map(|index| &*index.names);
        let forward = match names {
            None => self.get_miss.unwrap_or(Forward::UriMiss),
            Some([]) => Forward::Partial,
            Some(_) => Forward::VaryMiss,
        };
        if let Some(own) = self.own_head.take() {
            (self.at, self.candidate, self.aliases) = (own.current().key, Candidate::Own, 0);
            (self.rows, self.get_miss) = (own, Some(forward));
            return Decision::Lookup(Lookup(self));
        }
        self.at = match (self.range(), names.unwrap_or_default()) {
            (Some(range), names) => self.variant(&row.key, names, VariantKind::Part(range.as_bytes())),
            (None, []) => row.key,
            (None, names) => self.variant(&row.key, names, VariantKind::Whole),
        };
        let status = CacheStatus::forwarded(forward);
        if self.directives.only_if_cached {
            return Decision::Refuse(status);
        }
        Decision::Send(Pending::fetch(self, status))
    }

    /// §4: whether the stored response may be used. The decision depends on its freshness and on
    /// the request's directives.
    fn evaluate<B: StoredBody>(self: Box<Self>, entry: Box<Entry<B>>, now: Timestamp) -> Decision<B> {
        let policy = self.policy();
        if self.options.mode == Mode::ForceRefresh {
            let status = CacheStatus::forwarded(Forward::Request);
            // An answer to HEAD cannot replace the stored answer to GET, but tells whether it is
            // still valid (§4.3.5).
            if self.request.method == Method::HEAD && entry.method != Method::HEAD {
                return Decision::Send(Pending::validate(self, entry, status, SentConditions::Client));
            }
            let outdated = Some(self.at);
            return Decision::Send(Pending::fetch_instead(self, status, outdated));
        }
        let state = EntryState::of(policy, &entry, now);
        let freshness = state.freshness;
        let must_validate = self.directives.no_cache
            || state.must_validate()
            || (policy.validation == Validation::Always && validate::has_validator(&entry.headers));
        if !must_validate {
            let young_enough = self.directives.max_age.is_none_or(|limit| freshness.age <= limit)
                && self.directives.min_fresh.is_none_or(|least| freshness.remaining() >= least);
            if freshness.is_fresh() && young_enough {
                return Decision::Serve(self.serve(entry, &state, None, now));
            }
            if self.accepts_stale(&freshness) && state.may_be_used_stale(policy) {
                return Decision::Serve(self.serve(entry, &state, Some(Detail::MaxStale), now));
            }
            if young_enough && state.stale_while_revalidate(policy) {
                let stale = self.serve(entry.clone(), &state, Some(Detail::StaleWhileRevalidate), now);
                return Decision::Refresh(stale, self.revalidate(entry, &freshness));
            }
        }
        if self.directives.only_if_cached {
            return Decision::Refuse(CacheStatus::forwarded(Forward::Stale));
        }
        Decision::Send(self.revalidate(entry, &freshness))
    }

    /// §5.2.1.2: with `max-stale`, a client accepts a stale response, by at most that many seconds
    /// if there is a value. `max-age` (§5.2.1.1) and `min-fresh` (§5.2.1.3) still apply.
    fn accepts_stale(&self, freshness: &Freshness) -> bool {
        if self.directives.min_fresh.is_some() {
            return false;
        }
        let beyond = match self.directives.max_age {
            Some(limit) => freshness.age.saturating_sub(limit),
            None => freshness.staleness(),
        };
        match self.directives.max_stale {
            None => false,
            Some(MaxStale::Any) => true,
            Some(MaxStale::For(limit)) => beyond.max(freshness.staleness()) <= limit,
        }
    }

    fn serve<B: StoredBody>(
        &self,
        entry: Box<Entry<B>>,
        state: &EntryState,
        detail: Option<Detail>,
        now: Timestamp,
    ) -> Hit<B> {
        let freshness = state.freshness;
        let status = CacheStatus { ttl: freshness.ttl(), detail, ..CacheStatus::default() };
        let withheld = self.withheld(state, &entry.headers);
        Hit { withheld, ..self.hit(entry, status, freshness, now) }
    }

    /// §4.3.1: makes the request conditional if `entry` has a validator.
    fn revalidate<B>(mut self: Box<Self>, entry: Box<Entry<B>>, freshness: &Freshness) -> Pending<B> {
        let forward = if freshness.is_fresh() { Forward::Request } else { Forward::Stale };
        let status = CacheStatus { ttl: freshness.ttl(), ..CacheStatus::forwarded(forward) };
        let mut sent = SentConditions::Client;
        if validate::has_validator(&entry.headers) {
            validate::make_conditional(&mut self.request.headers, &entry);
            sent = SentConditions::Cache;
        }
        Pending::validate(self, entry, status, sent)
    }
}
