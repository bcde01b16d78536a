//! Freshness and the use of stale responses (RFC 9111 §4.2, §5.2; RFC 5861).

use crate::cache::{Cache, DATE, Got, respond, url, with};
use http::{Request, StatusCode, request};
use lacre_core::{Detail, LastFailure, Policy};

#[test]
fn freshness_follows_the_response() {
    // Response headers, lifetime in seconds: fresh one second before its end, stale then (§4.2).
    for (headers, lifetime) in [
        (&[("cache-control", "max-age=60")][..], 60),
        (&[("cache-control", "MAX-AGE=60")], 60),
        (&[("cache-control", "max-age=60"), ("expires", DATE)], 60),
        (&[("cache-control", "s-maxage=5, max-age=60")], 60),
        (&[("expires", "Tue, 14 Nov 2023 22:14:20 GMT"), ("date", DATE)], 60),
        (&[("cache-control", "max-age=60"), ("age", "20")], 40),
        (&[("cache-control", "max-age=60"), ("date", "Tue, 14 Nov 2023 22:12:50 GMT")], 30),
        // Ten percent of ten minutes (§4.2.2).
        (&[("last-modified", "Tue, 14 Nov 2023 22:03:20 GMT"), ("date", DATE)], 60),
        // `immutable` or a Date in the future does not extend the lifetime.
        (&[("cache-control", "max-age=60, immutable"), ("date", "Wed, 15 Nov 2023 22:13:20 GMT")], 60),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), headers, "old");
        cache.after(lifetime - 1);
        assert_eq!(cache.hit(url("/")).body, "old", "{headers:?}");
        cache.after(1);
        assert!(cache.misses(url("/")), "{headers:?}");
    }
}

#[test]
fn heuristic_freshness_applies_only_where_allowed() {
    let modified = ("last-modified", "Tue, 14 Nov 2023 22:03:20 GMT");
    let public = ("cache-control", "public");
    // Status, response headers, whether heuristic freshness applies (§4.2.2).
    for (status, headers, guessed) in [
        (200, &[modified][..], true),
        (404, &[modified], true),
        (501, &[modified], true),
        (302, &[modified], false),
        (500, &[modified], false),
        (302, &[modified, public], true),
        (200, &[("etag", "\"1\"")], false),
        (200, &[modified, ("expires", "0")], false),
        (200, &[modified, ("cache-control", "max-age=0")], false),
        (200, &[("last-modified", "yesterday")], false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.exchange(url("/"), &mut |_| Some(respond(status, headers, "")));
        cache.after(59);
        assert_eq!(!cache.misses(url("/")), guessed, "{status} {headers:?}");
    }
    let mut cache = Cache::new(Policy::rfc9111().without_heuristics());
    cache.get(url("/"), &[modified], "");
    assert!(cache.misses(url("/")));
}

#[test]
fn a_shared_cache_prefers_s_maxage() {
    let mut cache = Cache::new(Policy::rfc9111().shared());
    cache.get(url("/"), &[("cache-control", "max-age=600, s-maxage=5")], "");
    cache.after(5);
    assert!(cache.misses(url("/")));
}

#[test]
fn shared_cache_uses_cdn_cache_control_instead_of_cache_control() {
    let expired = ("expires", "Mon, 13 Nov 2023 22:13:20 GMT");
    // CDN-Cache-Control, other headers, lifetime in seconds (RFC 9213 §2.2).
    for (targeted, other, lifetime) in [
        ("max-age=60", ("cache-control", "no-store"), 60),
        ("max-age=60", ("cache-control", "max-age=5"), 60),
        ("max-age=5", ("cache-control", "max-age=60"), 5),
        ("max-age=60", expired, 60),
        ("max-age=60", ("age", "20"), 40),
        ("no-store", ("cache-control", "max-age=60"), 0),
        ("private, max-age=60", ("cache-control", "max-age=60"), 0),
        ("no-cache, max-age=60", ("cache-control", "max-age=60"), 0),
        ("foo", ("cache-control", "max-age=60"), 0),
        // Invalid, so ignored as a whole.
        ("max-age=\"60\"", ("cache-control", "max-age=5"), 5),
        ("max-age=60, &", ("cache-control", "max-age=5"), 5),
        ("", ("cache-control", "max-age=5"), 5),
    ] {
        let mut cache = Cache::new(Policy::rfc9111().shared());
        let got = cache.get(url("/"), &[("cdn-cache-control", targeted), other], "");
        assert_eq!(got.parts.headers["cdn-cache-control"], targeted);
        if lifetime > 0 {
            cache.after(lifetime - 1);
            assert_eq!(cache.hit(url("/")).parts.headers["cdn-cache-control"], targeted);
            cache.after(1);
        }
        assert!(cache.misses(url("/")), "{targeted} {other:?}");
    }
}

#[test]
fn private_cache_ignores_cdn_cache_control() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cdn-cache-control", "no-store"), ("cache-control", "max-age=5")], "");
    cache.hit(url("/"));
    cache.after(5);
    assert!(cache.misses(url("/")));
}

