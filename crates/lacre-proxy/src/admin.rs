//! The address for operators, which shows the metrics for Prometheus.

use crate::current_front::CurrentFront;
use crate::front::Front;
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

/// The time that one connection may last. A scrape is short, and connections are served one by one.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const OPENMETRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers requests for `/metrics`, one connection at a time, until it is dropped.
pub(crate) async fn serve(listener: TcpListener, current: Arc<CurrentFront>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let service = service_fn(|request| respond(request, current.front()));
        let mut server = http1::Builder::new();
        server.timer(TokioTimer::new()).keep_alive(false);
        // A scrape that fails is repeated by its client.
        let _ = timeout(CONNECTION_TIMEOUT, server.serve_connection(TokioIo::new(stream), service)).await;
    }
}

async fn respond<B>(request: Request<B>, front: Arc<Front>) -> Result<Response<Full<Bytes>>, Infallible> {
    let mut response = Response::new(Full::default());
    if request.uri().path() != "/metrics" {
        *response.status_mut() = StatusCode::NOT_FOUND;
    } else if request.method() != Method::GET && request.method() != Method::HEAD {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    } else {
        // The counters are shown even if the store does not answer.
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
