//! The exchange: what to do with one request, step by step. It does no IO and reads no clock.
//!
//! [`Engine::begin`] takes a request and says what to look up; [`Lookup::found`] takes what was found and says whether to serve it,
//! to send the request or to refuse; [`Pending::settle`] takes what the network said and says what to keep, to serve and to forget.
//! Each step consumes the last one, so none can be skipped, repeated or answered twice. The rules themselves are in `rules` and
//! `validate`; here is only their order (RFC 9111 §4).

use crate::directives::{MaxStale, RequestDirectives};
use crate::hit::Hit;
use crate::key::{self, Digest, Key};
use crate::policy::{Head, Policy, Validation, Writes};
use crate::rules::{self, Failure, Freshness, Standing};
use crate::validate::{self, Conditions};
use crate::{
    CacheStatus, Detail, Entry, Expire, Forward, Mode, RequestOptions, Signpost, Slot, Stored, StoredBody, Timestamp,
};
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header, request, response};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestBody<'a> {
    /// All of it; often nothing.
    Seen(&'a [u8]),
    /// It is a stream. Requests that only their body tells apart cannot be cached.
    Unseen,
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
#[derive(Clone, Copy, Debug)]
pub enum Outcome<'a> {
    /// A final response; its body may still be on its way.
    Response(&'a response::Parts),
    /// No response.
    Failed,
}

/// What becomes of what the network said.
#[derive(Debug)]
pub enum Settled<B> {
    /// The caller gets the network's answer.
    Network {
        /// What to store once the body is complete.
        keep: Option<Box<Keep>>,
        /// What to write back.
        touch: Option<Touch<B>>,
        /// What to remove from the store.
        forget: Vec<Key>,
        /// What the cache did.
        status: CacheStatus,
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
    /// Until when it can be of any use.
    pub useful_until: Timestamp,
}

/// A response to store.
#[derive(Debug, PartialEq)]
pub struct Keep {
    /// Where.
    pub key: Key,
    /// What, but for its body.
    pub entry: Entry<()>,
    /// The signpost to write first, where the response varies.
    pub signpost: Option<(Key, Signpost)>,
    /// Until when it can be of any use.
    pub useful_until: Timestamp,
    /// The longest body that may be stored, in bytes.
    pub max_body: u64,
}

/// Everything about one request, on its way through the steps.
#[derive(Debug)]
struct Exchange {
    engine: Arc<Engine>,
    /// As it is to be sent; until then, as it came.
    request: request::Parts,
    options: RequestOptions,
    said: RequestDirectives,
    /// The key of the request itself.
    key: Key,
    /// Where to look next, and where the answer would be stored.
    at: Key,
    signpost: Option<Signpost>,
    aliases: u8,
    /// When it is sent, as far as we know (`request_time` of §4.2.3).
    sent: Timestamp,
}

/// How many aliases are followed: one for a redirect of keys, and no loops.
const MAX_ALIASES: u8 = 1;

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

    /// Begins an exchange. [`RequestOptions`] among the request's extensions count.
    pub fn begin<B: StoredBody>(
        self: &Arc<Self>,
        request: request::Parts,
        body: RequestBody<'_>,
        now: Timestamp,
    ) -> Decision<B> {
        let options = request.extensions.get::<RequestOptions>().cloned().unwrap_or_default();
        let said = merged(RequestDirectives::parse(&request.headers), &options);
        let key = self.looked_up(&request, body, &options);
        let mut exchange = Box::new(Exchange {
            engine: Arc::clone(self),
            request,
            options,
            said,
            key: Key::from_bytes([0; 32]),
            at: Key::from_bytes([0; 32]),
            signpost: None,
            aliases: 0,
            sent: now,
        });
        match key {
            Ok(key) => {
                (exchange.key, exchange.at) = (key, key);
                Decision::Lookup(Lookup(exchange))
            }
            Err(status) if said.only_if_cached => Decision::Refuse(status),
            Err(status) => Decision::Send(Pending { exchange, role: Role::PassThrough, status, conditions: None }),
        }
    }

    /// The key under which an answer may be stored, or why the request is sent whatever is stored.
    fn looked_up(
        &self,
        request: &request::Parts,
        body: RequestBody<'_>,
        options: &RequestOptions,
    ) -> Result<Key, CacheStatus> {
        let bypass = CacheStatus::forwarded(Forward::Bypass);
        if options.mode == Mode::Bypass || overrides_method(request) || has_strong_conditions(request) {
            return Err(bypass);
        }
        if !self.policy.methods.contains(&request.method) {
            return Err(CacheStatus::forwarded(Forward::Method));
        }
        let RequestBody::Seen(seen) = body else { return Err(bypass.with(Detail::BodyUnseen)) };
        let method = self.stored_method(&request.method);
        Ok(key::request_key(&self.policy, &*self.digest, &method, &request.uri, request, seen, options))
    }

    /// The method under whose key answers to `method` are found.
    fn stored_method(&self, method: &Method) -> Method {
        match self.policy.head {
            Head::FromGet if method == Method::HEAD => Method::GET,
            _ => method.clone(),
        }
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

/// Some servers take the method from these headers: what looks like GET may be anything.
fn overrides_method(request: &request::Parts) -> bool {
    ["x-http-method-override", "x-http-method", "x-method-override"]
        .iter()
        .any(|name| request.headers.contains_key(*name))
}

/// Conditions that only the origin can judge (RFC 9110 §13.1.1, §13.1.4).
fn has_strong_conditions(request: &request::Parts) -> bool {
    request.headers.contains_key(header::IF_MATCH) || request.headers.contains_key(header::IF_UNMODIFIED_SINCE)
}

/// Waits for what the store holds under [`key`](Lookup::key).
#[derive(Debug)]
pub struct Lookup(Box<Exchange>);

impl Lookup {
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
    fn policy(&self) -> &Policy {
        &self.engine.policy
    }

    fn variant(&self, signpost: &Signpost) -> Key {
        let digest = &*self.engine.digest;
        key::variant_key(digest, &self.key, &signpost.names, &self.request.headers, None)
    }

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
        Decision::Send(Pending { exchange: self, role: Role::Fetch, status, conditions: None })
    }

    /// §4: whether the stored response may be used, by its freshness and by what the request accepts.
    fn judge<B: StoredBody>(self: Box<Self>, entry: Box<Entry<B>>, now: Timestamp) -> Decision<B> {
        let policy = self.policy();
        if self.options.mode == Mode::ForceRefresh {
            let status = CacheStatus::forwarded(Forward::Request);
            return Decision::Send(Pending { exchange: self, role: Role::Fetch, status, conditions: None });
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

    fn hit<B: StoredBody>(
        &self,
        entry: Box<Entry<B>>,
        conditions: &Conditions,
        status: CacheStatus,
        freshness: Freshness,
        now: Timestamp,
    ) -> Hit<B> {
        let answer = if self.request.method == Method::HEAD && entry.method != Method::HEAD {
            conditions.answer_to_head(&entry, now)
        } else {
            conditions.answer(&entry, entry.body.length(), now)
        };
        Hit { key: self.at, entry, answer, freshness, status, age_header: self.policy().age_header }
    }

    /// What writes an entry back, if anything may be written.
    fn touch<B>(&self, entry: Box<Entry<B>>) -> Option<Touch<B>> {
        let policy = self.policy();
        (policy.writes == Writes::Allowed).then(|| Touch {
            key: self.at,
            useful_until: rules::useful_until(policy, &entry),
            entry,
        })
    }

    /// What is to be removed, if anything may be.
    fn forget(&self, keys: Vec<Key>) -> Vec<Key> {
        if self.policy().writes == Writes::Allowed { keys } else { Vec::new() }
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
        Pending { exchange: self, role: Role::Validate(entry), status, conditions }
    }

    /// The lifetime the user wants for the answer to this very request.
    fn wish(&self) -> Option<Expire> {
        self.options.ttl.or_else(|| self.policy().url_rule(|| self.request.uri.to_string()))
    }

    /// The key under which GET for `uri` finds what this request, with an unsafe method, may have changed.
    fn key_of_get(&self, uri: &Uri) -> Key {
        let (policy, digest) = (self.policy(), &*self.engine.digest);
        key::request_key(policy, digest, &Method::GET, uri, &self.request, &[], &self.options)
    }

    /// §4.4: the target, and what Location and Content-Location name on the same origin.
    fn invalidated(&self, answer: &response::Parts) -> Vec<Key> {
        let target = &self.request.uri;
        let named = [header::LOCATION, header::CONTENT_LOCATION]
            .iter()
            .filter_map(|name| answer.headers.get(name)?.to_str().ok())
            .filter_map(|reference| resolve(target, reference))
            .filter(|uri| key::origin(uri) == key::origin(target));
        let mut keys = vec![self.key_of_get(target)];
        keys.extend(named.map(|uri| self.key_of_get(&uri)));
        keys
    }
}

/// A URI reference (RFC 3986 §5) as an absolute URI.
fn resolve(base: &Uri, reference: &str) -> Option<Uri> {
    url::Url::parse(&base.to_string()).ok()?.join(reference).ok()?.as_str().parse().ok()
}

/// Waits for what the network says to [`request`](Pending::request).
#[derive(Debug)]
pub struct Pending<B> {
    exchange: Box<Exchange>,
    role: Role<B>,
    status: CacheStatus,
    /// What the client itself asked for, where the request now asks for something else.
    conditions: Option<Conditions>,
}

/// What the answer is for.
#[derive(Debug)]
enum Role<B> {
    /// The caller only.
    PassThrough,
    /// To be stored.
    Fetch,
    /// To tell whether this still holds, or to replace it.
    Validate(Box<Entry<B>>),
}

impl<B: StoredBody> Pending<B> {
    /// What to send: the caller's request, perhaps with other conditions.
    pub fn request(&self) -> &request::Parts {
        &self.exchange.request
    }

    /// What the cache did so far.
    pub fn status(&self) -> CacheStatus {
        self.status
    }

    /// The stored response that is being validated.
    pub fn stored(&self) -> Option<&Entry<B>> {
        match &self.role {
            Role::Validate(entry) => Some(entry),
            Role::PassThrough | Role::Fetch => None,
        }
    }

    /// Where the answer would be stored; requests with the same key may share one way to the origin.
    /// `None` where the answer is for the caller alone.
    pub fn key(&self) -> Option<&Key> {
        match &self.role {
            Role::PassThrough => None,
            Role::Fetch | Role::Validate(_) => Some(&self.exchange.at),
        }
    }

    /// Takes what the network said.
    pub fn settle(self, outcome: Outcome<'_>, now: Timestamp) -> Settled<B> {
        let Self { exchange, role, status, conditions } = self;
        match (role, outcome) {
            (Role::Validate(entry), outcome) => Validating { exchange, entry, status, conditions }.settle(outcome, now),
            (_, Outcome::Failed) => Settled::Failed(status),
            (Role::PassThrough, Outcome::Response(response)) => exchange.pass_through(response, status),
            (Role::Fetch, Outcome::Response(response)) => exchange.keep(response, status, Vec::new(), now),
        }
    }
}

/// A validation under way.
struct Validating<B> {
    exchange: Box<Exchange>,
    entry: Box<Entry<B>>,
    status: CacheStatus,
    conditions: Option<Conditions>,
}

impl<B: StoredBody> Validating<B> {
    fn settle(self, outcome: Outcome<'_>, now: Timestamp) -> Settled<B> {
        let response = match outcome {
            Outcome::Failed if self.may_stand_in(Failure::NoAnswer, now) => return self.stand_in(None, now),
            Outcome::Failed => return Settled::Failed(self.status),
            Outcome::Response(response) => response,
        };
        let asked = self.conditions.is_some();
        if response.status == StatusCode::NOT_MODIFIED && asked {
            if validate::confirms(&self.entry, &response.headers) {
                return self.confirmed(response, now);
            }
            return self.resend();
        }
        if Failure::of(response.status).is_some_and(|failure| self.may_stand_in(failure, now)) {
            return self.stand_in(Some(response.status), now);
        }
        let Self { mut exchange, entry, status, .. } = self;
        if exchange.request.method == Method::HEAD && entry.method == Method::GET {
            return exchange.freshen_by_head(entry, response, status, now);
        }
        if asked {
            validate::make_unconditional(&mut exchange.request.headers);
        }
        let outdated = if replaces(response.status) { vec![exchange.at] } else { Vec::new() };
        exchange.keep(response, status, outdated, now)
    }

    fn freshness(&self, now: Timestamp) -> Freshness {
        self.exchange.engine.freshness(&self.entry, now)
    }

    /// RFC 5861 §4. A request that wants validation gets no unvalidated answer (§5.2.1.4).
    fn may_stand_in(&self, failure: Failure, now: Timestamp) -> bool {
        let Exchange { said, .. } = &*self.exchange;
        let policy = self.exchange.policy();
        !said.no_cache && Standing::of(policy, &self.entry, now).stale_if_error(policy, said, failure)
    }

    fn stand_in(self, answered: Option<StatusCode>, now: Timestamp) -> Settled<B> {
        let status = CacheStatus { forward_status: answered, ..self.status.with(Detail::StaleIfError) };
        Settled::Stored { hit: self.into_hit(status, now), touch: None }
    }

    /// §4.3.4
    fn confirmed(mut self, response: &response::Parts, now: Timestamp) -> Settled<B> {
        self.exchange.freshen(&mut self.entry, &response.headers, now);
        let touch = self.exchange.touch(self.entry.clone());
        let status = CacheStatus {
            forward_status: Some(response.status),
            ttl: self.freshness(now).ttl(),
            stored: if touch.is_some() { Stored::Yes } else { Stored::No },
            ..self.status
        };
        Settled::Stored { hit: self.into_hit(status, now), touch }
    }

    fn resend(self) -> Settled<B> {
        let Self { mut exchange, status, .. } = self;
        validate::make_unconditional(&mut exchange.request.headers);
        Settled::Resend(Pending { exchange, role: Role::Fetch, status, conditions: None })
    }

    fn into_hit(self, status: CacheStatus, now: Timestamp) -> Hit<B> {
        let freshness = self.freshness(now);
        let Self { exchange, entry, conditions, .. } = self;
        let conditions = conditions.unwrap_or_else(|| Conditions::of(&exchange.request.headers));
        exchange.hit(entry, &conditions, status, freshness, now)
    }
}

/// Whether an answer with this status shows that what was stored is out of date, whether or not the answer is stored itself.
fn replaces(status: StatusCode) -> bool {
    let redirects = status.is_redirection() && status != StatusCode::NOT_MODIFIED;
    status.is_success() || redirects || status == StatusCode::NOT_FOUND || status == StatusCode::GONE
}

impl Exchange {
    fn pass_through<B>(&self, response: &response::Parts, status: CacheStatus) -> Settled<B> {
        let method = &self.request.method;
        let invalidates =
            !self.policy().methods.contains(method) && rules::invalidates(method, response.status);
        Settled::Network {
            keep: None,
            touch: None,
            forget: if invalidates { self.forget(self.invalidated(response)) } else { Vec::new() },
            status: CacheStatus { forward_status: Some(response.status), ..status },
        }
    }

    /// §3: stores the answer, if it may be. `outdated` is what it replaces in any case.
    fn keep<B>(
        &self,
        response: &response::Parts,
        status: CacheStatus,
        outdated: Vec<Key>,
        now: Timestamp,
    ) -> Settled<B> {
        let policy = self.policy();
        let status = CacheStatus { forward_status: Some(response.status), ttl: None, ..status };
        let storable = match self.storable(response, now) {
            Ok(storable) => storable,
            Err(detail) => {
                let status = status.with(detail);
                return Settled::Network { keep: None, touch: None, forget: self.forget(outdated), status };
            }
        };
        let entry = Entry {
            method: self.request.method.clone(),
            url: policy.redactor.url(&self.request.uri.to_string()),
            request_headers: policy.kept_request_headers(&self.request.headers),
            status: response.status,
            version: response.version,
            headers: rules::stored_headers(&response.headers),
            requested: self.sent,
            received: now,
            ttl: storable.ttl,
            tags: self.options.tags.clone(),
            body: (),
        };
        let signpost = self.signpost_for(storable.varies, now);
        let key = signpost.as_ref().map_or(self.key, |signpost| self.variant(signpost));
        let ttl = self.engine.freshness(&entry, now).ttl();
        let keep = Keep {
            key,
            useful_until: rules::useful_until(policy, &entry),
            signpost: signpost.map(|signpost| (self.key, signpost)),
            max_body: policy.limits.body,
            entry,
        };
        Settled::Network {
            keep: Some(Box::new(keep)),
            touch: None,
            forget: outdated.into_iter().filter(|old| *old != key).collect(),
            status: CacheStatus { stored: Stored::Yes, ttl, ..status },
        }
    }

    fn storable(&self, response: &response::Parts, now: Timestamp) -> Result<rules::Storable, Detail> {
        if self.request.method == Method::HEAD && self.policy().head == Head::FromGet {
            return Err(Detail::Method);
        }
        rules::storable(self.policy(), &self.request, &self.said, response, self.wish(), now)
    }

    /// §4.1: the signpost of a response that varies: by what earlier ones varied by, too, so that all of them stay in reach.
    fn signpost_for(&self, names: Vec<HeaderName>, now: Timestamp) -> Option<Signpost> {
        if names.is_empty() {
            return None;
        }
        let known = self.signpost.as_ref();
        let mut union: Vec<HeaderName> = known.iter().flat_map(|known| &known.names).chain(&names).cloned().collect();
        union.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        union.dedup();
        if union.len() > self.policy().limits.vary_names {
            return Some(Signpost { names, since: now });
        }
        Some(Signpost { names: union, since: known.map_or(now, |known| known.since) })
    }

    /// §4.3.4, §4.3.5: takes news about a stored response in.
    fn freshen<B>(&self, entry: &mut Entry<B>, news: &HeaderMap, now: Timestamp) {
        validate::update(&mut entry.headers, news);
        entry.requested = self.sent;
        entry.received = now;
        if let Ok(ttl) = rules::user_ttl(self.policy(), &entry.headers, self.wish(), now) {
            entry.ttl = ttl;
        }
    }

    /// §4.3.5: an answer to HEAD tells whether the stored answer to GET still holds.
    fn freshen_by_head<B: StoredBody>(
        &self,
        mut entry: Box<Entry<B>>,
        head: &response::Parts,
        status: CacheStatus,
        now: Timestamp,
    ) -> Settled<B> {
        let status = CacheStatus { forward_status: Some(head.status), ..status };
        if !head.status.is_success() {
            return Settled::Network { keep: None, touch: None, forget: Vec::new(), status };
        }
        if !validate::head_agrees(&entry, head.status, &head.headers) {
            let forget = self.forget(vec![self.at]);
            return Settled::Network { keep: None, touch: None, forget, status };
        }
        self.freshen(&mut entry, &head.headers, now);
        Settled::Network { keep: None, touch: self.touch(entry), forget: Vec::new(), status }
    }
}
