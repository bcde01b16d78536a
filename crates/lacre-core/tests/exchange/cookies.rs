//! `Cookie` in the key of a request (decision 14): in a private cache, responses with a lifetime
//! are shared across cookies.

use crate::cache::{Cache, respond, url, with};
use http::Request;
use lacre_core::{MatchHeaders, Mode, Policy, RequestOptions, Stored};
use std::time::Duration;

const FRESH: (&str, &str) = ("cache-control", "max-age=60");
/// Heuristically fresh for 60 seconds.
const GUESSED: (&str, &str) = ("last-modified", "Tue, 14 Nov 2023 22:03:20 GMT");

fn carrying(cookie: &str) -> Request<&'static str> {
    with("/", &[("cookie", cookie)])
}

fn set_cookies(cache: &mut Cache, request: Request<&str>) -> Vec<String> {
    let headers = cache.hit(request).parts.headers;
    headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[test]
fn rotating_cookie_costs_a_private_cache_no_hit() {
    let hour = Duration::from_secs(3600);
    for (policy, headers) in [
        (Policy::rfc9111(), &[FRESH][..]),
        (Policy::rfc9111(), &[("cache-control", "private, max-age=60")]),
        (Policy::rfc9111(), &[("expires", "Tue, 14 Nov 2023 22:14:20 GMT")]),
        (Policy::rfc9111().expire_after(hour), &[]),
        (Policy::rfc9111().expire_after(hour), &[GUESSED]),
        (Policy::requests_cache(), &[("cache-control", "no-store")]),
        (Policy::rfc9111().key_fn(|_, _| "the same".into()), &[FRESH]),
    ] {
        let mut cache = Cache::new(policy);
        let headers = [headers, &[("set-cookie", "__cf_bm=1")]].concat();
        assert_eq!(cache.get(carrying("__cf_bm=0"), &headers, "page").status.stored, Stored::Yes);
        for request in [carrying("__cf_bm=0"), carrying("__cf_bm=1"), carrying("a=1; b=2"), url("/")] {
            let read = cache.rows_read.get();
            assert_eq!(cache.hit(request).body, "page", "{headers:?}");
            assert_eq!(cache.rows_read.get() - read, 1, "a hit takes one read: {headers:?}");
        }
    }
}

#[test]
fn cookie_separates_responses_without_a_lifetime() {
    let validated = [("etag", "\"1\"")];
    let at_once = [("cache-control", "max-age=0"), ("etag", "\"1\"")];
    for headers in [&[GUESSED][..], &validated, &at_once] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), headers, "nobody's");
        cache.get(carrying("id=alice"), headers, "alice's");
        cache.get(carrying("id=bob"), headers, "bob's");
        for (request, body) in
            [(url("/"), "nobody's"), (carrying("id=alice"), "alice's"), (carrying("id=bob"), "bob's")]
        {
            // A stale response is confirmed by the origin.
            let got = cache.exchange(request, &mut |_| Some(respond(304, &[], ""))).unwrap();
            assert_eq!(got.body, body, "{headers:?}");
        }
        assert!(cache.misses(carrying("id=carol")), "{headers:?}");
    }
}

#[test]
fn vary_by_cookie_is_respected() {
    let varies = [FRESH, ("vary", "Cookie")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(carrying("id=alice"), &varies, "alice's");
    cache.get(carrying("id=bob"), &varies, "bob's");
    cache.get(url("/"), &varies, "nobody's");
    assert_eq!(cache.hit(carrying("id=alice")).body, "alice's");
    assert_eq!(cache.hit(carrying("id=bob")).body, "bob's");
    assert_eq!(cache.hit(url("/")).body, "nobody's");
    assert!(cache.misses(carrying("id=carol")));
    // A variant by another header is shared across cookies.
    let mut cache = Cache::new(Policy::rfc9111());
    let asking = |language, cookie| with("/", &[("accept-language", language), ("cookie", cookie)]);
    cache.get(asking("de", "a=1"), &[FRESH, ("vary", "accept-language")], "deutsch");
    assert_eq!(cache.hit(asking("de", "a=2")).body, "deutsch");
    assert!(cache.misses(asking("fr", "a=1")));
}

#[test]
fn cookie_separates_all_responses_if_set_or_in_a_shared_cache() {
    for policy in [
        Policy::rfc9111().partition_by_cookies(),
        Policy::rfc9111().match_headers(MatchHeaders::All),
        Policy::rfc9111().match_headers(MatchHeaders::Only(vec!["cookie".parse().unwrap()])),
        Policy::rfc9111().shared(),
        Policy::requests_cache().partition_by_cookies(),
    ] {
        let mut cache = Cache::new(policy);
        cache.get(carrying("id=alice"), &[("cache-control", "public, max-age=60")], "alice's");
        assert_eq!(cache.hit(carrying("id=alice")).body, "alice's");
        assert!(cache.misses(carrying("id=bob")));
        assert!(cache.misses(url("/")));
    }
}

#[test]
fn users_of_one_program_are_separated_by_credentials_and_partitions() {
    let mut cache = Cache::new(Policy::rfc9111());
    for name in ["authorization", "x-api-key"] {
        let of = |who| with("/", &[("cookie", "theme=dark"), (name, who)]);
        cache.get(of("alice"), &[FRESH], "alice's");
        assert!(cache.misses(of("bob")), "{name}");
        assert!(cache.misses(carrying("theme=dark")), "{name}");
    }
    let of = |who| {
        let mut request = carrying("theme=dark");
        request.extensions_mut().insert(RequestOptions::new().partition(who));
        request
    };
    cache.get(of("alice"), &[FRESH], "alice's");
    assert!(cache.misses(of("bob")));
}

#[test]
fn p29_a_cookie_that_was_set_for_one_never_reaches_another() {
    let sets = |value| [FRESH, ("etag", "\"1\""), ("set-cookie", value)];
    // A request with a cookie: the response is shared, the new cookie is not.
    let mut cache = Cache::new(Policy::rfc9111());
    let first = cache.get(carrying("id=alice"), &sets("session=alice"), "");
    assert_eq!(first.parts.headers["set-cookie"], "session=alice");
    for request in [carrying("id=alice"), carrying("id=bob"), url("/")] {
        assert!(set_cookies(&mut cache, request).is_empty());
    }
    // A request without a cookie: others without one get it again, others with one do not, even
    // after validation or a failure of the origin.
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &sets("session=1"), "");
    assert_eq!(set_cookies(&mut cache, url("/")), ["session=1"]);
    assert!(set_cookies(&mut cache, carrying("session=1")).is_empty());
    cache.after(61);
    let failed = cache.exchange(carrying("session=1"), &mut |_| None).unwrap();
    assert!(!failed.parts.headers.contains_key("set-cookie"));
    let update = sets("session=2");
    let confirmed = cache.exchange(carrying("session=1"), &mut |_| Some(respond(304, &update, ""))).unwrap();
    let got: Vec<_> = confirmed.parts.headers.get_all("set-cookie").iter().collect();
    assert_eq!(got, ["session=2"]);
    assert!(set_cookies(&mut cache, carrying("id=bob")).is_empty());
    assert_eq!(set_cookies(&mut cache, url("/")), ["session=1"]);
    // If the response varies by Cookie, requests with the same cookie get its Set-Cookie.
    let mut cache = Cache::new(Policy::rfc9111());
    let varies = [&sets("session=alice")[..], &[("vary", "cookie")]].concat();
    cache.get(carrying("id=alice"), &varies, "");
    assert_eq!(set_cookies(&mut cache, carrying("id=alice")), ["session=alice"]);
    assert!(cache.misses(carrying("id=bob")));
}

