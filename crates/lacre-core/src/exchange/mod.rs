//! The exchange: the steps for one request, in the order of RFC 9111 §4. It does no IO and reads no
//! clock.
//!
//! [`Engine::begin`] takes a request and returns the key to look up. [`Lookup::found`] takes the
//! record and decides whether to serve it, to send the request or to refuse. [`Pending::settle`]
//! takes the answer of the network and decides what to store, to serve and to remove.
//!
//! Each step consumes the previous one, so no step can be skipped, repeated or answered twice. The
//! rules themselves are in `freshness`, `entry_state`, `storability` and `validate`.

mod lookup;
mod pending;
mod rows;
mod storing;

pub use lookup::Lookup;
pub use pending::{LastFailure, Pending};

use crate::audit::{self, Audit};
use crate::directives::{MaxStale, RequestDirectives};
use crate::entry_state::EntryState;
use crate::freshness::Freshness;
use crate::hit::Hit;
use crate::identity::{VariantKind, variant_key};
use crate::key::{Digest, Key};
use crate::policy::{Head, Policy};
use crate::sensitivity::{RequestDebug, ResponseDebug, Sensitivity};
use crate::target::Target;
use crate::validate::Conditions;
use crate::{
    CacheStatus, Detail, Entry, Expire, Forward, HitKind, Mode, Pointer, RequestOptions, StoredBody,
    Timestamp, Varies, vary,
};
use http::{HeaderMap, HeaderName, Method, header, request, response};
use lookup::Candidate;
use rows::Rows;
use std::fmt;
use std::sync::Arc;

/// The caching rules with one user's policy. Cheap to share; holds no state.
pub struct Engine {
    policy: Policy,
    digest: Box<dyn Digest>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// The part of a request's body that the cache can see.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RequestBody<'a> {
    /// The complete body; often empty.
    Seen(&'a [u8]),
    /// A stream. Requests that differ only in their body cannot be cached then.
    Unseen,
}

impl<'a> RequestBody<'a> {
    /// Creates `Seen` if the body is known.
    pub fn of(seen: Option<&'a [u8]>) -> Self {
        seen.map_or(Self::Unseen, Self::Seen)
    }
}

/// Shows the length, not the content.
impl fmt::Debug for RequestBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen(body) => write!(f, "Seen({} bytes)", body.len()),
            Self::Unseen => f.write_str("Unseen"),
        }
    }
}

/// The next step of an exchange.
#[derive(Debug)]
pub enum Decision<B> {
    /// Look up [`Lookup::key`] in the store and pass the result to [`found`](Lookup::found).
    Lookup(Lookup),
    /// Answer with this hit.
    Serve(Hit<B>),
    /// Answer with this hit and send the request in the background.
    Refresh(Hit<B>, Pending<B>),
    /// Send [`Pending::request`] and pass the result to [`settle`](Pending::settle).
    Send(Pending<B>),
    /// Answer 504 (Gateway Timeout). §5.2.1.7: the request has `only-if-cached`, and no stored
    /// response may be used.
    Refuse(CacheStatus),
}

/// The result of sending a request.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    /// A final response. Its body may not have arrived yet.
    Response(&'a response::Parts),
    /// No response.
    Failed,
}

/// Shows no header values.
impl fmt::Debug for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(response) => ResponseDebug(response).fmt(f),
            Self::Failed => f.write_str("Failed"),
        }
    }
}

/// The result of an exchange: the answer to the caller and the changes to the store.
#[derive(Debug)]
pub enum Settled<B> {
    /// The caller gets the network's answer.
    Network {
        /// The response to store once its body is complete.
        insert: Option<Box<Insert>>,
        /// The stored entry to write back.
        touch: Option<Touch<B>>,
        /// The keys to remove from the store.
        remove: Vec<Key>,
        /// The cache's handling of the request.
        status: CacheStatus,
        /// A 304 that the caller gets instead of the answer. RFC 9111 §4.3.2: the cache evaluates
        /// the client's conditions, and the client has this response already.
        not_modified: Option<Box<response::Parts>>,
    },
    /// The caller gets a stored response.
    Stored {
        /// The stored response.
        hit: Hit<B>,
        /// The stored entry to write back.
        touch: Option<Touch<B>>,
    },
    /// The origin confirmed a response that is not stored. Send this request, which has no
    /// conditions.
    Resend(Pending<B>),
    /// The caller gets the failure.
    Failed(CacheStatus),
}

/// A freshened entry, to be written back over the same body. Do not write it if the body was
/// replaced in the meantime.
#[derive(Debug, PartialEq)]
pub struct Touch<B> {
    /// The key of the entry.
    pub key: Key,
    /// The entry with its new headers and times.
    pub entry: Box<Entry<B>>,
    /// Whether the new headers may stay readable. An encrypted entry stays encrypted.
    pub sensitivity: Sensitivity,
    /// The time after which the entry is of no use.
    pub retain_until: Timestamp,
}

