//! The user's lifetime applies to responses without one, except errors (RFC 9111 §3, §4.2.2;
//! decision 13).

use crate::cache::{Cache, START, respond, url, with_options};
use http::StatusCode;
use lacre_core::{
    Detail, Engine, Expire, OriginHeaders, Policy, RequestOptions, Slot, Staleness, UrlPattern,
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

/// Policies that give responses a lifetime of an hour or more.
fn policies() -> Vec<(&'static str, Policy)> {
    let everything = || UrlPattern::glob("*").unwrap();
    vec![
        ("default", Policy::rfc9111().expire_after(HOUR)),
        ("never", Policy::rfc9111().expire_after(Expire::Never)),
        ("date", Policy::rfc9111().expire_after(START.plus(HOUR))),
        ("by URL", Policy::rfc9111().expire_url_after(everything(), HOUR)),
        ("origin first", Policy::rfc9111().expire_after(HOUR).origin_headers(OriginHeaders::First)),
        ("origin ignored", Policy::rfc9111().expire_after(HOUR).origin_headers(OriginHeaders::Ignored)),
        ("shared", Policy::rfc9111().expire_after(HOUR).shared()),
        ("stale if error", Policy::rfc9111().expire_after(HOUR).stale_if_error(Staleness::Any)),
        ("without heuristics", Policy::rfc9111().expire_after(HOUR).without_heuristics()),
    ]
}

#[test]
fn user_lifetime_does_not_keep_errors() {
    let nonce = [("www-authenticate", "Digest realm=\"r\", nonce=\"spent\"")];
    let later = [("retry-after", "0")];
    let validated = [("etag", "\"1\""), ("date", "Tue, 14 Nov 2023 22:13:20 GMT")];
    for (name, policy) in policies() {
        for status in (400..600).chain([201, 202, 205, 226, 302, 303, 305, 307]) {
            for headers in [&[][..], &nonce, &later] {
                let mut cache = Cache::new(policy.clone());
                cache.exchange(url("/"), &mut |_| Some(respond(status, headers, "once")));
                assert!(cache.rows.is_empty(), "{name}: {status}");
                // A validator does not change that: an error that is not heuristically cacheable is
                // not stored.
                if ![404, 405, 410, 414, 501].contains(&status) {
                    cache.exchange(url("/"), &mut |_| Some(respond(status, &validated, "once")));
                    assert!(cache.rows.is_empty(), "{name}: {status}");
                }
            }
        }
        for status in [200, 203, 204, 300, 301, 308] {
            let mut cache = Cache::new(policy.clone());
            cache.exchange(url("/"), &mut |_| Some(respond(status, &[], "kept")));
            cache.after(3599);
            assert_eq!(cache.hit(url("/")).parts.status, status, "{name}: {status}");
        }
    }
    for status in [401, 404, 429, 500, 503] {
        let mut cache = Cache::new(Policy::rfc9111());
        let request = || with_options("/", RequestOptions::new().ttl(HOUR));
        let got = cache.exchange(request(), &mut |_| Some(respond(status, &[], "once"))).unwrap();
        assert!(cache.misses(request()), "{status}");
        let detail = if status == 404 { Detail::NoUse } else { Detail::Status };
        assert_eq!(got.status.detail, Some(detail), "{status}");
    }
}

#[test]
fn user_lifetime_applies_to_every_named_status() {
    let named = [404, 410, 401, 503].map(|code| StatusCode::from_u16(code).unwrap());
    for (name, policy) in policies() {
        for status in named {
            let mut cache = Cache::new(policy.clone().statuses(named));
            cache.exchange(url("/"), &mut |_| Some(respond(status.as_u16(), &[], "named")));
            cache.after(3599);
            assert_eq!(cache.hit(url("/")).body, "named", "{name}: {status}");
        }
    }
}

#[test]
fn user_lifetime_only_shortens_that_of_an_error() {
    let minute = ("cache-control", "max-age=60");
    // The user's lifetime in seconds, response headers, lifetime in seconds.
    for (user, status, headers, lifetime) in [
        (3600, 503, &[minute][..], 60),
        (10, 503, &[minute], 10),
        (10, 404, &[minute], 10),
        (30, 429, &[minute, ("age", "50")], 10),
        (3600, 404, &[("last-modified", "Tue, 14 Nov 2023 22:03:20 GMT")], 60),
        (10, 404, &[("last-modified", "Tue, 14 Nov 2023 22:03:20 GMT")], 10),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        let request = || with_options("/", RequestOptions::new().ttl(Duration::from_secs(user)));
        cache.exchange(request(), &mut |_| Some(respond(status, headers, "error")));
        cache.after(lifetime - 1);
        assert_eq!(cache.hit(request()).body, "error", "{user} {status} {headers:?}");
        cache.after(1);
        assert!(cache.misses(request()), "{user} {status} {headers:?}");
    }
}

#[test]
fn response_without_lifetime_is_stored_only_if_status_or_origin_allows_it() {
    let etag = ("etag", "\"1\"");
    // §3, last requirement.
    for (policy, status, headers, stored) in [
        (Policy::rfc9111(), 200, &[etag][..], true),
        (Policy::rfc9111(), 404, &[etag], true),
        (Policy::rfc9111(), 401, &[etag], false),
        (Policy::rfc9111(), 302, &[etag], false),
        (Policy::rfc9111(), 302, &[etag, ("cache-control", "public")], true),
        (Policy::rfc9111(), 302, &[etag, ("cache-control", "private")], true),
        (Policy::rfc9111(), 302, &[etag, ("cache-control", "max-age=0")], true),
        (Policy::rfc9111(), 302, &[etag, ("expires", "0")], true),
        (Policy::rfc9111(), 302, &[etag, ("cache-control", "no-cache")], false),
        (Policy::rfc9111(), 302, &[etag, ("cache-control", "s-maxage=60")], false),
        (Policy::rfc9111().shared(), 302, &[etag, ("cache-control", "s-maxage=60")], true),
        (Policy::rfc9111().statuses([StatusCode::UNAUTHORIZED]), 401, &[etag], true),
    ] {
        let mut cache = Cache::new(policy);
        cache.exchange(url("/"), &mut |_| Some(respond(status, headers, "")));
        assert_eq!(!cache.rows.is_empty(), stored, "{status} {headers:?}");
    }
}

#[test]
fn transient_error_is_not_served_stale() {
    let fresh = [("cache-control", "max-age=60, stale-if-error=1000")];
    for (status, stands_in) in
        [(200, true), (302, true), (404, true), (401, false), (429, false), (503, false)]
    {
        for failure in [None, Some(500), Some(503)] {
            let mut cache = Cache::new(Policy::rfc9111().stale_if_error(Staleness::Any));
            cache.exchange(url("/"), &mut |_| Some(respond(status, &fresh, "stored")));
            cache.after(61);
            let got = cache.exchange(url("/"), &mut |_| failure.map(|code| respond(code, &[], "failed")));
            let served = got.is_some_and(|got| got.body == "stored");
            assert_eq!(served, stands_in, "{status} {failure:?}");
        }
    }
}

#[test]
fn external_times_are_limited() {
    const MAX_DELTA: u64 = 1 << 31;
    let huge = "99999999999999999999999999";
    let old = ("date", "Mon, 01 Jan 0001 00:00:00 GMT");
    let far = ("expires", "Fri, 31 Dec 9999 23:59:59 GMT");
    let everything = format!("max-age={huge}, stale-while-revalidate={huge}, stale-if-error={huge}");
    for (policy, headers) in [
        (Policy::rfc9111(), &[("cache-control", &*everything)][..]),
        (Policy::rfc9111(), &[("cache-control", &*everything), ("age", huge), old]),
        (Policy::rfc9111(), &[far, old]),
        (Policy::rfc9111(), &[far, ("date", "Tue, 14 Nov 2023 22:13:20 GMT")]),
        (Policy::rfc9111(), &[("last-modified", "Mon, 01 Jan 0001 00:00:00 GMT")]),
        (Policy::rfc9111().expire_after(Duration::MAX), &[]),
        (Policy::rfc9111().expire_after(Expire::Never), &[]),
        (Policy::rfc9111().expire_after(lacre_core::Timestamp::MAX), &[]),
        (Policy::rfc9111().expire_after(lacre_core::Timestamp::from_millis(i64::MIN)), &[("etag", "\"1\"")]),
        (
            Policy::rfc9111()
                .retention(Duration::MAX)
                .stale_if_error(Staleness::For(Duration::MAX))
                .stale_while_revalidate(Staleness::For(Duration::MAX)),
            &[("cache-control", "max-age=1")],
        ),
    ] {
        for later in [0, 10, MAX_DELTA, 1 << 53] {
            let mut cache = Cache::new(policy.clone());
            cache.get(url("/"), headers, "body");
            cache.after(later);
            let asked = with_options("/", RequestOptions::new().max_stale(Duration::MAX));
            let got = cache.exchange(asked, &mut |_| Some(respond(304, &[], ""))).unwrap();
            // Displayed numbers fit into 31 bits and a sign.
            assert!(got.status.ttl.is_none_or(|ttl| ttl.unsigned_abs() <= MAX_DELTA), "{:?}", got.status);
            let age = got.parts.headers.get("age").map(|age| age.to_str().unwrap().parse::<u64>().unwrap());
            assert!(age.is_none_or(|age| age <= MAX_DELTA), "{age:?}");
        }
    }
    // A response that is fresh forever has the maximum freshness left.
    let engine = Engine::new(Policy::rfc9111().expire_after(Expire::Never), |_: &[u8]| [0; 32]);
    let mut cache = Cache::new(Policy::rfc9111().expire_after(Expire::Never));
    cache.get(url("/"), &[], "");
    let Some(Slot::Entry(entry)) = cache.rows.values().next() else { panic!("an entry") };
    assert_eq!(engine.freshness(entry, START).remaining(), Duration::from_secs(MAX_DELTA));
}
