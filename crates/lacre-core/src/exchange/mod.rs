//! The exchange: what to do with one request, step by step. It does no IO and reads no clock.
//!
//! [`Engine::begin`] takes a request and says what to look up; [`Lookup::found`] takes what was found and says whether to serve it,
//! to send the request or to refuse; [`Pending::settle`] takes what the network said and says what to keep, to serve and to forget.
//! Each step consumes the last one, so none can be skipped, repeated or answered twice. The rules themselves are in `rules` and
//! `validate`; here is only their order (RFC 9111 §4).

mod lookup;
mod pending;
mod rows;
mod storing;

pub use lookup::Lookup;
pub use pending::{LastFailure, Pending};

use crate::audit::{self, Audit};
use crate::directives::{MaxStale, RequestDirectives};
use crate::hit::Hit;
use crate::key::{self, Digest, Facet, Key};
use crate::policy::{Head, Policy};
use crate::rules::{Freshness, Standing};
use crate::sensitivity::{Sensitivity, ShownRequest, ShownResponse};
use crate::target::Target;
use crate::validate::Conditions;
use crate::{
    CacheStatus, Detail, Entry, Expire, Forward, HitKind, Mode, Pointer, RequestOptions, StoredBody,
    Timestamp, Varies, vary,
};
use http::{HeaderMap, HeaderName, Method, header, request, response};
use lookup::Place;
use rows::Rows;
use std::fmt;
use std::sync::Arc;

/// The rules with one user's policy. Cheap to share; holds no state.
pub struct Engine {
    policy: Policy,
    digest: Box<dyn Digest>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("policy", &self.policy).finish_non_exhaustive()
    }
}

/// What the cache can see of a request's body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum RequestBody<'a> {
    /// All of it; often nothing.
    Seen(&'a [u8]),
    /// It is a stream. Requests that only their body tells apart cannot be cached.
    Unseen,
}

impl<'a> RequestBody<'a> {
    /// All of it, where that is known.
    pub fn of(seen: Option<&'a [u8]>) -> Self {
        seen.map_or(Self::Unseen, Self::Seen)
    }
}

/// Without the content.
impl fmt::Debug for RequestBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen(body) => write!(f, "Seen({} bytes)", body.len()),
            Self::Unseen => f.write_str("Unseen"),
        }
    }
}

/// What to do next.
#[derive(Debug)]
pub enum Decision<B> {
    /// Look up [`Lookup::key`] in the store and say what was [`found`](Lookup::found).
    Lookup(Lookup),
    /// Answer with this.
    Serve(Hit<B>),
    /// Answer with this, and send the request in the background.
    Refresh(Hit<B>, Pending<B>),
    /// Send [`Pending::request`] and [`settle`](Pending::settle) what comes back.
    Send(Pending<B>),
    /// Answer 504 (Gateway Timeout): the request is only to be answered from the cache, which cannot (RFC 9111 §5.2.1.7).
    Refuse(CacheStatus),
}

/// What the network said.
#[derive(Clone, Copy)]
pub enum Outcome<'a> {
    /// A final response; its body may still be on its way.
    Response(&'a response::Parts),
    /// No response.
    Failed,
}

/// Without header values.
impl fmt::Debug for Outcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Response(response) => ShownResponse(response).fmt(f),
            Self::Failed => f.write_str("Failed"),
        }
    }
}

/// What becomes of what the network said.
#[derive(Debug)]
pub enum Settled<B> {
    /// The caller gets the network's answer.
    Network {
        /// What to store once the body is complete.
        insert: Option<Box<Insert>>,
        /// What to write back.
        touch: Option<Touch<B>>,
        /// What to remove from the store.
        remove: Vec<Key>,
        /// What the cache did.
        status: CacheStatus,
        /// A 304, which the caller gets in the answer's place: by the conditions of its request it has this response (RFC 9111 §4.3.2).
        not_modified: Option<Box<response::Parts>>,
    },
    /// The caller gets a stored answer.
    Stored {
        /// The answer.
        hit: Hit<B>,
        /// What to write back.
        touch: Option<Touch<B>>,
    },
    /// The origin confirmed something that we do not have: send this instead.
    Resend(Pending<B>),
    /// The caller gets the failure.
    Failed(CacheStatus),
}

