//! The cache: the engine of `lacre-core`, driven over a store of sealed records. [`Cache::ask`] before the network,
//! [`Cache::settle`] after it; everything else here is for looking after what is stored.
//!
//! It never touches a socket: whoever sends requests drives it.

mod anchor;
mod audit;
mod body;
mod builder;
mod check;
mod lease;
mod listing;
mod namespaces;
mod owed;
mod passing;
mod quarantine;
mod recording;
mod reseal;
mod resume;
mod rollback;
mod selection;
mod sweep;
mod tier;
mod transfer;
mod vault;
#[cfg(test)]
mod vectors;
mod whole;

pub use anchor::{AnchorWritten, Anchored, Change, Finding};
pub use audit::Audited;
pub use body::Body;
pub use builder::{Builder, OnStoreFailure, OnTamper};
pub(crate) use lease::{Held, Lease};
pub use listing::{Listed, RecordKind, Stored};
pub use passing::Recorded;
pub(crate) use passing::{Begun, Glimpse, UnderWay};
pub use quarantine::Quarantined;
pub use recording::Recording;
use reseal::Suites;
pub use reseal::{Pass, Resealed, ResealedRow, Resealing};
pub(crate) use resume::{OwnAnswer, Resume};
pub use selection::{Selected, Selection};
pub(crate) use transfer::broken_off;

use crate::clock::MonotonicTime;
use crate::codec::BodyHead;
use crate::{Clock, Error, ErrorKind, Event, Observer, StoreErrorKind};
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header, request, response};
use lacre_core::{
    CacheStatus, Decision, Detail, Engine, Hit, Key, LastFailure, Lookup, Outcome, Pending, RequestBody,
    Settled, Slot, Timestamp, Touch,
};
use lacre_seal::{KeyId, SealInfo};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use vault::{Handle, Loaded, Vault, missing_chunk};

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
/// let Answer::Send(ticket) = cache.ask(request(), RequestBody::Seen(b"")).await? else { panic!("nothing is stored yet") };
/// // Here the driver sends `ticket.request()` and gets:
/// let (head, body) = http::Response::builder().header("cache-control", "max-age=60").body("hello").unwrap().into_parts();
/// let Settlement::Network { keep: Some(mut recording), .. } = cache.settle(ticket, Outcome::Response(&head)).await? else {
///     panic!("it may be stored")
/// };
/// recording.write(body.as_bytes()).await;
/// recording.finish().await;
///
/// let Answer::Hit(reply) = cache.ask(request(), RequestBody::Seen(b"")).await? else { panic!("it is stored now") };
/// assert_eq!(reply.info.status.to_string(), "lacre; hit; ttl=60");
/// assert_eq!(reply.response.into_body().bytes().await?, "hello");
/// # Ok::<(), lacre::Error>(())
/// # })?;
/// # Ok::<(), lacre::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Cache {
    engine: Arc<Engine>,
    vault: Arc<Vault>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    on_tamper: OnTamper,
    on_store_failure: OnStoreFailure,
    reseal_on_read: bool,
}

/// What [`Cache::ask`] answers.
#[expect(clippy::large_enum_variant, reason = "boxing the rare refresh would cost its callers a change")]
#[derive(Debug)]
pub enum Answer {
    /// Answer with this.
    Hit(Reply),
    /// Answer with this, and send the ticket's request in the background.
    Refresh(Reply, Ticket),
    /// Send the ticket's request, and settle what comes back.
    Send(Ticket),
    /// Answer with this 504: the request was only to be answered from the cache, which cannot.
    Refuse(Reply),
}

/// A response from the cache.
pub struct Reply {
    /// What to give to the caller. Its extensions hold the [`CacheInfo`], too.
    pub response: Response<Body>,
    /// What the cache did.
    pub info: CacheInfo,
}

/// Without header values and the body.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.response.status())
            .field("body", self.response.body())
            .field("info", &self.info)
            .finish_non_exhaustive()
    }
}

/// What the cache did with a request; among the extensions of every response that went through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheInfo {
    /// In the terms of RFC 9211; its text is the `Cache-Status` member.
    pub status: CacheStatus,
    /// The row, where there is one.
    pub key: Option<Key>,
    /// When the stored response was received, or last confirmed by the origin.
    pub stored_at: Option<Timestamp>,
}

/// A request under way. Whoever drops it gives up: nothing is stored.
#[derive(Debug)]
pub struct Ticket {
    pending: Pending<Handle>,
    /// What the lookup ran into, for the status.
    trouble: Option<Detail>,
    /// When the lookup began: what was stored since then, it may not have seen.
    since: MonotonicTime,
}

