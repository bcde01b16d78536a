//! Clients for the tests, and readers of their responses.

use bytes::Bytes;
use http_body_util::BodyExt;
use lacre::{CacheInfo, ManualClock, Policy};
use lacre_drivers::cache;
use lacre_reqwest::ClientBuilder;
use reqwest_middleware::ClientWithMiddleware;
use std::sync::Arc;
use std::time::Duration;

/// A client with a cache of its own, and the cache's clock.
pub(crate) fn client() -> (ClientWithMiddleware, Arc<ManualClock>) {
    let (cache, clock) = cache(Policy::rfc9111());
    (ClientBuilder::new(cache).build().unwrap(), clock)
}

/// The whole response to GET, and its `Cache-Status`.
pub(crate) async fn get(client: &ClientWithMiddleware, url: &str) -> (http::response::Parts, Bytes, String) {
    whole(client.get(url).send().await.unwrap()).await
}

/// A whole response, and its `Cache-Status`.
pub(crate) async fn whole(response: reqwest::Response) -> (http::response::Parts, Bytes, String) {
    let status = cache_status(&response);
    let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
    (head, body.collect().await.unwrap().to_bytes(), status)
}

/// Waits until `condition` holds, for at most ten seconds. Other tasks run meanwhile.
pub(crate) async fn wait_until(mut condition: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .expect("the condition must hold within ten seconds");
}

/// The text of `Cache-Status` (RFC 9211).
pub(crate) fn cache_status(response: &reqwest::Response) -> String {
    response.extensions().get::<CacheInfo>().unwrap().status.to_string()
}