/// An entry with news about it, to be written back over the same body; not where the body was replaced meanwhile.
#[derive(Debug, PartialEq)]
pub struct Touch<B> {
    /// Where.
    pub key: Key,
    /// What.
    pub entry: Box<Entry<B>>,
    /// Whether the news may be left readable; what was not stays so.
    pub sensitivity: Sensitivity,
    /// Until when it can be of any use.
    pub retain_until: Timestamp,
}

/// A response to store.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// Where.
    pub key: Key,
    /// What, but for its body.
    pub entry: Entry<()>,
    /// Whether it may be left readable.
    pub sensitivity: Sensitivity,
    /// What to write first, so that lookups find the way; often nothing.
    pub pointers: Vec<(Key, Pointer)>,
    /// Until when it can be of any use.
    pub retain_until: Timestamp,
    /// The longest body that may be stored, in bytes.
    pub max_body: u64,
}

/// Everything about one request, on its way through the steps.
struct Exchange {
    engine: Arc<Engine>,
    /// As it is to be sent; until then, as it came.
    request: request::Parts,
    target: Target,
    options: RequestOptions,
    said: RequestDirectives,
    /// Of the request's body, which is not kept.
    body: Sensitivity,
    /// The rows of the request itself; of HEAD, at first those of GET.
    rows: Rows,
    /// The rows of HEAD, where an answer to it lies if nothing is stored for GET.
    own_head: Option<Rows>,
    /// Why nothing that is stored for GET is an answer to HEAD.
    missed: Option<Forward>,
    /// Where to look next, and where the answer would be stored.
    at: Key,
    place: Place,
    aliases: u8,
    /// When it is sent, as far as we know (`request_time` of §4.2.3).
    sent: Timestamp,
}