impl Ticket {
    /// What to send: the caller's request, perhaps with conditions about what is stored.
    pub fn request(&self) -> &request::Parts {
        self.pending.request()
    }

    /// The caller's request as it came, to ask with it again.
    pub(crate) fn asked(&self) -> request::Parts {
        self.pending.original_request()
    }

    /// When the cache was asked. It may not know of what was stored since.
    pub(crate) fn since(&self) -> MonotonicTime {
        self.since
    }

    /// How long ago the cache was asked. Whoever waited meanwhile may find an answer when it is asked again.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The row the answer would go to. Requests with the same key may share one way to the origin; `None`: this one may not.
    pub fn key(&self) -> Option<&Key> {
        self.pending.key()
    }

    /// Whether the request tells if a stored response still holds.
    pub(crate) fn validates(&self) -> bool {
        self.pending.stored().is_some()
    }

    /// What the cache did so far.
    pub fn info(&self) -> CacheInfo {
        let stored_at = self.pending.stored().map(|entry| entry.received);
        CacheInfo { status: self.pending.status(), key: self.key().copied(), stored_at }.with(self.trouble)
    }
}

impl CacheInfo {
    /// The same where the response is not stored after all.
    #[must_use]
    pub fn unstored(mut self, why: Detail) -> Self {
        self.status.stored = lacre_core::Stored::No;
        self.status.detail = Some(why);
        self.stored_at = None;
        self
    }

    fn with(mut self, trouble: Option<Detail>) -> Self {
        self.status.detail = trouble.or(self.status.detail);
        self
    }
}

/// What [`Cache::settle`] makes of the network's answer.
#[derive(Debug)]
pub enum Settlement {
    /// The caller gets the network's answer.
    Network {
        /// Where the body goes as it passes; absent where it is not stored.
        keep: Option<Recording>,
        /// What the cache did.
        info: CacheInfo,
        /// A 304, which the caller gets in the answer's place: by the conditions of its request it has this response. The body is only stored
        /// where somebody else reads it.
        instead: Option<Box<response::Parts>>,
    },
    /// The caller gets a stored answer.
    Stored(Reply),
    /// Send this ticket's request instead, and settle again.
    Resend(Ticket),
    /// The caller gets the failure.
    Failed(CacheInfo),
}

/// What a lookup ended in, before the engine hears of it.
enum Found {
    Slot(Slot<Handle>),
    Nothing(Option<Detail>),
}

