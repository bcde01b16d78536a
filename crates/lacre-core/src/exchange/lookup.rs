//! The step from the store to the network: whether what was found may be used (RFC 9111 §4).

use super::{Decision, Exchange, Pending};
use crate::directives::MaxStale;
use crate::hit::Hit;
use crate::policy::Validation;
use crate::rules::{Freshness, Standing};
use crate::validate::{self, Conditions};
use crate::{CacheStatus, Detail, Entry, Forward, Key, Mode, Slot, StoredBody, Timestamp};

/// How many aliases are followed: one for a redirect of keys, and no loops.
const MAX_ALIASES: u8 = 1;

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
            Some(Slot::Vary(signpost)) if exchange.signpost.is_none() => {
                exchange.at = exchange.variant(&signpost);
                exchange.signpost = Some(signpost);
                Decision::Lookup(Self(exchange))
            }
            Some(Slot::Entry(entry)) if exchange.is_current(&entry) => exchange.judge(entry, now),
            _ => exchange.miss(),
        }
    }
}

impl Exchange {
    /// A variant older than its signpost belongs to an earlier one that was invalidated.
    fn is_current<B>(&self, entry: &Entry<B>) -> bool {
        self.signpost.as_ref().is_none_or(|signpost| entry.received >= signpost.since)
    }

    fn miss<B>(self: Box<Self>) -> Decision<B> {
        let forward = if self.signpost.is_some() { Forward::VaryMiss } else { Forward::UriMiss };
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
            return Decision::Send(Pending::fetch(self, status));
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
                return Decision::Serve(self.serve(entry, freshness, None, now));
            }
            if self.accepts_stale(&freshness) && standing.may_be_stale(policy) {
                return Decision::Serve(self.serve(entry, freshness, Some(Detail::MaxStale), now));
            }
            if young_enough && standing.stale_while_revalidate(policy) {
                let stale = self.serve(entry.clone(), freshness, Some(Detail::StaleWhileRevalidate), now);
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
        freshness: Freshness,
        detail: Option<Detail>,
        now: Timestamp,
    ) -> Hit<B> {
        let status = CacheStatus { ttl: freshness.ttl(), detail, ..CacheStatus::default() };
        self.hit(entry, &Conditions::of(&self.request.headers), status, freshness, now)
    }

    /// Turns the request into a validation of `entry` (§4.3.1), where it can be validated.
    fn ask_origin<B>(mut self: Box<Self>, entry: Box<Entry<B>>, freshness: &Freshness) -> Pending<B> {
        let forward = if freshness.is_fresh() { Forward::Request } else { Forward::Stale };
        let status = CacheStatus { ttl: freshness.ttl(), ..CacheStatus::forwarded(forward) };
        let mut conditions = None;
        if validate::has_validator(&entry.headers) {
            conditions = Some(Conditions::of(&self.request.headers));
            validate::make_conditional(&mut self.request.headers, &entry);
        }
        Pending::validate(self, entry, status, conditions)
    }
}
