//! Settings of the policy, with exact limits.

use crate::cache::{Cache, START, respond, url, with, with_options};
use http::StatusCode;
use http::{Method, Request};
use lacre_core::{Expire, OriginHeaders, Policy, RequestOptions, Sensitivity, Staleness};
use std::time::Duration;

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const MAX_AGE: (&str, &str) = ("cache-control", "max-age=60");

/// Whether a response is stored.
fn stores(policy: Policy, status: u16, headers: &[(&str, &str)]) -> bool {
    let mut cache = Cache::new(policy);
    cache.exchange(url("/"), &mut |_| Some(respond(status, headers, "body")));
    !cache.rows.is_empty()
}

#[test]
fn statuses_and_filter_decide_storing() {
    let ok_only = || Policy::rfc9111().statuses([StatusCode::OK]);
    assert!(stores(ok_only(), 200, &[MAX_AGE]) && !stores(ok_only(), 404, &[MAX_AGE]));
    let html = || Policy::rfc9111().filter(|_, response| response.headers.contains_key("x-keep"));
    assert!(stores(html(), 200, &[MAX_AGE, ("x-keep", "")]) && !stores(html(), 200, &[MAX_AGE]));
    assert!(!stores(Policy::rfc9111(), 304, &[MAX_AGE]), "a 304 is not stored");
}

#[test]
fn last_scope_setting_counts() {
    let private = [("cache-control", "private, max-age=60")];
    assert!(!stores(Policy::rfc9111().shared(), 200, &private));
    assert!(stores(Policy::rfc9111().shared().private(), 200, &private));
    assert!(
        !stores(Policy::rfc9111().statuses([]).private(), 200, &private),
        "private() changes nothing else"
    );
}

#[test]
fn limits_are_exact() {
    let headers = |length: usize| {
        let value = "x".repeat(length - "cache-control".len() - "max-age=60".len() - "x".len());
        stores(Policy::rfc9111(), 200, &[MAX_AGE, ("x", &value)])
    };
    assert!(headers(64 << 10) && !headers((64 << 10) + 1));
    let names = |count: usize| {
        let names: Vec<String> = (0..count).map(|n| format!("x-{n}")).collect();
        stores(Policy::rfc9111(), 200, &[MAX_AGE, ("vary", &names.join(","))])
    };
    assert!(names(16) && !names(17));
    let body =
        |length: u64| stores(Policy::rfc9111(), 200, &[MAX_AGE, ("content-length", &length.to_string())]);
    assert!(body(64 << 20) && !body((64 << 20) + 1));
}

#[test]
fn unusable_response_is_not_stored() {
    let zero = || Policy::rfc9111().expire_after(Duration::ZERO);
    assert!(!stores(zero(), 200, &[]));
    assert!(stores(zero(), 200, &[("etag", "\"1\"")]));
}

#[test]
fn user_lifetime_applies_if_the_origin_set_none() {
    let mut cache =
        Cache::new(Policy::rfc9111().origin_headers(OriginHeaders::First).expire_after(SECONDS(20)));
    cache.get(url("/"), &[], "body");
    cache.after(19);
    cache.hit(url("/"));
    cache.after(1);
    assert!(cache.misses(url("/")));
}

#[test]
fn always_revalidate_validates_fresh_responses_with_validators() {
    let mut cache = Cache::new(Policy::rfc9111().always_revalidate());
    cache.get(url("/tagged"), &[MAX_AGE, ("etag", "\"1\"")], "body");
    cache.get(url("/untagged"), &[MAX_AGE], "body");
    assert!(cache.misses(url("/tagged")));
    cache.hit(url("/untagged"));
}

#[test]
fn user_may_allow_stale_responses_without_directives() {
    let stale = |policy: Policy| {
        let mut cache = Cache::new(policy);
        cache.get(url("/"), &[MAX_AGE], "stale");
        cache.after(90);
        cache
    };
    let window = Staleness::For(SECONDS(60));
    for failure in [None, Some(500), Some(502), Some(504)] {
        let mut origin = |_: &_| failure.map(|status| respond(status, &[], "failed"));
        let mut cache = stale(Policy::rfc9111().stale_if_error(window));
        assert_eq!(cache.exchange(url("/"), &mut origin).unwrap().body, "stale", "{failure:?}");
        cache.after(60);
        let served = cache.exchange(url("/"), &mut origin).map(|got| got.body);
        assert!(served.is_none_or(|body| body == "failed"), "{failure:?}");
    }
    let mut cache = stale(Policy::rfc9111().stale_while_revalidate(window));
    let got = cache.exchange(url("/"), &mut |_| Some(respond(200, &[MAX_AGE], "new"))).unwrap();
    assert_eq!(got.body, "stale");
    assert_eq!(cache.hit(url("/")).body, "new");
}

#[test]
fn s_maxage_forbids_stale_use_only_in_shared_caches() {
    let request = || with_options("/", RequestOptions::new().max_stale(SECONDS(60)));
    for (policy, control, allowed) in [
        (Policy::rfc9111(), "max-age=5, s-maxage=5", true),
        (Policy::rfc9111(), "max-age=5, proxy-revalidate", true),
        (Policy::rfc9111().shared(), "max-age=5", true),
        (Policy::rfc9111().shared(), "max-age=5, s-maxage=5", false),
        (Policy::rfc9111().shared(), "max-age=5, proxy-revalidate", false),
        (Policy::rfc9111(), "max-age=5, must-revalidate", false),
    ] {
        let mut cache = Cache::new(policy);
        cache.get(url("/"), &[("cache-control", control)], "body");
        cache.after(30);
        assert_eq!(!cache.misses(request()), allowed, "{control}");
    }
}