/// A response to store.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// The key to store it under.
    pub key: Key,
    /// The entry without its body.
    pub entry: Entry<()>,
    /// Whether the entry may stay readable.
    pub sensitivity: Sensitivity,
    /// The pointers that lead to the key. Write them first; often there are none.
    pub pointers: Vec<(Key, Pointer)>,
    /// The time after which the entry is of no use.
    pub retain_until: Timestamp,
    /// The length of the longest body that may be stored, in bytes.
    pub max_body: u64,
}

/// The state of one request on its way through the steps.
struct Exchange {
    engine: Arc<Engine>,
    /// The request as it is sent. Until then, the request as it came.
    request: request::Parts,
    target: Target,
    options: RequestOptions,
    directives: RequestDirectives,
    /// The conditions and the range of the request as it came.
    conditions: Conditions,
    /// The sensitivity of the request's body, which is not kept.
    body: Sensitivity,
    /// The rows of the request. For HEAD, the rows of GET come first.
    rows: Rows,
    /// The rows of HEAD, which are used if no answer to GET is stored.
    own_head: Option<Rows>,
    /// The reason why no stored answer to GET answers HEAD.
    get_miss: Option<Forward>,
    /// The key to look up next, or to store the answer under.
    at: Key,
    candidate: Candidate,
    aliases: u8,
    /// The time at which the request is sent (`request_time` of §4.2.3).
    sent: Timestamp,
}

/// Shows neither the query nor header values.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("request", &RequestDebug(&self.request))
            .field("options", &self.options)
            .field("at", &self.at)
            .field("candidate", &self.candidate)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Creates an engine with a policy. `digest` computes row keys; only it sees complete
    /// identities.
    pub fn new(policy: Policy, digest: impl Digest + 'static) -> Self {
        Self { policy, digest: Box::new(digest) }
    }

    /// The user's policy.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Computes the freshness of a stored response.
    pub fn freshness<B>(&self, entry: &Entry<B>, now: Timestamp) -> Freshness {
        EntryState::of(&self.policy, entry, now).freshness
    }

    /// Finds likely secrets in an entry and its body, or the first
    /// [`MAX_AUDITED_BODY`](crate::MAX_AUDITED_BODY) bytes of the body. The time is linear in their
    /// length.
    pub fn audit<B>(&self, entry: &Entry<B>, body: &[u8]) -> Audit {
        audit::audit(&self.policy.redactor, &*self.digest, entry, body)
    }

    /// Begins an exchange. [`RequestOptions`] in the request's extensions apply.
    pub fn begin<B: StoredBody>(
        self: &Arc<Self>,
        request: request::Parts,
        body: RequestBody<'_>,
        now: Timestamp,
    ) -> Decision<B> {
        let options = request.extensions.get::<RequestOptions>().cloned().unwrap_or_default();
        let directives = with_options(RequestDirectives::parse(&request.headers), &options);
        let conditions = Conditions::of(&request);
        let target = Target::of(&request);
        let rows = self.rows_to_look_up(&request, target.as_ref(), body, &directives, &options);
        let sensitivity = match body {
            RequestBody::Seen(body) => Sensitivity::of_body(&self.policy, &request.headers, body),
            RequestBody::Unseen => Sensitivity::Sensitive,
        };
        let mut exchange = Box::new(Exchange {
            engine: Arc::clone(self),
            target: target.unwrap_or_else(|| Target::unknown(&request.uri)),
            request,
            options,
            directives,
            conditions,
            body: sensitivity,
            rows: Rows::none(),
            own_head: None,
            get_miss: None,
            at: Key::from_bytes([0; 32]),
            candidate: Candidate::Own,
            aliases: 0,
            sent: now,
        });
        match rows {
            Ok((rows, own_head)) => {
                exchange.at = rows.current().key;
                (exchange.rows, exchange.own_head) = (rows, own_head);
                Decision::Lookup(Lookup::new(exchange))
            }
            Err(status) if directives.only_if_cached => Decision::Refuse(status),
            Err(status) => Decision::Send(Pending::pass_through(exchange, status)),
        }
    }

    /// Returns the rows of a request and, if they differ, those of HEAD. The error is the reason
    /// why the request is sent without a lookup.
    fn rows_to_look_up(
        &self,
        request: &request::Parts,
        target: Option<&Target>,
        body: RequestBody<'_>,
        directives: &RequestDirectives,
        options: &RequestOptions,
    ) -> Result<(Rows, Option<Rows>), CacheStatus> {
        let bypass = CacheStatus::forwarded(Forward::Bypass);
        if options.mode == Mode::Bypass || overrides_method(request) || has_strong_conditions(request) {
            return Err(bypass);
        }
        if !self.policy.methods.contains(&request.method) {
            return Err(CacheStatus::forwarded(Forward::Method));
        }
        // §5.2.1.5: `no-store` forbids storing, not answering from the store. Such a request is
        // sent nevertheless: its client wants no trace in a cache.
        if directives.no_store && !directives.only_if_cached {
            return Err(CacheStatus::forwarded(Forward::Request).with(Detail::NoStore));
        }
        let RequestBody::Seen(seen) = body else {
            return Err(bypass.with(Detail::BodyUnseen));
        };
        // Without a host, requests to different hosts would share an answer, unless the user's key
        // function distinguishes them.
        let unknown = Target::unknown(&request.uri);
        let named_by_user = self.policy.key_fn.is_some() && !request.headers.contains_key(header::HOST);
        let target = match target {
            Some(target) => target,
            None if named_by_user => &unknown,
            None => return Err(bypass.with(Detail::NoAuthority)),
        };
        let rows = |method: &Method| self.rows(method, target, request, seen, options);
        Ok(match self.policy.head {
            Head::FromGet if request.method == Method::HEAD => {
                (rows(&Method::GET), Some(rows(&Method::HEAD)))
            }
            _ => (rows(&request.method), None),
        })
    }
}