#[test]
fn request_directives_limit_the_age_of_an_answer() {
    // Request Cache-Control, age of a response with max-age=60, whether the origin receives the
    // request (§5.2.1).
    for (control, age, asked) in [
        ("max-age=10", 10, false),
        ("max-age=10", 11, true),
        ("min-fresh=30", 30, false),
        ("min-fresh=30", 31, true),
        ("no-cache", 0, true),
        ("max-stale=10", 70, false),
        ("max-stale=10", 71, true),
        ("max-stale", 5000, false),
        ("max-stale=10, max-age=20", 25, false),
        ("max-stale=10, max-age=20", 31, true),
        ("no-store", 0, true),
        ("no-store, only-if-cached", 0, false),
        ("unknown=1", 0, false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", "max-age=60")], "");
        cache.after(age);
        assert_eq!(cache.misses(with("/", &[("cache-control", control)])), asked, "{control} at age {age}");
    }
}

#[test]
fn max_stale_does_not_override_must_revalidate() {
    for control in ["max-age=5, must-revalidate", "max-age=5, no-cache"] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", control), ("etag", "\"1\"")], "");
        cache.after(6);
        assert!(cache.misses(with("/", &[("cache-control", "max-stale=1000")])), "{control}");
    }
}

#[test]
fn no_cache_response_is_validated_at_every_use() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60, no-cache"), ("etag", "\"1\"")], "");
    assert!(cache.misses(url("/")));
}

#[test]
fn no_cache_fields_are_served_only_after_validation() {
    let stored = &[
        ("cache-control", "max-age=60, stale-if-error=60, no-cache=\"set-cookie, a\""),
        ("set-cookie", "session=1"),
        ("a", "1"),
        ("b", "2"),
        ("etag", "\"1\""),
    ];
    let names = |got: &Got| ["set-cookie", "a", "b"].map(|name| got.parts.headers.contains_key(name));
    let mut cache = Cache::new(Policy::rfc9111());
    assert_eq!(names(&cache.get(url("/"), stored, "body")), [true, true, true]);
    assert_eq!(names(&cache.hit(url("/"))), [false, false, true]);

    cache.after(61);
    let failed = cache.exchange(url("/"), &mut |_| None).unwrap();
    assert_eq!(names(&failed), [false, false, true]);
    let confirmed = cache.exchange(url("/"), &mut |_| Some(respond(304, &[("etag", "\"1\"")], ""))).unwrap();
    assert_eq!(names(&confirmed), [true, true, true]);
    assert_eq!(names(&cache.hit(url("/"))), [false, false, true]);
}

#[test]
fn only_if_cached_is_answered_from_the_cache_or_with_504() {
    let only = |path| with(path, &[("cache-control", "only-if-cached")]);
    let mut cache = Cache::new(Policy::rfc9111());
    assert_eq!(cache.hit(only("/")).parts.status, StatusCode::GATEWAY_TIMEOUT);
    cache.get(url("/"), &[("cache-control", "max-age=60")], "here");
    assert_eq!(cache.hit(only("/")).body, "here");
    cache.after(61);
    assert_eq!(cache.hit(only("/")).parts.status, StatusCode::GATEWAY_TIMEOUT);
    let post =
        Request::post("http://example.com/").header("cache-control", "only-if-cached").body("").unwrap();
    assert_eq!(cache.hit(post).parts.status, StatusCode::GATEWAY_TIMEOUT);
}