impl Cache {
    /// Settings, with defaults for all but the store and the key.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// The rules this cache goes by.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// The ids of its keys, the one that seals first.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> + '_ {
        self.vault.sealer.keyring().key_ids()
    }

    /// Asks what to do with a request. [`RequestOptions`](lacre_core::RequestOptions) among its extensions count.
    ///
    /// # Errors
    /// What was set to be an error: a stored response whose seal does not hold ([`OnTamper::Raise`]), a store that fails
    /// ([`OnStoreFailure::Raise`]).
    pub async fn ask(&self, request: request::Parts, body: RequestBody<'_>) -> Result<Answer, Error> {
        self.decide(request, body, None).await
    }

    /// The same, as though what is `under_way` were stored.
    pub(crate) async fn ask_beside(
        &self,
        request: request::Parts,
        body: RequestBody<'_>,
        under_way: &UnderWay,
    ) -> Result<Answer, Error> {
        self.decide(request, body, Some(under_way)).await
    }

    async fn decide(
        &self,
        request: request::Parts,
        body: RequestBody<'_>,
        under_way: Option<&UnderWay>,
    ) -> Result<Answer, Error> {
        let (since, now) = (MonotonicTime::now(), self.clock.now());
        let mut decision = self.engine.begin(request, body, now);
        let mut trouble = None;
        loop {
            decision = match decision {
                Decision::Lookup(lookup) => match self.look(&lookup, under_way, now).await? {
                    Found::Slot(slot) => lookup.found(Some(slot), now),
                    Found::Nothing(None) => lookup.found(None, now),
                    Found::Nothing(Some(Detail::Tampered)) if self.on_tamper == OnTamper::FailClosed => {
                        let mut status = CacheStatus::default();
                        status.detail = Some(Detail::Tampered);
                        return Ok(Answer::Refuse(refusal(status)));
                    }
                    Found::Nothing(met) => {
                        trouble = met;
                        lookup.found(None, now)
                    }
                },
                Decision::Serve(hit) => return Ok(Answer::Hit(self.reply(hit, trouble))),
                Decision::Refresh(hit, pending) => {
                    let ticket = Ticket { pending, trouble, since };
                    return Ok(Answer::Refresh(self.reply(hit, trouble), ticket));
                }
                Decision::Send(pending) => {
                    if let Some(key) = pending.key() {
                        let reason = pending.status().forward.map_or("", lacre_core::Forward::as_str);
                        self.observer.on_event(Event::Miss { key, reason });
                    }
                    return Ok(Answer::Send(Ticket { pending, trouble, since }));
                }
                Decision::Refuse(status) => return Ok(Answer::Refuse(refusal(status))),
            };
        }
    }

    /// Takes what the network said to a ticket's request.
    ///
    /// # Errors
    /// A store that fails, where that is set to be an error.
    pub async fn settle(&self, ticket: Ticket, outcome: Outcome<'_>) -> Result<Settlement, Error> {
        let now = self.clock.now();
        let Ticket { pending, trouble, since } = ticket;
        let key = pending.key().copied();
        match pending.settle(outcome, now) {
            Settled::Network { insert: keep, touch, remove: forget, status, not_modified: instead } => {
                self.forgive(self.forget(&forget, now).await)?;
                self.write_back(touch, now).await?;
                // A response that varies is stored under its variant's key.
                let key = keep.as_ref().map(|keep| keep.key).or(key);
                let info = CacheInfo { status, key, stored_at: keep.as_ref().map(|_| now) }.with(trouble);
                // A store that did not answer a moment ago is not written to.
                let (keep, info) = match trouble {
                    Some(Detail::StoreUnavailable) => (None, info.unstored(Detail::StoreUnavailable)),
                    _ => (keep, info),
                };
                let keep = keep.map(|keep| Recording::new(self.clone(), keep));
                Ok(Settlement::Network { keep, info, instead })
            }
            Settled::Stored { hit, touch } => {
                let missing = self.write_back(touch, now).await?;
                let mut reply = self.reply(hit, trouble);
                if missing.is_some() {
                    (reply.info.status.stored, reply.info.status.detail) = (lacre_core::Stored::No, missing);
                    reply.response.extensions_mut().insert(reply.info);
                }
                Ok(Settlement::Stored(reply))
            }
            Settled::Resend(pending) => Ok(Settlement::Resend(Ticket { pending, trouble, since })),
            Settled::Failed(status) => {
                Ok(Settlement::Failed(CacheInfo { status, key, stored_at: None }.with(trouble)))
            }
        }
    }

    /// Whether what is stored may answer a ticket's request without the origin, which failed a moment ago.
    pub(crate) fn can_stand_in(&self, ticket: &Ticket, failed: LastFailure) -> bool {
        ticket.pending.may_serve_stale(failed, self.clock.now())
    }

    /// That answer.
    pub(crate) fn stand_in(&self, ticket: &Ticket, failed: LastFailure) -> Option<Reply> {
        let hit = ticket.pending.stale_response(failed, self.clock.now())?;
        Some(self.reply(hit, ticket.trouble))
    }

    async fn look(
        &self,
        lookup: &Lookup,
        under_way: Option<&UnderWay>,
        now: Timestamp,
    ) -> Result<Found, Error> {
        let key = lookup.key();
        if let Some(slot) = under_way.and_then(|under_way| under_way.slot(key)) {
            return Ok(Found::Slot(slot));
        }
        // A large body that cannot be trusted is best found out before anything of it is handed out.
        let wanted = |entry: &_| body::wanted(lookup.would_serve(entry, now));
        let error = match self.vault.find(key, wanted, now).await {
            Ok(Some(Loaded { slot, seal, .. })) => {
                self.reseal_if_wished(key, &slot, &seal, now).await?;
                return Ok(Found::Slot(slot));
            }
            Ok(None) => return Ok(Found::Nothing(None)),
            Err(error) => error,
        };
        // In a box, so that what is found does not carry its room along.
        Box::pin(self.pass_over(key, error)).await
    }

    /// What could not be read is nothing, as far as the user does not want to hear of it.
    async fn pass_over(&self, key: &Key, error: Error) -> Result<Found, Error> {
        match error.kind() {
            ErrorKind::Store(_) => {
                self.forgive(Err(error))?;
                Ok(Found::Nothing(Some(Detail::StoreUnavailable)))
            }
            ErrorKind::Tampered | ErrorKind::Broken => {
                self.observer.on_event(Event::Refused { key, error: &error });
                match self.on_tamper {
                    OnTamper::Raise => return Err(self.vault.name(key, error).await),
                    OnTamper::Refetch => self.forgive(self.quarantine_if_writable(key).await)?,
                    OnTamper::FailClosed => {}
                }
                Ok(Found::Nothing(Some(Detail::Tampered)))
            }
            ErrorKind::Lapsed => Ok(Found::Nothing(None)),
            _ => {
                self.observer.on_event(Event::Refused { key, error: &error });
                Ok(Found::Nothing(None))
            }
        }
    }

    async fn reseal_if_wished(
        &self,
        key: &Key,
        slot: &Slot<Handle>,
        seal: &SealInfo,
        now: Timestamp,
    ) -> Result<(), Error> {
        let in_chunks = matches!(slot, Slot::Entry(entry) if entry.body.head.chunks > 0);
        if !self.reseal_on_read || self.reads_only() || in_chunks || self.vault.is_current(seal) {
            return Ok(());
        }
        self.forgive(Box::pin(self.vault.reseal(key, Pass::Real, Suites::Change, now)).await.map(drop))
    }

    /// Where nothing is ever written, what cannot be trusted stays as it is.
    async fn quarantine_if_writable(&self, key: &Key) -> Result<(), Error> {
        if self.reads_only() {
            return Ok(());
        }
        match self.quarantine(key).await {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Store(StoreErrorKind::ReadOnly | StoreErrorKind::Denied)
                ) =>
            {
                Ok(())
            }
            quarantined => quarantined.map(drop),
        }
    }

    fn reads_only(&self) -> bool {
        self.engine.policy().is_read_only()
    }

    /// A failing store is told to the observer, and to the caller only where that is wished.
    fn forgive(&self, result: Result<(), Error>) -> Result<(), Error> {
        let Err(error) = result else { return Ok(()) };
        self.store_failed(&error);
        if self.on_store_failure == OnStoreFailure::Raise { Err(error) } else { Ok(()) }
    }

    /// Tells the observer, once for what goes on.
    fn store_failed(&self, error: &Error) {
        if !error.is_repeated() {
            self.observer.on_event(Event::StoreFailed { error });
        }
    }

    async fn forget(&self, keys: &[Key], now: Timestamp) -> Result<(), Error> {
        let mut forgotten = Ok(());
        for key in keys {
            if let Err(error) = self.vault.remove(key, now).await {
                self.vault.owed.add(key);
                forgotten = forgotten.and(Err(error));
            }
        }
        forgotten
    }

    /// Why it is not written back, where it is not.
    async fn write_back(
        &self,
        touch: Option<Touch<Handle>>,
        now: Timestamp,
    ) -> Result<Option<Detail>, Error> {
        let Some(touch) = touch else { return Ok(None) };
        let written = self.vault.touch(touch, now).await;
        let missing = written.is_err().then_some(Detail::StoreUnavailable);
        self.forgive(written)?;
        Ok(missing)
    }

    fn reply(&self, hit: Hit<Handle>, trouble: Option<Detail>) -> Reply {
        self.observer.on_event(Event::Hit { key: hit.key() });
        let info =
            CacheInfo { status: hit.status(), key: Some(*hit.key()), stored_at: Some(hit.entry().received) };
        let (key, portion) = (*hit.key(), hit.kind());
        let (parts, handle) = hit.into_response();
        reply(parts, Body::of(self, key, handle, portion), info.with(trouble))
    }

    /// One chunk of a body that is being read. The observer is told why it cannot be had, and what cannot be trusted goes.
    async fn chunk(&self, key: &Key, head: &BodyHead, index: u32) -> Result<Bytes, Error> {
        let now = self.clock.now();
        let found = match self.vault.chunk(key, head, index, now).await {
            Ok(Some((chunk, _))) => return Ok(chunk),
            Ok(None) => self.vault.names(key, head.id, now).await,
            Err(error) => Err(error),
        };
        let error = match found {
            Ok(true) => missing_chunk(),
            Ok(false) => return Err(Error::new(ErrorKind::Gone, GONE).with_hint("send the request again")),
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::Store(_) => self.store_failed(&error),
            _ => self.observer.on_event(Event::Refused { key, error: &error }),
        }
        let untrusted = matches!(error.kind(), ErrorKind::Tampered | ErrorKind::Broken);
        if untrusted && self.on_tamper == OnTamper::Refetch {
            // So that the next request fetches it again.
            self.forgive(self.quarantine_if_writable(key).await)?;
        }
        Err(error)
    }
}

const GONE: &str = "the stored response was replaced or removed while it was read";

fn reply(parts: response::Parts, body: Body, info: CacheInfo) -> Reply {
    let mut response = Response::from_parts(parts, body);
    response.extensions_mut().insert(info);
    Reply { response, info }
}

/// RFC 9111 §5.2.1.7
fn refusal(status: CacheStatus) -> Reply {
    let (mut parts, ()) = Response::new(()).into_parts();
    parts.status = StatusCode::GATEWAY_TIMEOUT;
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    reply(parts, Body::default(), CacheInfo { status, key: None, stored_at: None })
}