/// Without the query and header values.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("request", &ShownRequest(&self.request))
            .field("options", &self.options)
            .field("at", &self.at)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// The rules with this policy. `digest` names rows, and is the only one to see whole identities.
    pub fn new(policy: Policy, digest: impl Digest + 'static) -> Self {
        Self { policy, digest: Box::new(digest) }
    }

    /// What the user wishes.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How fresh a stored response is.
    pub fn freshness<B>(&self, entry: &Entry<B>, now: Timestamp) -> Freshness {
        Standing::of(&self.policy, entry, now).freshness
    }

    /// What looks like a secret in an entry with this body, or with the first [`MAX_AUDITED_BODY`](crate::MAX_AUDITED_BODY) bytes of it. The work is
    /// linear in their length.
    pub fn audit<B>(&self, entry: &Entry<B>, body: &[u8]) -> Audit {
        audit::audit(&self.policy.redactor, &*self.digest, entry, body)
    }

    /// Begins an exchange. [`RequestOptions`] among the request's extensions count.
    pub fn begin<B: StoredBody>(
        self: &Arc<Self>,
        request: request::Parts,
        body: RequestBody<'_>,
        now: Timestamp,
    ) -> Decision<B> {
        let options = request.extensions.get::<RequestOptions>().cloned().unwrap_or_default();
        let said = merged(RequestDirectives::parse(&request.headers), &options);
        let target = Target::of(&request);
        let rows = self.looked_up(&request, target.as_ref(), body, &said, &options);
        let sensitivity = match body {
            RequestBody::Seen(body) => Sensitivity::of_body(&self.policy, &request.headers, body),
            RequestBody::Unseen => Sensitivity::Sensitive,
        };
        let mut exchange = Box::new(Exchange {
            engine: Arc::clone(self),
            target: target.unwrap_or_else(|| Target::unknown(&request.uri)),
            request,
            options,
            said,
            body: sensitivity,
            rows: Rows::none(),
            own_head: None,
            missed: None,
            at: Key::from_bytes([0; 32]),
            place: Place::Own,
            aliases: 0,
            sent: now,
        });
        match rows {
            Ok((rows, own_head)) => {
                exchange.at = rows.current().key;
                (exchange.rows, exchange.own_head) = (rows, own_head);
                Decision::Lookup(Lookup::new(exchange))
            }
            Err(status) if said.only_if_cached => Decision::Refuse(status),
            Err(status) => Decision::Send(Pending::pass_through(exchange, status)),
        }
    }

    /// The rows under which an answer may be stored, and those of HEAD where they are others; or why the request is sent whatever is stored.
    fn looked_up(
        &self,
        request: &request::Parts,
        target: Option<&Target>,
        body: RequestBody<'_>,
        said: &RequestDirectives,
        options: &RequestOptions,
    ) -> Result<(Rows, Option<Rows>), CacheStatus> {
        let bypass = CacheStatus::forwarded(Forward::Bypass);
        if options.mode == Mode::Bypass || overrides_method(request) || has_strong_conditions(request) {
            return Err(bypass);
        }
        if !self.policy.methods.contains(&request.method) {
            return Err(CacheStatus::forwarded(Forward::Method));
        }
        // Who wants no trace of an exchange wants it to be with the origin; §5.2.1.5 leaves that open.
        if said.no_store && !said.only_if_cached {
            return Err(CacheStatus::forwarded(Forward::Request).with(Detail::NoStore));
        }
        let RequestBody::Seen(seen) = body else {
            return Err(bypass.with(Detail::BodyUnseen));
        };
        // Requests for different hosts would share an answer, unless a key function of the user's names them.
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

/// A request's directives with what its options say.
fn merged(mut said: RequestDirectives, options: &RequestOptions) -> RequestDirectives {
    match options.mode {
        Mode::OnlyIfCached => said.only_if_cached = true,
        Mode::Refresh | Mode::ForceRefresh => said.no_cache = true,
        Mode::Default | Mode::Bypass => {}
    }
    said.max_stale = said.max_stale.max(options.max_stale.map(MaxStale::For));
    said
}

/// Whether a response sets a cookie that, were it stored without regard to the request's, would reach requests with another.
fn sets_cookies_of_others(headers: &HeaderMap) -> bool {
    let varies_by_cookie =
        || matches!(vary::varies(headers), Varies::By(names) if names.contains(&header::COOKIE));
    headers.contains_key(header::SET_COOKIE) && !varies_by_cookie()
}

/// Some servers take the method from these headers: what looks like GET may be anything.
fn overrides_method(request: &request::Parts) -> bool {
    const OVERRIDES: [HeaderName; 3] = [
        HeaderName::from_static("x-http-method-override"),
        HeaderName::from_static("x-http-method"),
        HeaderName::from_static("x-method-override"),
    ];
    OVERRIDES.iter().any(|name| request.headers.contains_key(name))
}

/// Conditions that only the origin can judge (RFC 9110 §13.1.1, §13.1.4).
fn has_strong_conditions(request: &request::Parts) -> bool {
    request.headers.contains_key(header::IF_MATCH)
        || request.headers.contains_key(header::IF_UNMODIFIED_SINCE)
}

impl Exchange {
    fn policy(&self) -> &Policy {
        &self.engine.policy
    }

    /// The key of the variant of what lies under `row` that this request selects.
    fn variant(&self, row: &Key, names: &[HeaderName], facet: Facet<'_>) -> Key {
        key::variant_key(&*self.engine.digest, row, names, &self.request.headers, facet)
    }

    /// What is not to be used of a stored response that was not validated (§5.2.2.4), nor of one that was an answer to another cookie: a
    /// cookie that was set for that would end the session of this one.
    fn withheld(&self, standing: &Standing, headers: &HeaderMap) -> Vec<HeaderName> {
        let mut withheld = standing.withheld(headers);
        if self.rows.are_for_any_cookie() && sets_cookies_of_others(headers) {
            withheld.push(header::SET_COOKIE);
        }
        withheld
    }

    /// A stored response that its origin has just confirmed, or of which nothing is withheld.
    fn hit<B: StoredBody>(
        &self,
        entry: Box<Entry<B>>,
        conditions: &Conditions,
        status: CacheStatus,
        freshness: Freshness,
        now: Timestamp,
    ) -> Hit<B> {
        let kind = self.hit_kind(&entry, conditions, now);
        let age_header = self.policy().age_header;
        Hit { key: self.at, entry, kind, freshness, status, age_header, withheld: Vec::new() }
    }

    fn hit_kind<B: StoredBody>(&self, entry: &Entry<B>, conditions: &Conditions, now: Timestamp) -> HitKind {
        if self.request.method == Method::HEAD {
            conditions.answer_to_head(entry, now)
        } else {
            conditions.answer(entry, entry.body.length(), now)
        }
    }

    /// The lifetime the user wants for the answer to this very request.
    fn wish(&self) -> Option<Expire> {
        self.options.ttl.or_else(|| self.policy().url_rule(|| self.target.uri.to_string()))
    }
}
