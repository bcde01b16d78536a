//! Bodies that stream through the cache.

use crate::origin::{AnyBody, Origin, cache, cached, channel, fetch, get, send, whole};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use lacre::{Policy, SystemClock};
use lacre_tower::CacheLayer;
use std::io;
use std::sync::{Arc, Mutex};
use tower_layer::Layer;
use tower_service::Service;

/// An origin whose first response has `body`. Later ones have "second".
pub(crate) fn first(body: AnyBody) -> Origin {
    let body = Mutex::new(Some(body));
    Origin::new(move |_, _| {
        let body = body.lock().unwrap().take().unwrap_or_else(|| whole("second"));
        async { Ok(Response::builder().header("cache-control", "max-age=60").body(body).unwrap()) }
    })
}

#[tokio::test]
async fn a_response_streams_to_the_caller_while_it_is_stored() {
    let (sender, body) = channel();
    let service = cached(&first(body));
    let mut response = send(&service, get("/")).await.unwrap().into_body();
    for piece in ["one ", "two"] {
        sender.send(Ok(piece)).await.unwrap();
        assert_eq!(response.frame().await.unwrap().unwrap().into_data().unwrap(), piece);
    }
    drop(sender);
    assert!(response.frame().await.is_none());
    let (body, status) = fetch(&service, get("/")).await;
    assert_eq!((&body[..], status.as_str()), (&b"one two"[..], "lacre; hit; ttl=60"));
}

#[tokio::test]
async fn a_dropped_body_is_not_stored() {
    let (sender, body) = channel();
    let service = cached(&first(body));
    let mut response = send(&service, get("/")).await.unwrap().into_body();
    sender.send(Ok("one")).await.unwrap();
    response.frame().await.unwrap().unwrap();
    drop(response);
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

#[tokio::test]
async fn a_truncated_body_is_an_error_and_is_not_stored() {
    let (sender, body) = channel();
    let service = cached(&first(body));
    let mut response = send(&service, get("/")).await.unwrap().into_body();
    sender.send(Ok("one")).await.unwrap();
    response.frame().await.unwrap().unwrap();
    sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    let error = response.frame().await.unwrap().unwrap_err().downcast::<io::Error>().unwrap();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "the error of the service, unchanged");
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

#[tokio::test]
async fn a_body_over_the_limit_streams_through() {
    for known_length in [true, false] {
        let body = match known_length {
            true => whole("x".repeat(100)),
            false => {
                let (sender, body) = channel();
                tokio::spawn(async move {
                    for _ in 0..10 {
                        sender.send(Ok("xxxxxxxxxx")).await.unwrap();
                    }
                });
                body
            }
        };
        let layer = CacheLayer::new(cache(Policy::rfc9111().max_body(99), Arc::new(SystemClock)));
        let service = layer.layer(first(body));
        assert_eq!(fetch(&service, get("/")).await.0, "x".repeat(100));
        assert_eq!(fetch(&service, get("/")).await.0, "second", "the first response was not stored");
    }
}

#[tokio::test]
async fn a_request_streams_through_without_being_looked_up() {
    let origin =
        Origin::new(
            |_, request: Request<Bytes>| async move { Ok(Response::new(whole(request.into_body()))) },
        );
    let mut service = cached(&origin);
    let (sender, body) = channel();
    let upload = tokio::spawn(service.call(Request::put("http://origin.test/").body(body).unwrap()));
    for piece in ["one ", "two"] {
        sender.send(Ok(piece)).await.unwrap();
    }
    drop(sender);
    let echo = upload.await.unwrap().unwrap().into_body().collect().await.unwrap().to_bytes();
    assert_eq!(echo, "one two");
}
