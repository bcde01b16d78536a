//! What the user wishes. A policy is data: the rules read it, and nothing else decides. Two presets, [`Policy::rfc9111`] and
//! [`Policy::requests_cache`], differ in values only.

use crate::redact::Redactor;
use crate::{Expire, UrlPattern};
use http::{HeaderMap, HeaderName, Method, StatusCode, request, response};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Whose cache this is (RFC 9111 §1): it decides what `private`, `s-maxage`, `proxy-revalidate` and `Authorization` mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// One user's own.
    Private,
    /// Shared between users, like a proxy's.
    Shared,
}

/// How much the origin's Cache-Control, Expires and the heuristics count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OriginHeaders {
    /// The origin decides, unless the user spoke about this very request or its URL; the user's default fills its silence.
    Obeyed,
    /// Whatever the origin says comes before whatever the user says.
    First,
    /// Only the user decides; even `no-store` is not heard.
    Ignored,
}

/// Which request headers tell two requests apart, besides what responses name in Vary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum MatchHeaders {
    /// None.
    #[default]
    None,
    /// All but those that only concern the connection or the cache.
    All,
    /// These.
    Only(Vec<HeaderName>),
}

/// How long past its lifetime a response may still be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Staleness {
    /// As far as the response itself allows (RFC 5861).
    AsResponseSays,
    /// This long, or as long as the response itself allows.
    For(Duration),
    /// As long as it is kept.
    Any,
}

/// Whether requests with different credentials may share an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Partition {
    Credentials,
    Shared,
}

/// When a private cache tells requests apart by their `Cookie` (decision 14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CookieKeys {
    /// Where nobody said how long the answer may be reused: neither its origin nor the user.
    WithoutLifetime,
    /// Always.
    Always,
}

/// Whether two URLs that differ in the order of their query parameters are the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueryOrder {
    /// They differ, as RFC 9110 has it.
    Significant,
    /// Parameters are sorted first.
    Sorted,
}

/// Freshness where the origin gave none (RFC 9111 §4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heuristic {
    /// The part of the time since Last-Modified that counts as fresh, in percent.
    pub(crate) percent: u32,
    pub(crate) at_most: Duration,
}

/// Bounds on what an origin can make us keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) body: u64,
    pub(crate) header_bytes: usize,
    pub(crate) vary_names: usize,
    pub(crate) variants: usize,
}

type KeyFn = dyn Fn(&request::Parts, &[u8]) -> String + Send + Sync;
type Filter = dyn Fn(&request::Parts, &response::Parts) -> bool + Send + Sync;

/// What the user wishes, for all requests through one cache; [`RequestOptions`](crate::RequestOptions) speaks for a single one.
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

/// What answers a HEAD request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// The stored answer to GET (RFC 9110 §9.3.2), which an answer to HEAD freshens (RFC 9111 §4.3.5); where there is none, a stored answer to
    /// HEAD.
    FromGet,
    /// A stored answer to HEAD.
    OnItsOwn,
}

/// When a stored response is validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    WhenStale,
    Always,
}

/// Whether anything is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Writes {
    Allowed,
    Never,
}

/// Whether a stored response is served with an `Age` header (RFC 9111 §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AgeHeader {
    Added,
    Untouched,
}

/// Whether an entry remembers the headers of its request, redacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestHeaders {
    Kept,
    Dropped,
}

const DAY: Duration = Duration::from_secs(86_400);

impl Policy {
    /// A private cache by RFC 9111: the origin decides, users may override lifetimes per URL and per request.
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
            ignored: Redactor::sparing_the_usual(),
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

    /// What `requests-cache` does out of the box: the user decides, every GET and HEAD with status 200 is kept for ever, and the
    /// origin's Cache-Control is not heard. Unlike there, credentials still partition the cache.
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