#[test]
fn user_lifetime_withholds_no_fields() {
    let control = [("cache-control", "max-age=60, no-cache=\"x\""), ("x", "1")];
    for (policy, shown) in
        [(Policy::rfc9111(), false), (Policy::rfc9111().origin_headers(OriginHeaders::Ignored), true)]
    {
        let mut cache = Cache::new(policy.expire_after(SECONDS(60)));
        cache.get(url("/"), &control, "");
        assert_eq!(cache.hit(url("/")).parts.headers.contains_key("x"), shown);
    }
}

#[test]
fn response_delay_adds_to_the_age() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.delay = 5;
    cache.get(url("/"), &[("cache-control", "max-age=16"), ("age", "10")], "");
    cache.hit(url("/"));
    cache.after(1);
    assert!(cache.misses(url("/")));
}

#[test]
fn seal_expires_when_the_response_is_of_no_use() {
    let until = |policy: Policy, headers: &[(&str, &str)]| {
        let mut cache = Cache::new(policy);
        cache.get(url("/"), headers, "");
        cache.last_stored.unwrap().0
    };
    let month = SECONDS(30 * 86_400);
    assert_eq!(until(Policy::rfc9111(), &[MAX_AGE]), START.plus(SECONDS(60)).plus(month));
    assert_eq!(until(Policy::rfc9111(), &[MAX_AGE, ("age", "10")]), START.plus(SECONDS(50)).plus(month));
    let brief = || Policy::rfc9111().retention(SECONDS(5));
    assert_eq!(until(brief(), &[MAX_AGE]), START.plus(SECONDS(65)));
    let windows = [("cache-control", "max-age=60, stale-if-error=10, stale-while-revalidate=20")];
    assert_eq!(until(brief(), &windows), START.plus(SECONDS(80)));
    assert_eq!(until(brief().expire_after(Expire::Never), &[]), lacre_core::Timestamp::MAX);
}

#[test]
fn request_headers_are_stored_redacted_and_only_if_set() {
    for (policy, kept) in [
        (Policy::rfc9111(), None),
        (Policy::rfc9111().keep_request_headers(), Some("REDACTED")),
        (Policy::requests_cache(), Some("REDACTED")),
    ] {
        let mut cache = Cache::new(policy);
        cache.get(with("/", &[("authorization", "Bearer 1")]), &[MAX_AGE], "");
        let Some(lacre_core::Slot::Entry(entry)) = cache.rows.values().next() else { panic!("an entry") };
        let header = entry.request_headers.get("authorization").map(|value| value.to_str().unwrap());
        assert_eq!(header, kept);
    }
}

#[test]
fn only_the_methods_of_the_policy_are_looked_up() {
    let policy = Policy::rfc9111().methods([Method::GET]);
    assert!(policy.caches_method(&Method::GET) && !policy.caches_method(&Method::HEAD));
}

#[test]
fn answer_to_post_without_lifetime_does_not_answer_get() {
    for (control, stored) in [("max-age=60", true), ("max-age=0", false), ("public", false)] {
        let mut cache = Cache::new(Policy::rfc9111());
        let post = Request::post("http://example.com/").body("x").unwrap();
        // Without Last-Modified, there would be no heuristic lifetime.
        let modified = ("last-modified", "Mon, 14 Nov 2022 22:13:20 GMT");
        let headers = [("content-location", "/"), ("cache-control", control), modified];
        cache.exchange(post, &mut |_| Some(respond(200, &headers, "")));
        assert_eq!(!cache.rows.is_empty(), stored, "{control}");
    }
}

#[test]
fn exchange_is_sensitive_if_any_part_is() {
    let sensitivity = |request: Request<&str>, headers: &[(&str, &str)]| {
        let mut cache = Cache::new(Policy::rfc9111().methods([Method::GET, Method::POST]));
        cache.get(request, &[&[MAX_AGE], headers].concat(), "");
        cache.last_stored.unwrap().1
    };
    let post =
        |body| Request::post("http://example.com/").header("content-type", "application/json").body(body);
    assert_eq!(sensitivity(url("/"), &[("x", "1")]), Sensitivity::Public);
    assert_eq!(sensitivity(post("{\"a\":1}").unwrap(), &[]), Sensitivity::Public);
    for (request, headers) in [
        (url("/?token=1"), &[][..]),
        (with("/", &[("cookie", "a=1")]), &[]),
        (post("{\"token\":1}").unwrap(), &[]),
        (with_options("/", RequestOptions::new().partition("alice")), &[]),
        (url("/"), &[("set-cookie", "a=1")]),
    ] {
        assert_eq!(sensitivity(request, headers), Sensitivity::Sensitive);
    }
}

#[test]
fn success_redirect_and_gone_replace_the_stored_response() {
    for (status, replaces) in
        [(200, true), (204, true), (301, true), (404, true), (410, true), (400, false), (401, false)]
    {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[MAX_AGE, ("etag", "\"1\"")], "old");
        cache.after(61);
        cache.exchange(url("/"), &mut |_| Some(respond(status, &[("cache-control", "no-store")], "")));
        assert_eq!(cache.rows.is_empty(), replaces, "{status}");
    }
}
