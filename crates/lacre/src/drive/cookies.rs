//! The cookies of a session, kept above the cache: what a request carries is part of what it is asked by.

use crate::CacheInfo;
use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use url::Url;

/// The longest cookie that is kept, and how many of them, as RFC 6265 §6.1 asks of user agents.
const LONGEST: usize = 4096;
const MOST: usize = 3000;

/// Cookies, as a user agent keeps them (RFC 6265). Clones are the same. They are in memory only.
///
/// There is no list of public suffixes: a host can set cookies for all hosts of its parent domain, even of one that others share.
#[derive(Clone, Default)]
pub struct Cookies(Arc<RwLock<CookieStore>>);

impl Cookies {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to a request for `url` the cookies that belong to it, unless it has its own.
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

    /// Keeps what an answer to a request for `url` sets, by its headers; not where `info` says that it is from the cache, for then it was
    /// kept when it came.
    pub fn learn(&self, url: &Url, headers: &HeaderMap, info: Option<&CacheInfo>) {
        let is_hit = info.is_some_and(|info| info.status.forward.is_none());
        if is_hit || !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let values = headers.get_all(header::SET_COOKIE).iter().filter(|value| value.len() <= LONGEST);
        let set = values.filter_map(|value| RawCookie::parse(value.to_str().ok()?.to_owned()).ok());
        let mut store = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let room = MOST.saturating_sub(store.iter_unexpired().count());
        store.store_response_cookies(set.take(room), url);
    }

    /// Forgets them all.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

/// Cookies are secrets.
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
    fn a_cookie_goes_where_it_belongs() {
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
    fn what_an_origin_sets_is_bounded() {
        let cookies = Cookies::new();
        set(&cookies, "http://a/", &format!("long={}", "x".repeat(LONGEST)));
        assert_eq!(sent(&cookies, "http://a/"), "");
        for number in 0..MOST + 10 {
            set(&cookies, "http://a/", &format!("n{number}=1"));
        }
        assert_eq!(sent(&cookies, "http://a/").split("; ").count(), MOST);
    }
}
