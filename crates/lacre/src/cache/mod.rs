//! The cache: the engine of `lacre-core`, driven over sealed storage. [`Cache::ask`] comes before
//! the network, [`Cache::settle`] after it. The cache never opens a socket: a driver sends the
//! requests.

mod builder;
mod exchange;

pub use builder::Builder;
pub use exchange::{CacheInfo, Reply, Settlement, Ticket};

use crate::body::in_flight::{BodySource, InFlight};
use crate::body::{Body, Recording, plan_for};
use crate::clock::MonotonicTime;
use crate::storage::loaded::LoadedEntry;
use crate::storage::reseal::SuiteChoice;
use crate::storage::{OnTamper, Pass, Storage};
use crate::{Error, ErrorKind, Event};
use exchange::refusal;
use http::request;
use lacre_core::{
    CacheStatus, Decision, Detail, Engine, Hit, Key, LastFailure, Lookup, Outcome, RequestBody, Settled,
    Slot, Timestamp, Touch,
};
use lacre_seal::{KeyId, SealInfo};
use std::sync::Arc;

/// An HTTP cache that seals what it stores. Cheap to clone; clones are the same cache.
///
/// A driver asks, sends what it is told to send, and settles:
///
/// ```
/// use lacre::{Answer, Cache, Outcome, RequestBody, Settlement, store::Memory};
///
/// # lacre::wait(async {
/// let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
/// let request = || http::Request::get("http://example.com/").body(()).unwrap().into_parts().0;
///
/// let Answer::Send(ticket) = cache.ask(request(), RequestBody::Seen(b"")).await? else {
///     panic!("nothing is stored yet")
/// };
/// // Here the driver sends `ticket.request()` and gets:
/// let response = http::Response::builder().header("cache-control", "max-age=60").body("hello");
/// let response = response.unwrap();
/// let (head, body) = response.into_parts();
/// let Settlement::Network { keep: Some(mut recording), .. } =
///     cache.settle(ticket, Outcome::Response(&head)).await?
/// else {
///     panic!("it may be stored")
/// };
/// recording.write(body.as_bytes()).await;
/// recording.finish().await;
///
/// let Answer::Hit(reply) = cache.ask(request(), RequestBody::Seen(b"")).await? else {
///     panic!("it is stored now")
/// };
/// assert_eq!(reply.info.status.to_string(), "lacre; hit; ttl=60");
/// assert_eq!(reply.response.into_body().bytes().await?, "hello");
/// # Ok::<(), lacre::Error>(())
/// # })?;
/// # Ok::<(), lacre::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cache {
    pub(crate) engine: Arc<Engine>,
    pub(crate) storage: Storage,
    reseal_on_read: bool,
}

/// The cache's answer to a request.
#[derive(Debug)]
pub enum Answer {
    /// Answer the request with this stored response.
    Hit(Reply),
    /// Answer the request with this stored response, and send the ticket's request in the
    /// background.
    Refresh(Reply, Ticket),
    /// Send the ticket's request, and settle the outcome.
    Send(Ticket),
    /// Answer the request with this 504: it must be answered from the cache (`only-if-cached`),
    /// which cannot.
    Refuse(Reply),
}

/// The outcome of a lookup in the store.
enum Found {
    Slot(Slot<BodySource>),
    /// Nothing usable, with the failure that the status shows.
    Nothing(Option<Detail>),
}

