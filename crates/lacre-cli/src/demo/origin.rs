//! A small HTTP origin on loopback, in the process of the demo. It checks the secrets of each
//! request and counts requests.

use super::secrets::{ACCOUNT, AUTHORIZATION, FIGURES, TOKEN};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// The origin. Dropping it closes all its connections.
pub(super) struct Origin {
    address: SocketAddr,
    requests: Arc<AtomicUsize>,
    server: JoinHandle<()>,
}

impl Origin {
    pub(super) async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let requests = Arc::default();
        let server = tokio::spawn(serve(listener, Arc::clone(&requests)));
        Ok(Self { address, requests, server })
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}?token={TOKEN}", self.address)
    }

    /// The number of requests so far.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// The body for `path`. Paths of one length have bodies of one length.
pub(super) fn content(path: &str) -> String {
    format!("{path}: {FIGURES}")
}

async fn serve(listener: TcpListener, requests: Arc<AtomicUsize>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let requests = Arc::clone(&requests);
        let service = service_fn(move |request: Request<_>| {
            requests.fetch_add(1, Ordering::SeqCst);
            let response = answer(&request);
            async { Ok::<_, Infallible>(response) }
        });
        // A client that closes its connection is no failure.
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

fn answer<B>(request: &Request<B>) -> Response<Full<Bytes>> {
    let may_read = request.uri().query().is_some_and(|query| query == format!("token={TOKEN}"))
        && request.headers().get(header::AUTHORIZATION).is_some_and(|value| value == AUTHORIZATION);
    if !may_read {
        let mut refusal = Response::new(Full::default());
        *refusal.status_mut() = StatusCode::UNAUTHORIZED;
        return refusal;
    }
    let mut response = Response::new(Full::from(content(request.uri().path())));
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
    headers.insert("x-account", HeaderValue::from_static(ACCOUNT));
    response
}
