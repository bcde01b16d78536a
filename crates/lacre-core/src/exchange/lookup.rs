//! The step from the store to the network: whether what was found may be used (RFC 9111 §4).

use super::{Decision, Exchange, Pending};
use crate::directives::MaxStale;
use crate::hit::Hit;
use crate::key::Facet;
use crate::policy::Validation;
use crate::rules::{self, Freshness, Standing};
use crate::validate::{self, Conditions};
use crate::{
    CacheStatus, Detail, Entry, Forward, HitKind, Key, Mode, Slot, StoredBody, Timestamp, range, vary,
};
use http::{HeaderValue, Method, StatusCode, header};

/// How many aliases are followed: one, and no loops.
const MAX_ALIASES: u8 = 1;

/// Where an answer may lie, in the order in which it is looked for. All but the first need a signpost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Under the key of the request itself.
    Own,
    /// Among the variants (§4.1).
    Variant,
    /// Among the parts: the answer to the same `Range`.
    Part,
    /// The part that was stored last: it may hold what is asked for.
    LatestPart,
    /// The variant in the language that the request prefers.
    Language,
}

impl Place {
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

/// Waits for what the store holds under [`key`](Lookup::key).
#[derive(Debug)]
pub struct Lookup(Box<Exchange>);

impl Lookup {
    pub(super) fn new(exchange: Box<Exchange>) -> Self {
        Self(exchange)
    }

    /// Where to look.
    pub fn key(&self) -> &Key {
        &self.0.at
    }

    /// What of `entry` would answer the request, were it served: for callers that read ahead.
    pub fn would_serve<B: StoredBody>(&self, entry: &Entry<B>, now: Timestamp) -> HitKind {
        let Self(exchange) = self;
        exchange.hit_kind(entry, &Conditions::of(&exchange.request), now)
    }

    /// Takes what was found; `None` where nothing was, or nothing that could be trusted.
    pub fn found<B: StoredBody>(self, slot: Option<Slot<B>>, now: Timestamp) -> Decision<B> {
        let Self(mut exchange) = self;
        exchange.sent = now;
        match slot {
            Some(Slot::Alias(key)) if exchange.aliases < MAX_ALIASES => {
                exchange.aliases += 1;
                exchange.at = key;
                Decision::Lookup(Self(exchange))
            }
            Some(Slot::Vary(signpost)) if exchange.rows.current().signpost.is_none() => {
                exchange.rows.found(signpost);
                exchange.look_further()
            }
            Some(Slot::Entry(entry)) if exchange.is_selected(&entry) => exchange.judge(entry, now),
            _ => exchange.look_further(),
        }
    }
}

impl Exchange {
    fn look_further<B>(mut self: Box<Self>) -> Decision<B> {
        while let Some(place) = self.place.next() {
            self.place = place;
            if let Some(key) = self.key_of(place) {
                self.at = key;
                return Decision::Lookup(Lookup(self));
            }
        }
        if let Some(key) = self.rows.advance() {
            (self.at, self.place, self.aliases) = (key, Place::Own, 0);
            return Decision::Lookup(Lookup(self));
        }
        self.miss()
    }

    /// Where to look in a place; `None` where nothing can be there for this request.
    fn key_of(&self, place: Place) -> Option<Key> {
        let row = self.rows.current();
        let names = &row.signpost.as_ref()?.names;
        let key = |facet| self.variant(&row.key, names, facet);
        match place {
            Place::Own => Some(row.key),
            // A whole response that varies by nothing lies in its own place.
            Place::Variant => (!names.is_empty()).then(|| key(Facet::Whole)),
            Place::Part => self.range().map(|range| key(Facet::Part(range.as_bytes()))),
            Place::LatestPart => self.range().map(|_| key(Facet::LatestPart)),
            Place::Language if !names.contains(&header::ACCEPT_LANGUAGE) => None,
            Place::Language => {
                let language = vary::preferred_language(&self.request.headers)?;
                Some(key(Facet::Language(&language)))
            }
        }
    }

    fn range(&self) -> Option<&HeaderValue> {
        range::asked(&self.request)
    }

    /// Whether what was found is an answer to this request at all, fresh or not.
    fn is_selected<B: StoredBody>(&self, entry: &Entry<B>) -> bool {
        // A variant older than its signpost belongs to an earlier one that was invalidated.
        let signpost = self.rows.current().signpost.as_ref();
        let current = signpost.is_none_or(|signpost| entry.received >= signpost.since);
        let cookie_fits = !self.rows.are_for_any_cookie() || rules::has_lifetime(self.policy(), entry);
        let fits = match (self.place, entry.status) {
            (_, StatusCode::PARTIAL_CONTENT) => {
                Conditions::of(&self.request).lie_within(entry, entry.body.length())
            }
            // The alias may be older than what it leads to.
            (Place::Language, _) => {
                vary::content_language(&entry.headers) == vary::preferred_language(&self.request.headers)
            }
            _ => true,
        };
        current && cookie_fits && fits
    }