    /// Acts for many users, like a proxy.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.scope = Scope::Shared;
        self
    }

    /// Acts for one user (the default). A cookie does not tell requests apart where the answer has a lifetime, of the origin's or of the
    /// user's, and `Vary` does not name it; [`partition_by_cookies`](Self::partition_by_cookies) changes that.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.scope = Scope::Private;
        self
    }

    /// How much the origin's word counts.
    #[must_use]
    pub fn origin_headers(mut self, origin_headers: OriginHeaders) -> Self {
        self.origin_headers = origin_headers;
        self
    }

    /// The methods that are looked up and stored. Others pass through, and unsafe ones invalidate. HEAD is answered from what is stored for
    /// GET; where nothing is, its own answers are stored, and answer HEAD alone.
    #[must_use]
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Only responses with these statuses are stored. A lifetime of the user's own applies to all of them, errors included.
    #[must_use]
    pub fn statuses(mut self, statuses: impl IntoIterator<Item = StatusCode>) -> Self {
        self.statuses = Some(statuses.into_iter().collect());
        self
    }

    /// The lifetime of responses that no URL rule and no request speaks about.
    ///
    /// Like every lifetime of the user's own, it is for the statuses 200, 203, 204, 206, 300, 301 and 308, and for those that
    /// [`statuses`](Self::statuses) names. An error is not kept for it: other statuses are as fresh as their origin says, or for this long
    /// if that is less.
    #[must_use]
    pub fn expire_after(mut self, expire: impl Into<Expire>) -> Self {
        self.expire_after = Some(expire.into());
        self
    }

    /// Adds a lifetime for the URLs that fit `pattern`; the first rule that fits decides.
    #[must_use]
    pub fn expire_url_after(mut self, pattern: UrlPattern, expire: impl Into<Expire>) -> Self {
        self.url_rules.push((pattern, expire.into()));
        self
    }

    /// Responses without explicit freshness are not kept fresh by guessing (RFC 9111 §4.2.2).
    #[must_use]
    pub fn without_heuristics(mut self) -> Self {
        self.heuristic = None;
        self
    }

    /// Request headers that tell two requests apart even where the response's Vary does not name them.
    #[must_use]
    pub fn match_headers(mut self, headers: MatchHeaders) -> Self {
        self.match_headers = headers;
        self
    }

    /// Whether the order of query parameters counts.
    #[must_use]
    pub fn query_order(mut self, order: QueryOrder) -> Self {
        self.query_order = order;
        self
    }

    /// Parameters and headers whose values neither tell requests apart nor are stored: query, form and JSON parameters and header names,
    /// case-insensitive. The usual names of credentials still tell requests apart, unless they
    /// [may share an answer](Self::danger_share_across_credentials).
    #[must_use]
    pub fn ignored_parameters<I: IntoIterator<Item = S>, S: AsRef<str>>(mut self, names: I) -> Self {
        for name in names {
            self.ignored.add(name.as_ref());
            self.redactor.add(name.as_ref());
        }
        self
    }

    /// Parameters and headers whose values tell requests apart but are never stored, besides the usual names of secrets.
    #[must_use]
    pub fn redact<I: IntoIterator<Item = S>, S: AsRef<str>>(mut self, names: I) -> Self {
        for name in names {
            self.redactor.add(name.as_ref());
        }
        self
    }

    /// Headers whose values tell on whose behalf a request is made, besides the listed names: requests that differ in them share no answer. The
    /// values are treated as secrets. Names compare without regard to case, `-` and `_`.
    ///
    /// The listed names are those of credentials (`Authorization`, `Cookie`, what ends in `-Key`, `-Token`, `-Secret`, …) and of identities that a
    /// proxy adds (`Remote-User`, `X-Auth-Request-*`, `Client-Cert`, `X-Tenant-Id`, …); [`partitions_by_header`](Self::partitions_by_header) says
    /// whether a name is one of them.
    #[must_use]
    pub fn partition_by_headers<I: IntoIterator<Item = S>, S: AsRef<str>>(mut self, names: I) -> Self {
        for name in names {
            self.principals.add(name.as_ref());
            self.redactor.add(name.as_ref());
        }
        self
    }

    /// Lets requests with different credentials share an answer. One user may then receive what was fetched as another.
    #[must_use]
    pub fn danger_share_across_credentials(mut self) -> Self {
        self.partition = Partition::Shared;
        self.ignored.spare_none();
        self
    }

    /// Tells requests apart by their `Cookie` in a private cache, too, whatever the origin says about the answer. For a program that acts for
    /// several users who differ in nothing but their cookies. A shared cache always does.
    #[must_use]
    pub fn partition_by_cookies(mut self) -> Self {
        self.cookie_keys = CookieKeys::Always;
        self
    }

    /// How stale a response may be when the origin fails. At first, that is as long as the response says; and where it says nothing and the
    /// origin cannot be reached at all, as stale as it is (RFC 9111 §4.2.4).
    #[must_use]
    pub fn stale_if_error(mut self, staleness: Staleness) -> Self {
        self.stale_if_error = staleness;
        self
    }

    /// How stale a response may be while it is refreshed in the background.
    #[must_use]
    pub fn stale_while_revalidate(mut self, staleness: Staleness) -> Self {
        self.stale_while_revalidate = staleness;
        self
    }

    /// Validates a stored response at every use, where it has a validator.
    #[must_use]
    pub fn always_revalidate(mut self) -> Self {
        self.validation = Validation::Always;
        self
    }

    /// Reads only: nothing is stored, refreshed, invalidated or put into quarantine.
    #[must_use]
    pub fn read_only(mut self) -> Self {
        self.writes = Writes::Never;
        self
    }

    /// Whether [`read_only`](Self::read_only) was said.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        self.writes == Writes::Never
    }

    /// How long a response is kept past its freshness, to be validated or to stand in for a failing origin. Its seal ends then.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// Remembers the headers of requests, redacted, with the answers to them.
    #[must_use]
    pub fn keep_request_headers(mut self) -> Self {
        self.request_headers = RequestHeaders::Kept;
        self
    }

    /// The longest body that is stored, in bytes (64 MiB). Longer ones pass through.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.limits.body = bytes;
        self
    }

    /// How many variants of one response are kept (64; at least one): answers to other values of the headers that it varies by, in other
    /// languages, and parts. Beyond that, the oldest goes, so that nobody fills the store with one URL.
    /// Where several are stored in the same moment, one may be forgotten that then stays until its time is over.
    #[must_use]
    pub fn max_variants(mut self, variants: usize) -> Self {
        self.limits.variants = variants.max(1);
        self
    }

    /// Your own identity of a request, from its head and body, instead of method, URL, body and matched headers, `X-Forwarded-Host` and its
    /// like among them. Credentials still partition the cache, and what the function returns is digested before anything sees it.
    #[must_use]
    pub fn key_fn(mut self, key: impl Fn(&request::Parts, &[u8]) -> String + Send + Sync + 'static) -> Self {
        self.key_fn = Some(Arc::new(key));
        self
    }

    /// Stores only the responses for which `keep` answers true.
    #[must_use]
    pub fn filter(
        mut self,
        keep: impl Fn(&request::Parts, &response::Parts) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.filter = Some(Arc::new(keep));
        self
    }

    /// A URL as [entries](crate::Entry) have it, without secrets.
    pub fn redact_url(&self, url: &str) -> String {
        self.redactor.url(url)
    }

    /// Whether requests with this method are looked up. Only of these need the cache see the body.
    pub fn caches_method(&self, method: &Method) -> bool {
        self.methods.contains(method)
    }

    pub(crate) fn kept_request_headers(&self, headers: &HeaderMap) -> HeaderMap {
        match self.request_headers {
            RequestHeaders::Kept => self.redactor.headers(headers),
            RequestHeaders::Dropped => HeaderMap::new(),
        }
    }

    /// The lifetime of the first URL rule that fits.
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

/// Settings only; the user's functions show as present or absent.
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
    fn the_first_url_rule_that_fits_decides() {
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
