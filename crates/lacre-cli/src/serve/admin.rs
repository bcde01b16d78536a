//! The address for operators: what is counted, for Prometheus.

use crate::serve::current::Current;
use crate::serve::front::Front;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::timeout;

/// How long one connection may last: a scrape is short, and nobody may hold this address.
const PATIENCE: Duration = Duration::from_secs(10);

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers `/metrics` for as long as it is polled, one connection at a time.
pub(crate) async fn serve(listener: TcpListener, current: Arc<Current>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let service = service_fn(|request| answer(request, current.front()));
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).keep_alive(false);
        // A scrape that breaks off is tried again by whoever scrapes.
        let _ = timeout(PATIENCE, server.serve_connection(TokioIo::new(stream), service)).await;
    }
}

async fn answer<B>(request: Request<B>, front: Arc<Front>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET && request.method() != Method::HEAD {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else {
        // A store that does not answer is missing from the numbers, not a reason to show none.
        match front.metrics().text(front.cache().usage().await.ok()) {
            Ok(text) => {
                response.headers_mut().insert(header::CONTENT_TYPE, OPENMETRICS);
                *response.body_mut() = Full::from(text);
            }
            Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
    Ok(response)
}
