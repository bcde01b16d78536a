//! The caching rules, seen through the layer.

use crate::origin::{Origin, cache, cached, fetch, get, page, send, status, whole};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use lacre::{ManualClock, Mode, Policy, RequestOptions, Timestamp};
use lacre_tower::{CacheLayer, Error, LookupTime};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

#[tokio::test]
async fn a_miss_is_stored_and_the_next_request_is_a_hit() {
    let origin = Origin::new(|_, _| async { page("max-age=60", "hello") });
    let service = cached(&origin);
    let (body, status) = fetch(&service, get("/")).await;
    assert_eq!(
        (&body[..], status.as_str()),
        (&b"hello"[..], "lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored")
    );
    let (body, status) = fetch(&service, get("/")).await;
    assert_eq!((&body[..], status.as_str()), (&b"hello"[..], "lacre; hit; ttl=60"));
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn a_hit_allocates_no_state_of_a_miss() {
    let mut service = cached(&Origin::new(|_, _| async { page("max-age=60", "hello") }));
    let response = service.call(get("/").body(Full::<Bytes>::default()).unwrap());
    assert!(size_of_val(&*response) < 8 << 10, "{} bytes", size_of_val(&*response));
}

#[tokio::test]
async fn every_response_has_its_lookup_time() {
    let service = cached(&Origin::new(|_, _| async { page("max-age=60", "hello") }));
    for _ in 0..2 {
        let response = send(&service, get("/")).await.unwrap();
        assert!(response.extensions().get::<LookupTime>().is_some());
        response.into_body().collect().await.unwrap();
    }
}

#[tokio::test]
async fn a_stale_response_is_validated_with_its_etag() {
    let origin = Origin::new(|index, request: Request<Bytes>| async move {
        let response = Response::builder().header("etag", "\"a\"").header("cache-control", "no-cache");
        match index {
            0 => Ok(response.body(whole("hello")).unwrap()),
            _ => {
                assert_eq!(request.headers()["if-none-match"], "\"a\"");
                Ok(response.status(304).body(whole("")).unwrap())
            }
        }
    });
    let service = cached(&origin);
    fetch(&service, get("/")).await;
    let response = send(&service, get("/")).await.unwrap();
    assert_eq!((response.status(), origin.request_count()), (StatusCode::OK, 2));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
}

#[tokio::test]
async fn a_stored_response_is_served_while_the_origin_fails() {
    let origin = Origin::new(|index, _| async move {
        match index {
            0 => page("max-age=1, stale-if-error=60", "hello"),
            _ => Err(io::ErrorKind::ConnectionRefused.into()),
        }
    });
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_000_000)));
    let service = CacheLayer::new(cache(Policy::rfc9111(), clock.clone())).layer(origin);
    fetch(&service, get("/")).await;
    clock.advance(Duration::from_secs(2));
    let (body, status) = fetch(&service, get("/")).await;
    assert_eq!(body, "hello");
    assert!(status.contains("stale-if-error"), "{status}");
}

#[tokio::test]
async fn the_error_of_the_inner_service_is_unchanged() {
    let origin = Origin::new(|_, _| async { Err(io::ErrorKind::ConnectionRefused.into()) });
    let failed = send(&cached(&origin), get("/")).await.unwrap_err();
    assert!(matches!(failed, Error::Service(error) if error.kind() == io::ErrorKind::ConnectionRefused));
}

#[tokio::test]
async fn only_if_cached_without_a_stored_response_is_a_504() {
    let origin = Origin::new(|_, _| async { page("max-age=60", "hello") });
    let offline = get("/").extension(RequestOptions::new().mode(Mode::OnlyIfCached));
    let response = send(&cached(&origin), offline).await.unwrap();
    assert_eq!((response.status(), origin.request_count()), (StatusCode::GATEWAY_TIMEOUT, 0));
}

#[tokio::test]
async fn requests_with_different_host_headers_share_nothing() {
    let origin = Origin::new(|_, request: Request<Bytes>| async move {
        assert_eq!(request.uri(), "/page", "the inner service sees the URL of the caller");
        page("max-age=60", request.headers()["host"].as_bytes().to_vec())
    });
    let service = cached(&origin);
    let page = |host| Request::get("/page").header("host", host);
    for _ in 0..2 {
        assert_eq!(fetch(&service, page("a.test")).await.0, "a.test");
        assert_eq!(fetch(&service, page("b.test")).await.0, "b.test");
    }
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn a_request_without_a_host_bypasses_the_cache() {
    let origin = Origin::new(|index, _| async move { page("max-age=60", index.to_string()) });
    let service = cached(&origin);
    for expected in ["0", "1"] {
        let (body, status) = fetch(&service, Request::get("/page")).await;
        assert_eq!(
            (&body[..], status.as_str()),
            (expected.as_bytes(), "lacre; fwd=bypass; fwd-status=200; detail=no-authority")
        );
    }
}

#[tokio::test]
async fn requests_of_a_cached_method_are_cached_by_their_body() {
    let origin = Origin::new(|_, request: Request<Bytes>| async move {
        page("max-age=60", [b"re: ", request.into_body().as_ref()].concat())
    });
    let policy = Policy::rfc9111().methods([http::Method::GET, http::Method::from_bytes(b"QUERY").unwrap()]);
    let service = CacheLayer::new(cache(policy, Arc::new(lacre::SystemClock))).layer(origin.clone());
    let query = async |text: &'static str| {
        let request =
            Request::builder().method("QUERY").uri("http://origin.test/").body(Full::from(text)).unwrap();
        let response = service.clone().call(request).await.unwrap();
        (status(&response), response.into_body().collect().await.unwrap().to_bytes())
    };
    for expected in ["fwd=uri-miss", "hit"] {
        for (text, response) in [("a", "re: a"), ("b", "re: b")] {
            let (status, body) = query(text).await;
            assert!(body == response && status.contains(expected), "{status}");
        }
    }
    assert_eq!(origin.request_count(), 2);
}