    fn miss<B>(mut self: Box<Self>) -> Decision<B> {
        let row = self.rows.likeliest();
        let names = row.signpost.as_ref().map(|signpost| &*signpost.names);
        let forward = match names {
            None => self.missed.unwrap_or(Forward::UriMiss),
            Some([]) => Forward::Partial,
            Some(_) => Forward::VaryMiss,
        };
        if let Some(own) = self.own_head.take() {
            (self.at, self.place, self.aliases) = (own.current().key, Place::Own, 0);
            (self.rows, self.missed) = (own, Some(forward));
            return Decision::Lookup(Lookup(self));
        }
        self.at = match (self.range(), names.unwrap_or_default()) {
            (Some(range), names) => self.variant(&row.key, names, Facet::Part(range.as_bytes())),
            (None, []) => row.key,
            (None, names) => self.variant(&row.key, names, Facet::Whole),
        };
        let status = CacheStatus::forwarded(forward);
        if self.said.only_if_cached {
            return Decision::Refuse(status);
        }
        Decision::Send(Pending::fetch(self, status))
    }

    /// §4: whether the stored response may be used, by its freshness and by what the request accepts.
    fn judge<B: StoredBody>(self: Box<Self>, entry: Box<Entry<B>>, now: Timestamp) -> Decision<B> {
        let policy = self.policy();
        if self.options.mode == Mode::ForceRefresh {
            let status = CacheStatus::forwarded(Forward::Request);
            // An answer to HEAD cannot replace the stored answer to GET. It says whether that one still holds (§4.3.5).
            if self.request.method == Method::HEAD && entry.method != Method::HEAD {
                return Decision::Send(Pending::validate(self, entry, status, None));
            }
            let outdated = Some(self.at);
            return Decision::Send(Pending::fetch_instead(self, status, outdated));
        }
        let standing = Standing::of(policy, &entry, now);
        let freshness = standing.freshness;
        let must_validate = self.said.no_cache
            || standing.validated_at_every_use()
            || (policy.validation == Validation::Always && validate::has_validator(&entry.headers));
        if !must_validate {
            let young_enough = self.said.max_age.is_none_or(|limit| freshness.age <= limit)
                && self.said.min_fresh.is_none_or(|least| freshness.remaining() >= least);
            if freshness.is_fresh() && young_enough {
                return Decision::Serve(self.serve(entry, &standing, None, now));
            }
            if self.accepts_stale(&freshness) && standing.may_be_stale(policy) {
                return Decision::Serve(self.serve(entry, &standing, Some(Detail::MaxStale), now));
            }
            if young_enough && standing.stale_while_revalidate(policy) {
                let stale = self.serve(entry.clone(), &standing, Some(Detail::StaleWhileRevalidate), now);
                return Decision::Refresh(stale, self.ask_origin(entry, &freshness));
            }
        }
        if self.said.only_if_cached {
            return Decision::Refuse(CacheStatus::forwarded(Forward::Stale));
        }
        Decision::Send(self.ask_origin(entry, &freshness))
    }

    /// §5.2.1.2, within §5.2.1.1 and §5.2.1.3: whether the request accepts a response this stale.
    fn accepts_stale(&self, freshness: &Freshness) -> bool {
        if self.said.min_fresh.is_some() {
            return false;
        }
        let beyond = match self.said.max_age {
            Some(limit) => freshness.age.saturating_sub(limit),
            None => freshness.staleness(),
        };
        match self.said.max_stale {
            None => false,
            Some(MaxStale::Any) => true,
            Some(MaxStale::For(limit)) => beyond.max(freshness.staleness()) <= limit,
        }
    }

    fn serve<B: StoredBody>(
        &self,
        entry: Box<Entry<B>>,
        standing: &Standing,
        detail: Option<Detail>,
        now: Timestamp,
    ) -> Hit<B> {
        let freshness = standing.freshness;
        let status = CacheStatus { ttl: freshness.ttl(), detail, ..CacheStatus::default() };
        let withheld = self.withheld(standing, &entry.headers);
        Hit { withheld, ..self.hit(entry, &Conditions::of(&self.request), status, freshness, now) }
    }

    /// Turns the request into a validation of `entry` (§4.3.1), where it can be validated.
    fn ask_origin<B>(mut self: Box<Self>, entry: Box<Entry<B>>, freshness: &Freshness) -> Pending<B> {
        let forward = if freshness.is_fresh() { Forward::Request } else { Forward::Stale };
        let status = CacheStatus { ttl: freshness.ttl(), ..CacheStatus::forwarded(forward) };
        let mut conditions = None;
        if validate::has_validator(&entry.headers) {
            conditions = Some(Conditions::of(&self.request));
            validate::make_conditional(&mut self.request.headers, &entry);
        }
        Pending::validate(self, entry, status, conditions)
    }
}
