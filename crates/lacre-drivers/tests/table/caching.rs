//! Hits, validation, invalidation, and stale responses (RFC 9111 §4).

use crate::clients::MakeClient;
use crate::support::{client, client_with, get, request};
use bytes::Bytes;
use http::Method;
use lacre::{Mode, Policy, RequestOptions};
use lacre_drivers::{Origin, fresh, respond, wait_until};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

pub(crate) fn a_miss_is_stored_and_the_hit_is_identical(make: MakeClient) {
    let origin = Origin::start(|_| {
        let headers = [("cache-control", "max-age=60"), ("content-type", "text/plain; charset=latin1")];
        let mut response = respond(200, &headers, "hello\r\n\0\u{ff}");
        response.headers_mut().insert("x-latin", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
        response.headers_mut().append("x-twice", http::HeaderValue::from_static("1"));
        response.headers_mut().append("x-twice", http::HeaderValue::from_static("2"));
        response
    });
    let (client, _) = client(make);
    let miss = get(&*client, &origin.url("/a?b"));
    let mut hit = get(&*client, &origin.url("/a?b"));
    assert_eq!(miss.cache_status(), "lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored");
    assert_eq!(hit.cache_status(), "lacre; hit; ttl=60");
    assert_eq!(hit.headers.remove("age").unwrap(), "0");
    assert_eq!((hit.status, &hit.headers, &hit.body), (miss.status, &miss.headers, &miss.body));
    assert_eq!(hit.body, "hello\r\n\0\u{ff}");
    assert_eq!(origin.request_count(), 1);
}

pub(crate) fn a_stale_response_is_validated_and_served_again(make: MakeClient) {
    let origin = Origin::start(|request| {
        let headers = [("cache-control", "max-age=10"), ("etag", "\"1\"")];
        match request.header("if-none-match") {
            Some("\"1\"") => respond(304, &headers, ""),
            _ => respond(200, &headers, "body"),
        }
    });
    let (client, clock) = client(make);
    get(&*client, &origin.url("/"));
    clock.advance(Duration::from_secs(20));
    let validated = get(&*client, &origin.url("/"));
    assert_eq!((validated.status, &validated.body[..]), (200, &b"body"[..]));
    assert_eq!(validated.cache_status(), "lacre; fwd=stale; fwd-status=304; ttl=10; stored");
    assert_eq!(get(&*client, &origin.url("/")).cache_status(), "lacre; hit; ttl=10");
    assert_eq!(origin.request_count(), 2);
}

pub(crate) fn a_stale_response_is_served_while_it_is_refreshed_once(make: MakeClient) {
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let headers = [("cache-control", "max-age=10, stale-while-revalidate=60")];
        respond(200, &headers, count.fetch_add(1, Ordering::SeqCst).to_string())
    });
    let (client, clock) = client(make);
    get(&*client, &origin.url("/"));
    clock.advance(Duration::from_secs(20));
    origin.hold();
    for _ in 0..3 {
        let stale = get(&*client, &origin.url("/"));
        assert_eq!(stale.body, "0");
        assert_eq!(stale.cache_status(), "lacre; hit; ttl=-10; detail=stale-while-revalidate");
    }
    origin.release();
    wait_until(|| get(&*client, &origin.url("/")).cache_status() == "lacre; hit; ttl=10");
    assert_eq!((&get(&*client, &origin.url("/")).body[..], origin.request_count()), (&b"1"[..], 2));
}

pub(crate) fn a_stale_response_is_served_when_the_origin_is_unreachable(make: MakeClient) {
    let mut origin = Origin::start(|_| fresh("body"));
    let (client, clock) = client(make);
    get(&*client, &origin.url("/"));
    clock.advance(Duration::from_secs(3600));
    origin.stop();
    let stale = get(&*client, &origin.url("/"));
    assert_eq!(stale.body, "body");
    assert_eq!(stale.cache_status(), "lacre; fwd=stale; ttl=-3540; detail=stale-if-error");
    client.fetch(request(Method::GET, &origin.url("/never-seen"), &[])).unwrap_err();
}

pub(crate) fn a_post_body_arrives_whole_and_the_post_invalidates(make: MakeClient) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client(make);
    get(&*client, &origin.url("/"));
    let long = Bytes::from(vec![b'x'; 3 << 20]);
    for body in [Bytes::from("form"), long] {
        let post = request(Method::POST, &origin.url("/"), &[]).map(|_| body.clone());
        let posted = client.fetch(post).unwrap();
        assert_eq!(posted.cache_status(), "lacre; fwd=method; fwd-status=200");
        let seen = origin.requests().pop().unwrap();
        assert_eq!((&seen.method, seen.body.len()), (&Method::POST, body.len()));
        assert_eq!(seen.header("content-length"), Some(body.len().to_string().as_str()));
        assert!(get(&*client, &origin.url("/")).cache_status().contains("fwd=uri-miss"));
    }
}

pub(crate) fn posts_are_cached_by_their_body(make: MakeClient) {
    let origin = Origin::start(|request| fresh(request.body.clone()));
    let (client, _) = client_with(make, Policy::rfc9111().methods([Method::GET, Method::POST]));
    for _ in 0..2 {
        for body in ["a", "b"] {
            let post = request(Method::POST, &origin.url("/"), &[]).map(|_| Bytes::from(body));
            assert_eq!(client.fetch(post).unwrap().body, body);
        }
    }
    assert_eq!(origin.request_count(), 2);
    assert_eq!(origin.requests()[0].header("content-length"), Some("1"));
}