#[test]
fn stale_response_is_served_while_origin_fails_unless_forbidden() {
    let failing =
        |status: Option<u16>| move |_: &request::Parts| status.map(|code| respond(code, &[], "error"));
    // Response Cache-Control, request Cache-Control, answer of the origin, whether the stored
    // response is served (RFC 5861 §4, RFC 9111 §4.3.3).
    for (control, request, origin, served) in [
        ("max-age=60", "", None, true),
        ("max-age=60", "", Some(502), true),
        ("max-age=60", "", Some(503), true),
        ("max-age=60", "", Some(504), true),
        ("max-age=60", "", Some(500), false),
        ("max-age=60, stale-if-error=5", "", Some(503), false),
        ("max-age=60", "stale-if-error=5", Some(503), false),
        ("max-age=60, must-revalidate", "", Some(503), false),
        ("max-age=60", "no-cache", Some(503), false),
        ("max-age=60", "stale-if-error=100", Some(503), true),
        ("max-age=60, stale-if-error=100", "", Some(503), true),
        ("max-age=60, stale-if-error=100", "", Some(404), false),
        ("max-age=60, stale-if-error=5", "", Some(500), false),
        ("max-age=60, must-revalidate", "", None, false),
        ("max-age=60, stale-if-error=100, must-revalidate", "", Some(503), false),
        ("max-age=60", "no-cache", None, false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", control)], "stored");
        cache.after(70);
        let request = if request.is_empty() { url("/") } else { with("/", &[("cache-control", request)]) };
        let got = cache.exchange(request, &mut failing(origin));
        assert_eq!(got.is_some_and(|got| got.body == "stored"), served, "{control} {origin:?}");
    }
}

#[test]
fn stale_response_is_served_after_a_recent_failure_or_for_a_slow_origin() {
    let with_status = |code| LastFailure::Status(StatusCode::from_u16(code).unwrap());
    for (control, request, failed, served) in [
        ("max-age=60", "", LastFailure::NoAnswer, true),
        ("max-age=60", "", with_status(502), true),
        ("max-age=60", "", with_status(500), false),
        ("max-age=60", "", LastFailure::Slow, false),
        ("max-age=60, stale-if-error=5", "", with_status(503), false),
        ("max-age=60, stale-if-error=5", "", LastFailure::Slow, false),
        ("max-age=60, stale-if-error=100", "", with_status(500), true),
        ("max-age=60, stale-if-error=100", "", LastFailure::Slow, true),
        ("max-age=60", "stale-if-error=100", LastFailure::Slow, true),
        ("max-age=60, stale-if-error=100", "", with_status(404), false),
        ("max-age=60, stale-if-error=100", "no-cache", LastFailure::NoAnswer, false),
        ("max-age=60, stale-if-error=100, must-revalidate", "", LastFailure::NoAnswer, false),
        ("max-age=60, stale-if-error=100, must-revalidate", "", LastFailure::Slow, false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", control), ("etag", "\"a\"")], "stored");
        cache.after(70);
        let request = if request.is_empty() { url("/") } else { with("/", &[("cache-control", request)]) };
        let stands_in = cache.pending(request).stale_response(failed, cache.now());
        assert_eq!(stands_in.is_some(), served, "{control} {failed:?}");
        let status = stands_in.map(|hit| hit.status().to_string());
        assert!(status.is_none_or(|status| status == "lacre; hit; ttl=-10; detail=stale-if-error"));
    }
    let nothing = Cache::new(Policy::rfc9111());
    assert!(nothing.pending(url("/")).stale_response(LastFailure::NoAnswer, nothing.now()).is_none());
}

#[test]
fn stored_failure_is_not_served_for_a_new_one() {
    let mut cache = Cache::new(Policy::rfc9111());
    let mut failing = |_: &request::Parts| Some(respond(503, &[("cache-control", "max-age=60")], "old"));
    cache.exchange(url("/"), &mut failing);
    assert_eq!(cache.hit(url("/")).body, "old");
    cache.after(61);
    let got = cache.exchange(url("/"), &mut |_| Some(respond(503, &[], "new"))).unwrap();
    assert_eq!(got.body, "new");
}

#[test]
fn stale_while_revalidate_applies_only_within_its_window() {
    let control = &[("cache-control", "max-age=60, stale-while-revalidate=30")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), control, "one");
    cache.after(90);
    let got = cache.get(url("/"), control, "two");
    assert_eq!((got.body, got.status.detail), ("one".into(), Some(Detail::StaleWhileRevalidate)));
    assert_eq!(cache.hit(url("/")).body, "two");
    cache.after(91);
    assert_eq!(cache.get(url("/"), control, "three").body, "three");
}