impl Cache {
    /// A builder, with defaults for everything but the store and the key.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The caching rules.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The ids of the keyring's keys, the primary key first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.storage.vault.sealer.keyring().key_ids()
    }

    /// Asks what to do with a request. Its extensions may contain
    /// [`RequestOptions`](lacre_core::RequestOptions).
    ///
    /// # Errors
    /// A seal does not hold, with [`OnTamper::Raise`]; or the store fails, with
    /// [`OnStoreFailure::Raise`](crate::OnStoreFailure::Raise).
    pub async fn ask(&self, request: request::Parts, body: RequestBody<'_>) -> Result<Answer, Error> {
        self.decide(request, body, None).await
    }

    /// Asks as if a response in flight were stored already.
    pub(crate) async fn ask_with_in_flight(
        &self,
        request: request::Parts,
        body: RequestBody<'_>,
        in_flight: &InFlight,
    ) -> Result<Answer, Error> {
        self.decide(request, body, Some(in_flight)).await
    }

    async fn decide(
        &self,
        request: request::Parts,
        body: RequestBody<'_>,
        in_flight: Option<&InFlight>,
    ) -> Result<Answer, Error> {
        let (since, now) = (MonotonicTime::now(), self.storage.now());
        let mut decision = self.engine.begin(request, body, now);
        let mut failure = None;
        loop {
            decision = match decision {
                Decision::Lookup(lookup) => match self.lookup(&lookup, in_flight, now).await? {
                    Found::Slot(slot) => lookup.found(Some(slot), now),
                    Found::Nothing(None) => lookup.found(None, now),
                    Found::Nothing(Some(Detail::Tampered))
                        if self.storage.on_tamper == OnTamper::FailClosed =>
                    {
                        let mut status = CacheStatus::default();
                        status.detail = Some(Detail::Tampered);
                        return Ok(Answer::Refuse(refusal(status)));
                    }
                    Found::Nothing(met) => {
                        failure = met;
                        lookup.found(None, now)
                    }
                },
                Decision::Serve(hit) => return Ok(Answer::Hit(self.reply(hit, failure))),
                Decision::Refresh(hit, pending) => {
                    let ticket = Ticket { pending, failure, since };
                    return Ok(Answer::Refresh(self.reply(hit, failure), ticket));
                }
                Decision::Send(pending) => {
                    if let Some(key) = pending.key() {
                        let reason = pending.status().forward.map_or("", lacre_core::Forward::as_str);
                        self.storage.observer.on_event(Event::Miss { key, reason });
                    }
                    return Ok(Answer::Send(Ticket { pending, failure, since }));
                }
                Decision::Refuse(status) => return Ok(Answer::Refuse(refusal(status))),
            };
        }
    }

    /// Takes the outcome of a ticket's request.
    ///
    /// # Errors
    /// The store fails, with [`OnStoreFailure::Raise`](crate::OnStoreFailure::Raise).
    pub async fn settle(&self, ticket: Ticket, outcome: Outcome<'_>) -> Result<Settlement, Error> {
        let now = self.storage.now();
        let Ticket { pending, failure, since } = ticket;
        let key = pending.key().copied();
        match pending.settle(outcome, now) {
            Settled::Network { insert: keep, touch, remove: forget, status, not_modified: instead } => {
                self.storage.tolerate(self.storage.remove_all(&forget, now).await)?;
                self.write_back(touch, now).await?;
                // A response with `Vary` is stored under the key of its variant.
                let key = keep.as_ref().map(|keep| keep.key).or(key);
                let info =
                    CacheInfo { status, key, stored_at: keep.as_ref().map(|_| now) }.with_failure(failure);
                // A store that did not answer the lookup is not written to.
                let (keep, info) = match failure {
                    Some(Detail::StoreUnavailable) => (None, info.unstored(Detail::StoreUnavailable)),
                    _ => (keep, info),
                };
                let keep = keep.map(|keep| Recording::new(self.storage.clone(), keep));
                Ok(Settlement::Network { keep, info, instead })
            }
            Settled::Stored { hit, touch } => {
                let missing = self.write_back(touch, now).await?;
                let mut reply = self.reply(hit, failure);
                if missing.is_some() {
                    (reply.info.status.stored, reply.info.status.detail) = (lacre_core::Stored::No, missing);
                    reply.response.extensions_mut().insert(reply.info);
                }
                Ok(Settlement::Stored(reply))
            }
            Settled::Resend(pending) => Ok(Settlement::Resend(Ticket { pending, failure, since })),
            Settled::Failed(status) => {
                Ok(Settlement::Failed(CacheInfo { status, key, stored_at: None }.with_failure(failure)))
            }
        }
    }

    /// Whether the stored response may answer a ticket's request in place of an origin that failed
    /// a moment ago (RFC 5861 §4).
    pub(crate) fn can_stand_in(&self, ticket: &Ticket, failed: LastFailure) -> bool {
        ticket.pending.may_serve_stale(failed, self.storage.now())
    }

    /// The stored response, if it [may stand in](Self::can_stand_in).
    pub(crate) fn stand_in(&self, ticket: &Ticket, failed: LastFailure) -> Option<Reply> {
        let hit = ticket.pending.stale_response(failed, self.storage.now())?;
        Some(self.reply(hit, ticket.failure))
    }

    async fn lookup(
        &self,
        lookup: &Lookup,
        in_flight: Option<&InFlight>,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let key = lookup.key();
        if let Some(slot) = in_flight.and_then(|in_flight| in_flight.slot(key)) {
            return Ok(Found::Slot(slot));
        }
        // The plan reads the start of a large body, so that tampering shows before any of it is
        // returned.
        let plan = |entry: &_| plan_for(lookup.would_serve(entry, now));
        let error = match self.storage.vault.find(key, plan, now).await {
            Ok(Some(LoadedEntry { slot, seal, .. })) => {
                self.reseal_on_read(key, &slot, &seal, now).await?;
                return Ok(Found::Slot(slot));
            }
            Ok(None) => return Ok(Found::Nothing(None)),
            Err(error) => error,
        };
        // Boxed to keep the future of a hit small.
        Box::pin(self.on_read_error(key, error)).await
    }

    /// Turns a record that could not be read into a miss, unless the settings say otherwise.
    async fn on_read_error(&self, key: &Key, error: Error) -> Result<Found, Error> {
        match error.kind() {
            ErrorKind::Store(_) => {
                self.storage.tolerate(Err(error))?;
                Ok(Found::Nothing(Some(Detail::StoreUnavailable)))
            }
            ErrorKind::Tampered | ErrorKind::Broken => {
                self.storage.observer.on_event(Event::Refused { key, error: &error });
                match self.storage.on_tamper {
                    OnTamper::Raise => {
                        return Err(self.storage.vault.with_record_name(key, error).await);
                    }
                    OnTamper::Refetch => {
                        self.storage.tolerate(self.storage.quarantine_if_writable(key).await)?;
                    }
                    OnTamper::FailClosed => {}
                }
                Ok(Found::Nothing(Some(Detail::Tampered)))
            }
            ErrorKind::Lapsed => Ok(Found::Nothing(None)),
            _ => {
                self.storage.observer.on_event(Event::Refused { key, error: &error });
                Ok(Found::Nothing(None))
            }
        }
    }

    async fn reseal_on_read(
        &self,
        key: &Key,
        slot: &Slot<BodySource>,
        seal: &SealInfo,
        now: Timestamp,
    ) -> Result<(), Error> {
        let vault = &self.storage.vault;
        if !self.reseal_on_read || self.storage.read_only || vault.is_sealed_as_now(seal) {
            return Ok(());
        }
        if let Slot::Entry(entry) = slot
            && let BodySource::Stored(handle) = &entry.body
            && handle.head.chunks > 0
        {
            return Ok(());
        }
        let resealed = Box::pin(vault.reseal(key, Pass::Real, SuiteChoice::Change, now)).await;
        self.storage.tolerate(resealed.map(drop))
    }

    /// Writes new headers of a stored response, and returns why they could not be written.
    async fn write_back(
        &self,
        touch: Option<Touch<BodySource>>,
        now: Timestamp,
    ) -> Result<Option<Detail>, Error> {
        let Some(Touch { key, entry, sensitivity, retain_until }) = touch else { return Ok(None) };
        // A response in flight is written when it is complete.
        let BodySource::Stored(handle) = entry.body.clone() else { return Ok(None) };
        let touch = Touch { key, entry: Box::new(entry.with_body(handle)), sensitivity, retain_until };
        let written = self.storage.vault.touch(touch, now).await;
        let missing = written.is_err().then_some(Detail::StoreUnavailable);
        self.storage.tolerate(written)?;
        Ok(missing)
    }

    fn reply(&self, hit: Hit<BodySource>, failure: Option<Detail>) -> Reply {
        self.storage.observer.on_event(Event::Hit { key: hit.key() });
        let info =
            CacheInfo { status: hit.status(), key: Some(*hit.key()), stored_at: Some(hit.entry().received) };
        let (key, portion) = (*hit.key(), hit.kind());
        let (parts, source) = hit.into_response();
        exchange::reply(parts, Body::of(&self.storage, key, source, portion), info.with_failure(failure))
    }
}