pub(crate) fn head_is_answered_from_a_stored_get(make: MakeClient) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client(make);
    let head = || client.fetch(request(Method::HEAD, &origin.url("/"), &[])).unwrap();
    let passed = head();
    assert_eq!((passed.body.len(), passed.headers["content-length"].as_bytes()), (0, &b"4"[..]));
    get(&*client, &origin.url("/"));
    let hit = head();
    assert_eq!((hit.body.len(), hit.headers["content-length"].as_bytes()), (0, &b"4"[..]));
    assert_eq!((hit.cache_status().as_str(), origin.request_count()), ("lacre; hit; ttl=60", 2));
}

pub(crate) fn a_head_response_is_stored_without_a_get(make: MakeClient) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client(make);
    for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
        let head = client.fetch(request(Method::HEAD, &origin.url("/"), &[])).unwrap();
        assert_eq!((head.body.len(), head.headers["content-length"].as_bytes()), (0, &b"4"[..]));
        assert_eq!(head.cache_status(), expected);
    }
    assert!(
        get(&*client, &origin.url("/")).cache_status().contains("fwd=uri-miss"),
        "a response to HEAD does not answer GET"
    );
    client.fetch(request(Method::POST, &origin.url("/"), &[])).unwrap();
    let head = client.fetch(request(Method::HEAD, &origin.url("/"), &[])).unwrap();
    assert!(head.cache_status().contains("fwd=uri-miss"), "POST invalidates both");
}

pub(crate) fn a_condition_on_a_stale_response_is_evaluated_by_the_origin(make: MakeClient) {
    let count = AtomicUsize::new(1);
    let origin = Origin::start(move |_| {
        let version = count.fetch_add(1, Ordering::SeqCst);
        let etag = format!("\"{version}\"");
        respond(200, &[("cache-control", "max-age=10"), ("etag", &etag)], version.to_string())
    });
    let (client, clock) = client(make);
    get(&*client, &origin.url("/"));
    clock.advance(Duration::from_secs(20));
    let has_the_second = || request(Method::GET, &origin.url("/"), &[("if-none-match", "\"2\"")]);
    let reply = client.fetch(has_the_second()).unwrap();
    assert_eq!(
        (reply.status, &reply.body[..], reply.headers["etag"].as_bytes()),
        (304, &b""[..], &b"\"2\""[..])
    );
    // The response that answered 304 was stored for other requests.
    wait_until(|| get(&*client, &origin.url("/")).body == "2");
    assert_eq!(client.fetch(has_the_second()).unwrap().cache_status(), "lacre; hit; ttl=10");
    clock.advance(Duration::from_secs(20));
    assert_eq!(client.fetch(has_the_second()).unwrap().status, 200, "its validator is of the second version");
}

pub(crate) fn an_error_response_is_stored_for_its_lifetime(make: MakeClient) {
    let origin = Origin::start(|_| respond(404, &[("cache-control", "max-age=60")], "nothing here"));
    let (client, _) = client(make);
    for expected in ["lacre; fwd=uri-miss; fwd-status=404; ttl=60; stored", "lacre; hit; ttl=60"] {
        let reply = get(&*client, &origin.url("/"));
        assert_eq!((reply.status, &reply.body[..]), (404, &b"nothing here"[..]));
        assert_eq!(reply.cache_status(), expected);
    }
}

pub(crate) fn a_lifetime_set_by_the_user_stores_no_errors(make: MakeClient) {
    let origin = Origin::start(|request| match request.header("x-turn") {
        Some("first") => respond(request.path[1..].parse().unwrap(), &[("retry-after", "0")], "error"),
        _ => respond(200, &[], "well"),
    });
    let hour = Duration::from_secs(3600);
    for policy in [
        Policy::rfc9111().expire_after(hour),
        Policy::rfc9111().expire_after(hour).origin_headers(lacre::OriginHeaders::Ignored),
        Policy::rfc9111().expire_url_after(lacre::UrlPattern::glob("*").unwrap(), hour),
        Policy::rfc9111(),
    ] {
        let (client, _) = client_with(make, policy);
        let ask = |url: &str, turn| {
            let mut request = request(Method::GET, url, &[("x-turn", turn)]);
            request.extensions_mut().insert(RequestOptions::new().ttl(hour));
            client.fetch(request).unwrap()
        };
        for status in [400, 401, 403, 404, 408, 410, 429, 500, 502, 503, 504] {
            let url = origin.url(&format!("/{status}"));
            assert_eq!(ask(&url, "first").status, status);
            assert_eq!(ask(&url, "second").body, "well", "{status}");
            assert_eq!(ask(&url, "third").cache_status(), "lacre; hit; ttl=3600", "{status}");
        }
    }
}

pub(crate) fn only_if_cached_sends_nothing(make: MakeClient) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client(make);
    let only_if_cached = || {
        let mut request = request(Method::GET, &origin.url("/"), &[]);
        request.extensions_mut().insert(RequestOptions::new().mode(Mode::OnlyIfCached));
        client.fetch(request).unwrap()
    };
    assert_eq!((only_if_cached().status, origin.request_count()), (504, 0));
    get(&*client, &origin.url("/"));
    assert_eq!((only_if_cached().status, origin.request_count()), (200, 1));
}
