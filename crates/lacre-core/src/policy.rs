//! The policy: everything the user can set. It is data, which the rules read. The presets
//! [`Policy::rfc9111`] and [`Policy::requests_cache`] differ only in values.

use crate::redact::Redactor;
use crate::{Expire, UrlPattern};
use http::{HeaderMap, HeaderName, Method, StatusCode, request, response};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The users of a cache (RFC 9111 §1). It decides the meaning of `private`, `s-maxage`,
/// `proxy-revalidate` and `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// One user.
    Private,
    /// Several users, as in a proxy.
    Shared,
}

/// The precedence of the origin's Cache-Control, Expires and heuristics over the user's lifetimes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginHeaders {
    /// The origin decides. A lifetime for this request or its URL overrides it; the user's default
    /// applies if the origin set none.
    Obeyed,
    /// The origin decides, even over the user's lifetimes.
    First,
    /// The user decides. The origin's directives are ignored, even `no-store`.
    Ignored,
}

/// The request headers that are part of the cache key, besides those that responses name in Vary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MatchHeaders {
    /// None.
    #[default]
    None,
    /// All except headers of the connection and the cache.
    All,
    /// These headers.
    Only(Vec<HeaderName>),
}

/// The time after its lifetime in which a response may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Staleness {
    /// As long as the response allows (RFC 5861).
    AsResponseSays,
    /// At least this long, or longer if the response allows it.
    For(Duration),
    /// As long as it is stored.
    Any,
}

/// Whether requests with different credentials may share an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partition {
    Credentials,
    Shared,
}

/// The use of `Cookie` in the keys of a private cache (decision 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieKeys {
    /// The key includes the cookie only if neither the origin nor the user gave the response a
    /// lifetime.
    WithoutLifetime,
    /// The key always includes the cookie.
    Always,
}

/// Whether the order of query parameters is part of the cache key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryOrder {
    /// It is (RFC 9110 §4.2.3).
    Significant,
    /// Parameters are sorted.
    Sorted,
}

/// The heuristic for responses without explicit freshness (RFC 9111 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heuristic {
    /// The fraction of the time since Last-Modified, in percent.
    pub(crate) percent: u32,
    pub(crate) at_most: Duration,
}

/// Limits on what an origin can make the cache store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) body: u64,
    pub(crate) header_bytes: usize,
    pub(crate) vary_names: usize,
    pub(crate) variants: usize,
}

type KeyFn = dyn Fn(&request::Parts, &[u8]) -> String + Send + Sync;
type Filter = dyn Fn(&request::Parts, &response::Parts) -> bool + Send + Sync;

/// The settings for all requests through one cache. [`RequestOptions`](crate::RequestOptions)
/// override them for a single request.
#[derive(Clone)]
pub struct Policy {
    pub(crate) scope: Scope,
    pub(crate) origin_headers: OriginHeaders,
    pub(crate) methods: Vec<Method>,
    pub(crate) head: Head,
    pub(crate) statuses: Option<Vec<StatusCode>>,
    pub(crate) expire_after: Option<Expire>,
    pub(crate) url_rules: Vec<(UrlPattern, Expire)>,
    pub(crate) heuristic: Option<Heuristic>,
    pub(crate) match_headers: MatchHeaders,
    pub(crate) query_order: QueryOrder,
    pub(crate) ignored: Redactor,
    pub(crate) redactor: Redactor,
    pub(crate) principals: Redactor,
    pub(crate) partition: Partition,
    pub(crate) cookie_keys: CookieKeys,
    pub(crate) stale_if_error: Staleness,
    pub(crate) stale_while_revalidate: Staleness,
    pub(crate) validation: Validation,
    pub(crate) writes: Writes,
    pub(crate) age_header: AgeHeader,
    pub(crate) request_headers: RequestHeaders,
    pub(crate) retention: Duration,
    pub(crate) limits: Limits,
    pub(crate) key_fn: Option<Arc<KeyFn>>,
    pub(crate) filter: Option<Arc<Filter>>,
}