#[test]
fn changed_lifetime_moves_the_response_to_the_other_row() {
    // From a lifetime to none, and back.
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(carrying("id=alice"), &[FRESH], "one");
    cache.after(61);
    cache.get(carrying("id=alice"), &[GUESSED], "two");
    assert_eq!(cache.hit(carrying("id=alice")).body, "two");
    assert!(cache.misses(carrying("id=bob")));
    assert!(cache.misses(url("/")));
    cache.after(70);
    cache.get(carrying("id=alice"), &[FRESH], "three");
    assert_eq!(cache.hit(carrying("id=alice")).body, "three");
    assert_eq!(cache.hit(carrying("id=bob")).body, "three");
    assert_eq!(cache.rows.len(), 1);
    // A 304 that removes the lifetime applies to this client only.
    cache.get(carrying("id=alice"), &[FRESH, ("etag", "\"1\"")], "");
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(carrying("id=alice"), &[FRESH, ("etag", "\"1\"")], "four");
    cache.after(61);
    let public = [("cache-control", "public"), GUESSED];
    let got = cache.exchange(carrying("id=alice"), &mut |_| Some(respond(304, &public, ""))).unwrap();
    assert_eq!((&*got.body, got.status.stored), (&b"four"[..], Stored::No));
    assert!(cache.misses(url("/")));
}

#[test]
fn forced_refresh_is_found_by_the_next_lookup() {
    let refresh = |cookie: Option<&str>| {
        let mut request = cookie.map_or_else(|| url("/"), carrying);
        request.extensions_mut().insert(RequestOptions::new().mode(Mode::ForceRefresh));
        request
    };
    for (old, new) in [(FRESH, GUESSED), (GUESSED, FRESH), (FRESH, ("cache-control", "no-store"))] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(carrying("a=1"), &[old], "old");
        cache.get(refresh(Some("a=1")), &[new], "new");
        let next = cache.get(carrying("a=1"), &[FRESH], "newer").body;
        assert_eq!(next, if new.1 == "no-store" { "newer" } else { "new" }, "{old:?} {new:?}");
    }
}

#[test]
fn unsafe_request_with_a_cookie_invalidates_both_rows() {
    for headers in [FRESH, GUESSED] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(carrying("a=1"), &[headers], "");
        let post = Request::post("http://example.com/").header("cookie", "a=1").body("x").unwrap();
        cache.exchange(post, &mut |_| Some(respond(200, &[], "")));
        assert!(cache.rows.is_empty(), "{headers:?}");
    }
    // An answer to POST that is reusable for GET is shared across cookies as well.
    let mut cache = Cache::new(Policy::rfc9111());
    let post = Request::post("http://example.com/").header("cookie", "a=1").body("x").unwrap();
    cache.exchange(post, &mut |_| Some(respond(200, &[FRESH, ("content-location", "/")], "new")));
    assert_eq!(cache.hit(carrying("a=2")).body, "new");
}

#[test]
fn parts_are_shared_across_cookies_like_complete_responses() {
    let asking = |cookie, range| with("/", &[("cookie", cookie), ("range", range)]);
    let part = [FRESH, ("content-range", "bytes 0-4/10"), ("etag", "\"1\"")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.exchange(asking("a=1", "bytes=0-4"), &mut |_| Some(respond(206, &part, "01234")));
    assert_eq!(cache.hit(asking("a=2", "bytes=0-4")).body, "01234");
    assert_eq!(cache.hit(asking("a=3", "bytes=1-2")).body, "12");
    assert!(cache.misses(asking("a=1", "bytes=5-9")));
}
