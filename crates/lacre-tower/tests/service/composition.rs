//! The layer between other layers and services, with the types that they have without a cache.

use crate::origin::{Origin, cache, cached, fetch, page, whole};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use lacre::{CacheInfo, Policy, SystemClock};
use lacre_tower::{CacheLayer, CacheService, SentBody};
use std::error::Error as StdError;
use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use tower::retry::{Policy as RetryPolicy, Retry, RetryLayer};
use tower_layer::Layer;
use tower_service::Service;

/// Retries as often as its number says.
#[derive(Clone)]
struct Retries(u8);

impl<B: Clone, R, E> RetryPolicy<Request<B>, Response<R>, E> for Retries {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Request<B>, result: &mut Result<Response<R>, E>) -> Option<Ready<()>> {
        let failed = match result {
            Err(_) => true,
            Ok(response) => response.status().is_server_error(),
        };
        self.0 = self.0.checked_sub(1).filter(|_| failed)?;
        Some(ready(()))
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

/// An origin whose first two requests fail.
fn fails_twice() -> Origin {
    Origin::new(|index, request: Request<Bytes>| async move {
        match index {
            0 => Err(io::ErrorKind::ConnectionReset.into()),
            1 => Ok(Response::builder().status(503).body(whole("")).unwrap()),
            _ => page("max-age=60", request.into_body()),
        }
    })
}

/// The `Cache-Status` and the body of a response.
async fn fetch_from<S, R>(mut service: S) -> (String, Bytes)
where
    S: Service<Request<Full<Bytes>>, Response = Response<R>, Error: std::fmt::Debug>,
    R: Body<Data = Bytes, Error: std::fmt::Debug>,
{
    let response = service.call(Request::get("http://origin.test/").body(Full::from("text")).unwrap());
    let response = response.await.unwrap();
    let status = response.extensions().get::<CacheInfo>().unwrap().status.to_string();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn retries_work_above_and_below_the_cache() {
    let layer = CacheLayer::new(cache(Policy::rfc9111(), Arc::new(SystemClock)));
    let origin = fails_twice();
    let above = Retry::new(Retries(3), layer.layer(origin.clone()));
    assert_eq!(fetch_from(above.clone()).await.1, "text");
    assert!(fetch_from(above).await.0.starts_with("lacre; hit"));
    assert_eq!(origin.request_count(), 3);

    let layer = CacheLayer::new(cache(Policy::rfc9111(), Arc::new(SystemClock)));
    let origin = fails_twice();
    let below = layer.layer(RetryLayer::new(Retries(3)).layer(origin.clone()));
    assert_eq!(fetch_from(below.clone()).await.1, "text");
    assert!(fetch_from(below).await.0.starts_with("lacre; hit"));
    assert_eq!(origin.request_count(), 3);
}

/// Stacks layers like octocrab: each service takes requests with the body type of the client, and
/// every error can be boxed.
struct Stack<S>(S);

impl<S> Stack<S> {
    fn with_layer<L: Layer<S>>(self, layer: &L) -> Stack<L::Service> {
        Stack(layer.layer(self.0))
    }

    fn build<R>(self) -> S
    where
        S: Service<Request<OneBody>, Response = Response<R>, Error: Into<Box<dyn StdError + Send + Sync>>>,
        S: Clone + Send + 'static,
        S::Future: Send,
        R: Body<Data = Bytes, Error: Into<Box<dyn StdError + Send + Sync>>> + Send + 'static,
    {
        self.0
    }
}

type OneBody = http_body_util::combinators::UnsyncBoxBody<Bytes, io::Error>;

#[tokio::test]
async fn the_inner_service_keeps_its_body_type() {
    let origin = Origin::new(|_, _| async { page("max-age=60", "hello") });
    let layer = CacheLayer::new(cache(Policy::rfc9111(), Arc::new(SystemClock)));
    let mut service = Stack(origin.clone()).with_layer(&layer).with_layer(&RetryLayer::new(Never)).build();
    for _ in 0..2 {
        let body: OneBody = whole("");
        let response = service.call(Request::get("http://origin.test/").body(body).unwrap()).await.unwrap();
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "hello");
    }
    assert_eq!(origin.request_count(), 1);
}

/// Never retries.
#[derive(Clone)]
struct Never;

impl<Q, R, E> RetryPolicy<Q, R, E> for Never {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut Q, _: &mut Result<R, E>) -> Option<Ready<()>> {
        None
    }

    fn clone_request(&mut self, _: &Q) -> Option<Q> {
        None
    }
}

#[tokio::test]
async fn a_buffering_layer_caches_by_bodies_of_any_type() {
    let policy = Policy::rfc9111().methods([http::Method::POST]);
    let layer = CacheLayer::new(cache(policy, Arc::new(SystemClock))).buffer_bodies();
    let origin =
        Origin::new(|_, request: Request<Bytes>| async move { page("max-age=60", request.into_body()) });
    let service: CacheService<Origin, lacre_tower::Buffered> = layer.layer(origin.clone());
    for _ in 0..2 {
        for text in ["a", "b"] {
            let mut service = service.clone();
            let request = Request::post("http://origin.test/").body(whole(text)).unwrap();
            let response = Service::<Request<OneBody>>::call(&mut service, request).await.unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), text);
        }
    }
    assert_eq!(origin.request_count(), 2);
    fn takes<S: Service<Request<SentBody<OneBody>>>>(_: &S) {}
    takes(&origin);
}

#[test]
fn neither_timers_nor_a_runtime_are_required() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(two_requests_share_a_response());
    lacre::wait(async {
        let origin = Origin::new(|_, _| async { page("max-age=60", "hello") });
        let service = cached(&origin);
        for _ in 0..2 {
            assert_eq!(fetch(&service, crate::origin::get("/")).await.0, "hello");
        }
        assert_eq!(origin.request_count(), 1);
    });
}

async fn two_requests_share_a_response() {
    let origin = Origin::new(|_, _| async {
        tokio::task::yield_now().await;
        page("max-age=60", "hello")
    });
    let service = cached(&origin);
    let both = futures_util::future::join(
        fetch(&service, crate::origin::get("/")),
        fetch(&service, crate::origin::get("/")),
    );
    assert!(both.await.1.1.ends_with("; collapsed"));
    assert_eq!(origin.request_count(), 1);
}