/// The stored response that answers a HEAD request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The stored answer to GET (RFC 9110 §9.3.2). An answer to HEAD freshens it (RFC 9111 §4.3.5).
    /// If there is none, a stored answer to HEAD.
    FromGet,
    /// A stored answer to HEAD.
    OnItsOwn,
}

/// The time at which a stored response is validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    WhenStale,
    Always,
}

/// Whether the cache writes to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    Allowed,
    Never,
}

/// Whether a hit has an `Age` header (RFC 9111 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgeHeader {
    Added,
    Untouched,
}

/// Whether an entry keeps the redacted headers of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestHeaders {
    Kept,
    Dropped,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Policy {
    /// A private cache by RFC 9111. The origin decides; the user may override lifetimes per URL and
    /// per request.
    pub fn rfc9111() -> Self {
        Self {
            scope: Scope::Private,
            origin_headers: OriginHeaders::Obeyed,
            methods: vec![Method::GET, Method::HEAD],
            head: Head::FromGet,
            statuses: None,
            expire_after: None,
            url_rules: Vec::new(),
            heuristic: Some(Heuristic { percent: 10, at_most: DAY }),
            match_headers: MatchHeaders::None,
            query_order: QueryOrder::Significant,
            ignored: Redactor::never_usual(),
            redactor: Redactor::default(),
            principals: Redactor::none(),
            partition: Partition::Credentials,
            cookie_keys: CookieKeys::WithoutLifetime,
            stale_if_error: Staleness::AsResponseSays,
            stale_while_revalidate: Staleness::AsResponseSays,
            validation: Validation::WhenStale,
            writes: Writes::Allowed,
            age_header: AgeHeader::Added,
            request_headers: RequestHeaders::Dropped,
            retention: DAY * 30,
            limits: Limits { body: 64 << 20, header_bytes: 64 << 10, vary_names: 16, variants: 64 },
            key_fn: None,
            filter: None,
        }
    }

    /// The defaults of `requests-cache`: every GET and HEAD with status 200 is kept forever unless
    /// the user says otherwise, and the origin's Cache-Control is ignored. Unlike there,
    /// credentials still partition the cache.
    pub fn requests_cache() -> Self {
        Self {
            origin_headers: OriginHeaders::Ignored,
            statuses: Some(vec![StatusCode::OK]),
            head: Head::OnItsOwn,
            expire_after: Some(Expire::Never),
            heuristic: None,
            query_order: QueryOrder::Sorted,
            age_header: AgeHeader::Untouched,
            request_headers: RequestHeaders::Kept,
            ..Self::rfc9111()
        }
    }

    /// Serves several users, as in a proxy.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.scope = Scope::Shared;
        self
    }

    /// Serves one user (the default). The cache key omits the cookie if the response has a lifetime
    /// from the origin or the user and does not vary by `Cookie`. See
    /// [`partition_by_cookies`](Self::partition_by_cookies).
    #[must_use]
    pub fn private(mut self) -> Self {
        self.scope = Scope::Private;
        self
    }

    /// Sets the precedence of the origin's headers.
    #[must_use]
    pub fn origin_headers(mut self, origin_headers: OriginHeaders) -> Self {
        self.origin_headers = origin_headers;
        self
    }

    /// Sets the methods that are looked up and stored. Other methods pass through; unsafe ones
    /// invalidate. A stored answer to GET answers HEAD. If there is none, answers to HEAD are
    /// stored for HEAD.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Stores only responses with these statuses. The user's lifetimes apply to all of them,
    /// including errors.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = Some(statuses.into_iter().collect());
        self
    }

    /// Sets the default lifetime, for responses without a URL rule or a request option.
    ///
    /// Every lifetime that the user sets applies to the statuses 200, 203, 204, 206, 300, 301 and
    /// 308, and to those in [`statuses`](Self::statuses). For other statuses, it can only shorten
    /// the lifetime that the origin set, so errors are not kept.
    #[must_use]
    pub fn expire_after(mut self, expire: impl Into<Expire>) -> Self {
        self.expire_after = Some(expire.into());
        self
    }

    /// Adds a lifetime for the URLs that match `pattern`. The first matching rule decides.
    #[must_use]
    pub fn expire_url_after(mut self, pattern: UrlPattern, expire: impl Into<Expire>) -> Self {
        self.url_rules.push((pattern, expire.into()));
        self
    }

    /// Disables heuristic freshness (RFC 9111 §4.2.2).
    #[must_use]
    pub fn without_heuristics(mut self) -> Self {
        self.heuristic = None;
        self
    }

    /// Sets the request headers that are part of the cache key, even if Vary does not name them.
    #[must_use]
    pub fn match_headers(mut self, headers: MatchHeaders) -> Self {
        self.match_headers = headers;
        self
    }

    /// Sets whether the order of query parameters is part of the cache key.
    #[must_use]
    pub fn query_order(mut self, order: QueryOrder) -> Self {
        self.query_order = order;
        self
    }

    /// Ignores parameters and headers: their values are not part of the cache key and are not
    /// stored. The names are those of query, form and JSON parameters and headers, without regard
    /// to case. The usual names of credentials stay part of the key, unless
    /// [`danger_share_across_credentials`](Self::danger_share_across_credentials) is set.
    #[must_use]
    pub fn ignored_parameters<I: IntoIterator<Item = S>, S: AsRef<str>>(mut self, names: I) -> Self {
        for name in names {
            self.ignored.add(name.as_ref());
            self.redactor.add(name.as_ref());
        }
        self
    }

    /// Redacts parameters and headers, besides the usual names of secrets: their values are part of
    /// the cache key but are not stored.
    #[must_use]
    pub fn redact<I: IntoIterator<Item = S>, S: AsRef<str>>(mut self, names: I) -> Self {
        for name in names {
            self.redactor.add(name.as_ref());
        }
        self
    }

    /// Partitions the cache by headers, besides the usual ones: requests with different values
    /// share no answer. The values are secret. Names compare without regard to case, `-` and `_`.
    ///
    /// The usual names are those of credentials (`Authorization`, `Cookie`, names that end in
    /// `-Key`, `-Token`, `-Secret`, …) and of identities that a proxy adds (`Remote-User`,
    /// `X-Auth-Request-*`, `Client-Cert`, `X-Tenant-Id`, …). See
    /// [`partitions_by_header`](Self::partitions_by_header).
    #[must_use]
    pub fn partition_by_headers<I: IntoIterator<Item = S>, S: AsRef<str>>(mut self, names: I) -> Self {
        for name in names {
            self.principals.add(name.as_ref());
            self.redactor.add(name.as_ref());
        }
        self
    }

    /// Lets requests with different credentials share an answer. A user may then receive a response
    /// that was fetched for another one.
    #[must_use]
    pub fn danger_share_across_credentials(mut self) -> Self {
        self.partition = Partition::Shared;
        self.ignored.allow_usual();
        self
    }

    /// Includes the `Cookie` in every cache key of a private cache. Set it if the program serves
    /// several users who differ only in their cookies. A shared cache always includes it.
    #[must_use]
    pub fn partition_by_cookies(mut self) -> Self {
        self.cookie_keys = CookieKeys::Always;
        self
    }

    /// Sets the staleness up to which a response is used if the origin fails. By default, the
    /// response decides. If it has no limit and the origin does not answer, any staleness is
    /// accepted (RFC 9111 §4.2.4).
    #[must_use]
    pub fn stale_if_error(mut self, staleness: Staleness) -> Self {
        self.stale_if_error = staleness;
        self
    }

    /// Sets the staleness up to which a response is used while it is refreshed in the background.
    #[must_use]
    pub fn stale_while_revalidate(mut self, staleness: Staleness) -> Self {
        self.stale_while_revalidate = staleness;
        self
    }

    /// Validates a stored response at every use, if it has a validator.
    #[must_use]
    pub fn always_revalidate(mut self) -> Self {
        self.validation = Validation::Always;
        self
    }

    /// Only reads: nothing is stored, refreshed, invalidated or quarantined.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.writes = Writes::Never;
        self
    }

    /// Whether [`read_only`](Self::read_only) is set.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.writes == Writes::Never
    }

    /// Sets the time that a response is kept after its lifetime, for validation and for failures of
    /// the origin. Its seal expires then.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Stores the redacted request headers with each response.
    #[must_use]
    pub fn keep_request_headers(mut self) -> Self {
        self.request_headers = RequestHeaders::Kept;
        self
    }

    /// Sets the length of the longest body that is stored, in bytes (64 MiB). Longer bodies pass
    /// through.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.limits.body = bytes;
        self
    }

    /// Sets the number of stored variants of a response (64, at least one): for other values of the
    /// headers that it varies by, other languages, and parts. The oldest is removed if there are
    /// more, so that one URL cannot fill the store. If several are stored at the same time, one may
    /// be left out of the index and stay until it expires.
    #[must_use]
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.limits.variants = variants.max(1);
        self
    }

    /// Sets a function that computes the identity of a request from its head and body. It replaces
    /// method, URL, body and matched headers, including `X-Forwarded-Host`. Credentials still
    /// partition the cache, and only a digest of the result is stored.
    #[must_use]
    pub fn key_fn(mut self, key: impl Fn(&request::Parts, &[u8]) -> String + Send + Sync + 'static) -> Self {
        self.key_fn = Some(Arc::new(key));
        self
    }

    /// Stores only the responses for which `keep` returns true.
    #[must_use]
    pub fn filter(
        mut self,
        keep: impl Fn(&request::Parts, &response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.filter = Some(Arc::new(keep));
        self
    }

    /// Redacts a URL, as in [entries](crate::Entry).
    pub fn redact_url(&self, url: &str) -> String {
        self.redactor.url(url)
    }

    /// Whether requests with this method are looked up. The cache must see the body of such
    /// requests.
    pub fn caches_method(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    pub(crate) fn kept_request_headers(&self, headers: &HeaderMap) -> HeaderMap {
        match self.request_headers {
            RequestHeaders::Kept => self.redactor.headers(headers),
            RequestHeaders::Dropped => HeaderMap::new(),
        }
    }

    /// The lifetime of the first URL rule that matches.
    pub(crate) fn url_rule(&self, url: impl FnOnce() -> String) -> Option<Expire> {
        if self.url_rules.is_empty() {
            return None;
        }
        let url = url();
        self.url_rules.iter().find(|(pattern, _)| pattern.matches(&url)).map(|(_, expire)| *expire)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::rfc9111()
    }
}

/// Shows the settings, and whether there are user functions.
impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policy")
            .field("scope", &self.scope)
            .field("origin_headers", &self.origin_headers)
            .field("methods", &self.methods)
            .field("statuses", &self.statuses)
            .field("expire_after", &self.expire_after)
            .field("url_rules", &self.url_rules.len())
            .field("match_headers", &self.match_headers)
            .field("partition", &self.partition)
            .field("key_fn", &self.key_fn.is_some())
            .field("filter", &self.filter.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_matching_url_rule_decides() {
        let policy = Policy::rfc9111()
            .expire_url_after(UrlPattern::glob("example.com/a").unwrap(), Expire::DoNotStore)
            .expire_url_after(UrlPattern::glob("example.com").unwrap(), Duration::from_secs(5));
        assert_eq!(policy.url_rule(|| "http://example.com/a/x".into()), Some(Expire::DoNotStore));
        assert_eq!(
            policy.url_rule(|| "http://example.com/b".into()),
            Some(Expire::After(Duration::from_secs(5)))
        );
        assert_eq!(policy.url_rule(|| "http://example.org/".into()), None);
    }
}
