//! Cache-Status (RFC 9211).

use crate::cache::{Cache, Got, respond, url, with};
use http::Request;
use lacre_core::{CacheStatus, Detail, Policy};

const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60"), ("etag", "\"1\"")];

fn cache_status(got: Option<Got>) -> (String, bool, bool) {
    let status = got.unwrap().status;
    (status.to_string(), status.is_hit(), status.is_revalidated())
}

#[test]
fn every_outcome_has_its_cache_status() {
    let mut cache = Cache::new(Policy::rfc9111());
    let miss = cache.exchange(url("/"), &mut |_| Some(respond(200, FRESH, "1")));
    assert_eq!(
        cache_status(miss),
        ("lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored".to_owned(), false, false)
    );
    cache.after(20);
    assert_eq!(cache_status(Some(cache.hit(url("/")))), ("lacre; hit; ttl=40".to_owned(), true, false));
    cache.after(50);
    let confirmed = cache.exchange(url("/"), &mut |_| Some(respond(304, FRESH, "")));
    assert_eq!(
        cache_status(confirmed),
        ("lacre; fwd=stale; fwd-status=304; ttl=60; stored".to_owned(), false, true)
    );
    let unstorable = [("cache-control", "no-store"), ("etag", "\"1\"")];
    cache.after(61);
    let confirmed = cache.exchange(url("/"), &mut |_| Some(respond(304, &unstorable, "")));
    assert_eq!(cache_status(confirmed), ("lacre; fwd=stale; fwd-status=304; ttl=0".to_owned(), false, true));
}

#[test]
fn failing_origin_is_reported_with_its_status() {
    let stale = [("cache-control", "max-age=1, stale-if-error=100")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &stale, "1");
    cache.after(11);
    let stale = cache.exchange(url("/"), &mut |_| Some(respond(503, &[], "")));
    let expected = "lacre; fwd=stale; fwd-status=503; ttl=-10; detail=stale-if-error";
    assert_eq!(cache_status(stale), (expected.to_owned(), false, false));
    let stale = cache.exchange(url("/"), &mut |_| None);
    assert_eq!(cache_status(stale).0, "lacre; fwd=stale; ttl=-10; detail=stale-if-error");
}

#[test]
fn bypassed_answer_is_reported_with_its_status() {
    let mut cache = Cache::new(Policy::rfc9111());
    let post = Request::post("http://example.com/").body("x").unwrap();
    let passed = cache.exchange(post, &mut |_| Some(respond(201, &[], "")));
    assert_eq!(cache_status(passed).0, "lacre; fwd=method; fwd-status=201");
    cache.get(url("/"), FRESH, "1");
    let head = Request::head("http://example.com/").header("cache-control", "no-cache").body("").unwrap();
    let other = cache.exchange(head, &mut |_| Some(respond(200, &[("etag", "\"2\"")], "")));
    assert_eq!(cache_status(other).0, "lacre; fwd=request; fwd-status=200; ttl=60");
}

#[test]
fn unavailable_store_is_not_a_hit() {
    let mut status = CacheStatus::default();
    status.detail = Some(Detail::StoreUnavailable);
    assert!(!status.is_hit());
    status.detail = Some(Detail::MaxStale);
    assert!(status.is_hit());
}

#[test]
fn validation_uses_stored_validators_and_answers_client_conditions() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), FRESH, "body");
    cache.after(61);
    let request = with("/", &[("if-none-match", "\"theirs\""), ("if-modified-since", crate::cache::DATE)]);
    let got = cache.exchange(request, &mut |sent| {
        assert_eq!(sent.headers["if-none-match"], "\"1\"");
        Some(respond(304, FRESH, ""))
    });
    assert_eq!(got.unwrap().parts.status, 200);
}
