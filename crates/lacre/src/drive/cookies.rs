//! A cookie jar above the cache, since a request's cookies can be part of its key.

use crate::CacheInfo;
use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use url::Url;

/// The longest cookie and the most cookies kept: the limits of RFC 6265 §6.1.
const MAX_LENGTH: usize = 4096;
const MAX_COOKIES: usize = 3000;

/// A cookie jar (RFC 6265), in memory only. Clones share the jar.
///
/// It knows no public suffixes: a host can set cookies for all hosts of its parent domain, even for
/// a domain that unrelated sites share.
#[derive(Clone, Default)]
pub struct Cookies(Arc<RwLock<CookieStore>>);

impl Cookies {
    /// An empty jar.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the cookies for `url` to a request, unless the request has its own.
    pub fn add_to(&self, url: &Url, headers: &mut HeaderMap) {
        if headers.contains_key(header::COOKIE) {
            return;
        }
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let pairs = store.get_request_values(url).map(|(name, value)| format!("{name}={value}"));
        let value = pairs.collect::<Vec<_>>().join("; ");
        if let (false, Ok(mut value)) = (value.is_empty(), HeaderValue::from_str(&value)) {
            value.set_sensitive(true);
            headers.insert(header::COOKIE, value);
        }
    }

    /// Keeps the cookies that a response sets. A hit, by `info`, sets none: its cookies were kept
    /// when it came from the network.
    pub fn learn(&self, url: &Url, headers: &HeaderMap, info: Option<&CacheInfo>) {
        let is_hit = info.is_some_and(|info| info.status.forward.is_none());
        if is_hit || !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let values = headers.get_all(header::SET_COOKIE).iter().filter(|value| value.len() <= MAX_LENGTH);
        let set = values.filter_map(|value| RawCookie::parse(value.to_str().ok()?.to_owned()).ok());
        let mut store = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let capacity = MAX_COOKIES.saturating_sub(store.iter_unexpired().count());
        store.store_response_cookies(set.take(capacity), url);
    }

    /// Removes all cookies.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Leaves out the cookies, which are secrets.
impl fmt::Debug for Cookies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cookies").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(cookies: &Cookies, url: &str) -> String {
        let mut headers = HeaderMap::new();
        cookies.add_to(&url.parse().unwrap(), &mut headers);
        headers.get(header::COOKIE).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    fn set(cookies: &Cookies, url: &str, value: &str) {
        let headers = HeaderMap::from_iter([(header::SET_COOKIE, value.parse().unwrap())]);
        cookies.learn(&url.parse().unwrap(), &headers, None);
    }

    #[test]
    fn a_cookie_is_sent_only_where_its_scope_allows() {
        let cookies = Cookies::new();
        set(&cookies, "https://example.com/a/b", "a=1; Path=/a; Secure");
        set(&cookies, "https://example.com/", "b=2; Domain=example.org");
        assert_eq!(sent(&cookies, "https://example.com/a"), "a=1");
        for elsewhere in ["https://example.com/", "http://example.com/a", "https://example.org/a"] {
            assert_eq!(sent(&cookies, elsewhere), "", "{elsewhere}");
        }
        set(&cookies, "https://example.com/a/b", "a=; Path=/a; Max-Age=0");
        assert_eq!(sent(&cookies, "https://example.com/a"), "");
    }

    #[test]
    fn a_request_s_own_cookies_are_left_alone() {
        let cookies = Cookies::new();
        set(&cookies, "http://a/", "a=1");
        let mut headers = HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_static("own=1"))]);
        cookies.add_to(&"http://a/".parse().unwrap(), &mut headers);
        assert_eq!(headers[header::COOKIE], "own=1");
        assert_eq!(sent(&cookies, "http://a/"), "a=1");
        cookies.clear();
        assert_eq!(sent(&cookies, "http://a/"), "");
    }

    #[test]
    fn the_cookies_of_an_origin_are_bounded() {
        let cookies = Cookies::new();
        set(&cookies, "http://a/", &format!("long={}", "x".repeat(MAX_LENGTH)));
        assert_eq!(sent(&cookies, "http://a/"), "");
        for number in 0..MAX_COOKIES + 10 {
            set(&cookies, "http://a/", &format!("n{number}=1"));
        }
        assert_eq!(sent(&cookies, "http://a/").split("; ").count(), MAX_COOKIES);
    }
}
