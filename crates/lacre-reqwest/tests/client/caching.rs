//! The caching rules as the client shows them: hits, validation, variants, invalidation, stale
//! responses.

use crate::support::{cache_status, client, get, wait_until, whole};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode};
use lacre::Policy;
use lacre_drivers::{Origin, cache, chunked, fresh, respond};
use lacre_reqwest::ClientBuilder;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

#[tokio::test]
async fn a_hit_is_identical_to_the_network_response() {
    let origin = Origin::start(|_| {
        let mut response = fresh("hello\r\n\0\u{ff}");
        response.headers_mut().insert("x-latin", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        response.headers_mut().append("x-twice", HeaderValue::from_static("1"));
        response.headers_mut().append("x-twice", HeaderValue::from_static("2"));
        response
    });
    let (client, _) = client();
    let url = origin.url("/a?b#c");
    let missed = client.get(&url).send().await.unwrap();
    assert_eq!(missed.url().as_str(), url);
    let (network, network_body, miss) = whole(missed).await;
    let cached = client.get(&url).send().await.unwrap();
    assert_eq!(cached.url().as_str(), url);
    let (mut cached, cached_body, hit) = whole(cached).await;
    assert_eq!(miss, "lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored");
    assert_eq!(hit, "lacre; hit; ttl=60");
    assert_eq!(cached.headers.remove("age").unwrap(), "0");
    assert_eq!(cached.headers, network.headers);
    assert_eq!((cached.status, cached.version, cached_body), (network.status, network.version, network_body));
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn a_stale_response_is_validated_and_served_again() {
    let origin = Origin::start(|request| {
        let headers = [("cache-control", "max-age=10"), ("etag", "\"1\"")];
        match request.header("if-none-match") {
            Some("\"1\"") => respond(304, &headers, ""),
            _ => respond(200, &headers, "body"),
        }
    });
    let (client, clock) = client();
    get(&client, &origin.url("/")).await;
    clock.advance(Duration::from_secs(20));
    let (head, body, validated) = get(&client, &origin.url("/")).await;
    assert_eq!((head.status, &body[..]), (StatusCode::OK, &b"body"[..]));
    assert_eq!(validated, "lacre; fwd=stale; fwd-status=304; ttl=10; stored");
    let (_, body, hit) = get(&client, &origin.url("/")).await;
    assert_eq!((&body[..], hit.as_str()), (&b"body"[..], "lacre; hit; ttl=10"));
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn a_304_with_another_etag_is_retried_without_conditions() {
    let origin = Origin::start(|request| {
        if request.header("if-none-match").is_some() {
            return respond(304, &[("etag", "\"2\"")], "");
        }
        respond(200, &[("cache-control", "max-age=10"), ("etag", "\"1\"")], "body")
    });
    let (client, clock) = client();
    get(&client, &origin.url("/")).await;
    clock.advance(Duration::from_secs(20));
    let (head, body, _) = get(&client, &origin.url("/")).await;
    assert_eq!((head.status, &body[..]), (StatusCode::OK, &b"body"[..]));
    assert_eq!(origin.request_count(), 3);
}

#[tokio::test]
async fn variants_are_stored_separately() {
    let origin = Origin::start(|request| {
        let language = request.header("accept-language").unwrap_or("none").to_owned();
        respond(200, &[("cache-control", "max-age=60"), ("vary", "accept-language")], language)
    });
    let (client, _) = client();
    for _ in 0..2 {
        for language in ["de", "fr"] {
            let request = client.get(origin.url("/")).header("accept-language", language);
            assert_eq!(whole(request.send().await.unwrap()).await.1, language);
        }
        assert_eq!(get(&client, &origin.url("/")).await.1, "none");
    }
    assert_eq!(origin.request_count(), 3);
}

#[tokio::test]
async fn a_successful_post_invalidates() {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client();
    get(&client, &origin.url("/")).await;
    let posted = client.post(origin.url("/")).body("form").send().await.unwrap();
    assert_eq!(cache_status(&posted), "lacre; fwd=method; fwd-status=200");
    let (_, _, again) = get(&client, &origin.url("/")).await;
    assert!(again.contains("fwd=uri-miss"), "{again}");
    let seen = origin.requests();
    assert_eq!(seen.len(), 3);
    assert_eq!((&seen[1].method, &seen[1].body[..]), (&Method::POST, &b"form"[..]));
}

#[tokio::test]
async fn a_stale_response_is_served_when_the_origin_is_unreachable() {
    let mut origin = Origin::start(|_| fresh("body"));
    let (client, clock) = client();
    get(&client, &origin.url("/")).await;
    clock.advance(Duration::from_secs(3600));
    origin.stop();
    let (_, body, stale) = get(&client, &origin.url("/")).await;
    assert_eq!(
        (&body[..], stale.as_str()),
        (&b"body"[..], "lacre; fwd=stale; ttl=-3540; detail=stale-if-error")
    );
    let failure = client.get(origin.url("/never-seen")).send().await.unwrap_err();
    assert!(failure.is_connect(), "the client's own error: {failure}");
}

#[tokio::test]
async fn a_response_is_refreshed_once_in_the_background() {
    let answered = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let headers = [("cache-control", "max-age=10, stale-while-revalidate=60")];
        respond(200, &headers, answered.fetch_add(1, Ordering::SeqCst).to_string())
    });
    let (client, clock) = client();
    get(&client, &origin.url("/")).await;
    clock.advance(Duration::from_secs(20));
    for _ in 0..3 {
        // No refresh runs in between: the runtime has one thread, and a hit never waits.
        let (_, body, stale) = get(&client, &origin.url("/")).await;
        assert_eq!(
            (&body[..], stale.as_str()),
            (&b"0"[..], "lacre; hit; ttl=-10; detail=stale-while-revalidate")
        );
    }
    wait_until(async || get(&client, &origin.url("/")).await.2 == "lacre; hit; ttl=10").await;
    assert_eq!((&get(&client, &origin.url("/")).await.1[..], origin.request_count()), (&b"1"[..], 2));
}

#[tokio::test]
async fn a_refresh_stops_reading_an_endless_body() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let asked = AtomicUsize::new(0);
    let headers = [("cache-control", "max-age=10, stale-while-revalidate=60")];
    let origin = Origin::start(move |_| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return respond(200, &headers, "short");
        }
        let counted = Arc::clone(&counted);
        let endless = std::iter::repeat_with(move || {
            counted.fetch_add(1, Ordering::SeqCst);
            Ok(Bytes::from_static(&[0; 1 << 16]))
        });
        let mut response = respond(200, &headers, "");
        *response.body_mut() = chunked(endless);
        response
    });
    let (cache, clock) = cache(Policy::rfc9111().max_body(1 << 20));
    let client = ClientBuilder::new(cache).build().unwrap();
    get(&client, &origin.url("/")).await;
    clock.advance(Duration::from_secs(20));
    get(&client, &origin.url("/")).await;
    wait_until(async || sent.load(Ordering::SeqCst) > 16).await;
    // Another refresh starts only after this one has stopped.
    wait_until(async || {
        get(&client, &origin.url("/")).await;
        origin.request_count() > 2
    })
    .await;
}

#[tokio::test]
async fn head_is_answered_from_a_stored_get() {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client();
    get(&client, &origin.url("/")).await;
    let (head, body, hit) = whole(client.head(origin.url("/")).send().await.unwrap()).await;
    assert_eq!(
        (&head.headers["content-length"], body.len(), hit.as_str()),
        (&HeaderValue::from(4), 0, "lacre; hit; ttl=60")
    );
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn a_conditional_request_is_answered_from_the_cache() {
    let origin =
        Origin::start(|_| respond(200, &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "body"));
    let (client, _) = client();
    get(&client, &origin.url("/")).await;
    let request = client.get(origin.url("/")).header("if-none-match", "\"1\"");
    let (head, body, _) = whole(request.send().await.unwrap()).await;
    assert_eq!((head.status, body.len(), origin.request_count()), (StatusCode::NOT_MODIFIED, 0, 1));
}
