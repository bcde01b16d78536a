//! What scenarios share: clients with a cache of their own, requests, and a count of misses.

use crate::clients::{Client, MakeClient, Reply};
use bytes::Bytes;
use http::{Method, Request};
use lacre::{Driver, Event, ManualClock, Observer, Policy};
use lacre_drivers::{builder, cache, chunked, fresh};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A client with a cache of its own, and the cache's clock.
pub(crate) fn client(make: MakeClient) -> (Box<dyn Client>, Arc<ManualClock>) {
    client_with(make, Policy::rfc9111())
}

pub(crate) fn client_with(make: MakeClient, policy: Policy) -> (Box<dyn Client>, Arc<ManualClock>) {
    let (cache, clock) = cache(policy);
    (make(Driver::new(cache)), clock)
}

/// A client with a cache of its own, and a count of its misses.
pub(crate) fn client_with_misses(make: MakeClient) -> (Box<dyn Client>, Arc<Misses>) {
    let misses = Arc::new(Misses::default());
    let (builder, _) = builder();
    (make(Driver::new(builder.observer(Arc::clone(&misses)).build().unwrap())), misses)
}

/// Counts misses. After its miss, a request joins the one in flight or finds its response.
#[derive(Debug, Default)]
pub(crate) struct Misses(AtomicUsize);

impl Misses {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Observer for Misses {
    fn on_event(&self, event: Event<'_>) {
        if matches!(event, Event::Miss { .. }) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// A request without a body.
pub(crate) fn request(method: Method, url: &str, headers: &[(&str, &str)]) -> Request<Bytes> {
    let mut builder = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Bytes::new()).unwrap()
}

/// The whole response to GET.
pub(crate) fn get(client: &dyn Client, url: &str) -> Reply {
    client.fetch(request(Method::GET, url, &[])).unwrap()
}

impl Reply {
    /// The text of `Cache-Status` (RFC 9211).
    pub(crate) fn cache_status(&self) -> String {
        self.info.status.to_string()
    }
}

/// A chunked response of this many 64 KiB pieces, fresh for a minute.
pub(crate) fn chunked_response(count: usize) -> http::Response<lacre_drivers::Body> {
    let piece = Bytes::from(vec![b'x'; 64 << 10]);
    fresh("").map(|_| chunked((0..count).map(move |_| Ok(piece.clone()))))
}