/// Adds the request's options to its directives.
fn with_options(mut directives: RequestDirectives, options: &RequestOptions) -> RequestDirectives {
    match options.mode {
        Mode::OnlyIfCached => directives.only_if_cached = true,
        Mode::Refresh | Mode::ForceRefresh => directives.no_cache = true,
        Mode::Default | Mode::Bypass => {}
    }
    directives.max_stale = directives.max_stale.max(options.max_stale.map(MaxStale::For));
    directives
}

/// Whether a response sets a cookie and does not vary by `Cookie`. Stored without regard to the
/// request's cookie, it would set the cookie for other users.
fn sets_cookies_of_others(headers: &HeaderMap) -> bool {
    let varies_by_cookie =
        || matches!(vary::varies(headers), Varies::By(names) if names.contains(&header::COOKIE));
    headers.contains_key(header::SET_COOKIE) && !varies_by_cookie()
}

/// Some servers take the method from these headers, so a GET may be any method.
fn overrides_method(request: &request::Parts) -> bool {
    const OVERRIDES: [HeaderName; 3] = [
        HeaderName::from_static("x-http-method-override"),
        HeaderName::from_static("x-http-method"),
        HeaderName::from_static("x-method-override"),
    ];
    OVERRIDES.iter().any(|name| request.headers.contains_key(name))
}

/// Conditions that only the origin can evaluate (RFC 9110 §13.1.1, §13.1.4).
fn has_strong_conditions(request: &request::Parts) -> bool {
    request.headers.contains_key(header::IF_MATCH)
        || request.headers.contains_key(header::IF_UNMODIFIED_SINCE)
}

impl Exchange {
    fn policy(&self) -> &Policy {
        &self.engine.policy
    }

    /// Computes the key of a variant below `row` that this request selects.
    fn variant(&self, row: &Key, names: &[HeaderName], kind: VariantKind<'_>) -> Key {
        variant_key(&*self.engine.digest, row, names, &self.request.headers, kind)
    }

    /// §5.2.2.4: the fields that must not be used without validation. If the response may answer
    /// requests with other cookies, `Set-Cookie` is withheld as well: it would end the session of
    /// this user.
    fn withheld(&self, state: &EntryState, headers: &HeaderMap) -> Vec<HeaderName> {
        let mut withheld = state.withheld_fields(headers);
        if self.rows.is_shared_by_cookies() && sets_cookies_of_others(headers) {
            withheld.push(header::SET_COOKIE);
        }
        withheld
    }

    /// Builds a hit that withholds no field, for a response that the origin has just confirmed.
    fn hit<B: StoredBody>(
        &self,
        entry: Box<Entry<B>>,
        status: CacheStatus,
        freshness: Freshness,
        now: Timestamp,
    ) -> Hit<B> {
        let kind = self.hit_kind(&entry, now);
        let age_header = self.policy().age_header;
        Hit { key: self.at, entry, kind, freshness, status, age_header, withheld: Vec::new() }
    }

    fn hit_kind<B: StoredBody>(&self, entry: &Entry<B>, now: Timestamp) -> HitKind {
        if self.request.method == Method::HEAD {
            self.conditions.answer_to_head(entry, now)
        } else {
            self.conditions.answer(entry, entry.body.length(), now)
        }
    }

    /// The lifetime that the user set for this request or its URL.
    fn lifetime_override(&self) -> Option<Expire> {
        self.options.ttl.or_else(|| self.policy().url_rule(|| self.target.uri.to_string()))
    }
}
