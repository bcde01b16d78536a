//! The way to the origin: one request, one answer, in time. Idle connections are closed before origins do that (many after 5 seconds),
//! and a request is sent again only where the connection it waited for was gone before anything of it was written.

use crate::exit::{Exit, Failure};
use crate::serve::Limits;
use crate::serve::failure::{BrokenUpload, Fault};
use crate::serve::headers;
use crate::serve::pace::{Paced, Pulse};
use crate::serve::wire::Relay;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::Limited;
use http_body_util::combinators::MapErr;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lacre_tower::SentBody;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_service::Service;

/// How long a connection to the origin may be idle.
const KEPT: Duration = Duration::from_secs(4);

/// A request's body as it comes from the client.
pub(crate) type Upload = Limited<Paced<MapErr<Incoming, fn(hyper::Error) -> BrokenUpload>>>;

/// A response's body as it comes from the origin.
pub(crate) type Download = Paced<Incoming>;

/// Among a request's extensions: its client takes trailer fields, so that the origin may send some (RFC 9110 §6.5.1).
#[derive(Clone, Copy)]
pub(crate) struct TakesTrailers;

/// The service beneath the cache.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Arc<Client<HttpsConnector<HttpConnector>, SentBody<Upload>>>,
    limits: Limits,
}

impl Upstream {
    /// # Errors
    /// The platform's certificates cannot be used.
    pub(crate) fn new(limits: Limits) -> Result<Self, Failure> {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(limits.connect_timeout));
        tcp.enforce_http(false);
        let tls = HttpsConnectorBuilder::new().try_with_platform_verifier().map_err(|error| {
            Failure::new(Exit::Failed, format!("no certificates to trust origins by: {error}"))
                .with_hint("install your system's certificates, such as the package ca-certificates")
        })?;
        let connector = tls.https_or_http().enable_all_versions().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(KEPT)
            .http1_max_buf_size(limits.header())
            .http1_max_headers(limits.parsed_lines())
            .http2_max_header_list_size(limits.max_header)
            .build(connector);
        Ok(Self { client: Arc::new(client), limits })
    }

    async fn exchange(self, mut request: Request<SentBody<Upload>>) -> Result<Response<Download>, Fault> {
        if let Some(relay) = request.extensions().get::<Relay>().cloned() {
            hyper::ext::on_informational(&mut request, move |interim| {
                relay.send(interim.status(), interim.headers());
            });
        }
        *request.version_mut() = Version::HTTP_11;
        frame(&mut request);
        let Limits { answer_timeout, idle_timeout, .. } = self.limits;
        let pulse = request.extensions().get::<Pulse>().cloned().unwrap_or_default();
        pulse.beat();
        let answer = pulse.keeps(self.client.request(request), answer_timeout).await;
        let answer = answer.map_err(|_| Fault::AnswerTimeout)?;
        let mut response = answer.map_err(|error| Fault::of_exchange(&error))?;
        let (status, fields) = (response.status(), response.headers_mut());
        if headers::length(fields) > self.limits.header() || fields.len() > self.limits.max_header_lines() {
            return Err(Fault::LongAnswer);
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Fault::BadAnswer);
        }
        lacre::settle_length(status, fields)?;
        headers::end_hop(fields);
        headers::add_date(fields);
        Ok(response.map(|body| Paced::new(body, idle_timeout)))
    }
}

/// What the header says about the body as hyper will send it, and about trailer fields in the answer.
fn frame(request: &mut Request<SentBody<Upload>>) {
    if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        // By itself, hyper sends no body of unknown length with a GET.
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if request.extensions().get::<TakesTrailers>().is_some() {
        // RFC 9110 §10.1.4: TE is for one connection, and Connection says so.
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("TE"));
    }
}

impl Service<Request<SentBody<Upload>>> for Upstream {
    type Response = Response<Download>;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Download>, Fault>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<SentBody<Upload>>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}
