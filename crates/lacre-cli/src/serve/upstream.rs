//! The way to the origin: one request, one answer, in time. Idle connections are closed before origins do that (many after 5 seconds).
//!
//! An origin may close an idle connection while a request is on its way (RFC 9112 §9.3.1). Where nothing came back on a connection that had been
//! used before, the request is sent once more, on a new one. An origin that hangs up on a new connection is not asked again. A request that must
//! not be sent twice, for its method is not idempotent or its body is a stream, never goes on a connection that was used before.

use crate::exit::{Exit, Failure};
use crate::serve::Limits;
use crate::serve::failure::{BrokenUpload, Fault};
use crate::serve::headers;
use crate::serve::held::Held;
use crate::serve::pace::{Paced, Pulse};
use crate::serve::reach::{Connector, Reach};
use crate::serve::tracked::{Tracked, Used};
use crate::serve::wire::Relay;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::Limited;
use http_body_util::combinators::MapErr;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use lacre_tower::SentBody;
use std::error::Error as StdError;
use std::io;
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
pub(crate) type Download = Held<Paced<Incoming>>;

/// Among a request's extensions: its client takes trailer fields, so that the origin may send some (RFC 9110 §6.5.1).
#[derive(Clone, Copy)]
pub(crate) struct TakesTrailers;

/// The service beneath the cache.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Arc<Sender>,
    /// Makes a connection for each request.
    unpooled: Arc<Sender>,
    limits: Limits,
}

type Sender = Client<Tracked<HttpsConnector<Connector>>, SentBody<Upload>>;

impl Upstream {
    /// # Errors
    /// The platform's certificates cannot be used.
    pub(crate) fn new(limits: Limits, reach: Reach, preserve_host: bool) -> Result<Self, Failure> {
        let tls = HttpsConnectorBuilder::new().try_with_platform_verifier().map_err(|error| {
            Failure::new(Exit::Failed, format!("no certificates to trust origins by: {error}"))
                .with_hint("install your system's certificates, such as the package ca-certificates")
        })?;
        let tcp = Connector::new(reach, limits.connect_timeout);
        let tls = tls.https_or_http();
        let connector = match preserve_host {
            // In HTTP/2 the host is part of the URL, which leads to the upstream.
            true => tls.enable_http1().wrap_connector(tcp),
            false => tls.enable_all_versions().wrap_connector(tcp),
        };
        let client = |kept: usize| {
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(KEPT)
                .pool_max_idle_per_host(kept)
                .http1_max_buf_size(limits.header())
                .http1_max_headers(limits.parsed_lines())
                .http2_max_header_list_size(limits.max_header)
                .build(Tracked(connector.clone()))
        };
        Ok(Self { client: Arc::new(client(usize::MAX)), unpooled: Arc::new(client(0)), limits })
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
        let answer = pulse.keeps(self.send(request), answer_timeout).await;
        let answer = answer.map_err(|_| Fault::AnswerTimeout)?;
        let mut response = answer.map_err(|error| Fault::of_exchange(&error))?;
        let (status, fields) = (response.status(), response.headers_mut());
        if headers::length(fields) > self.limits.header() || fields.len() > self.limits.max_header_lines() {
            return Err(Fault::LongAnswer);
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(Fault::BadAnswer);
        }
        let contradicts_itself =
            fields.contains_key(header::TRANSFER_ENCODING) && fields.contains_key(header::CONTENT_LENGTH);
        lacre::normalize_content_length(status, fields)?;
        headers::strip_hop_by_hop(fields);
        headers::add_date(fields);
        let (head, body) = response.into_parts();
        let body = Paced::new(body, idle_timeout);
        let body = if contradicts_itself {
            Held::beginning_of(body).await.map_err(|_| Fault::BadAnswer)?
        } else {
            Held::nothing_of(body)
        };
        Ok(Response::from_parts(head, body))
    }

    /// Sends a request, and once more where a kept connection turned out to be dead. One that cannot be sent twice gets a connection of its own.
    async fn send(&self, request: Request<SentBody<Upload>>) -> Result<Response<Incoming>, legacy::Error> {
        let Some(again) = repeatable(&request) else { return self.unpooled.request(request).await };
        match self.client.request(request).await {
            Ok(response) => {
                if let Some(used) = response.extensions().get::<Used>() {
                    used.answered();
                }
                Ok(response)
            }
            Err(error) if was_dead(&error) => self.unpooled.request(again).await,
            Err(error) => Err(error),
        }
    }
}

/// The same request once more, where it may be sent twice (RFC 9110 §9.2.2).
fn repeatable(request: &Request<SentBody<Upload>>) -> Option<Request<SentBody<Upload>>> {
    let body = request.method().is_idempotent().then(|| request.body().try_clone())??;
    let mut again = Request::new(body);
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    *again.version_mut() = request.version();
    again.headers_mut().clone_from(request.headers());
    again.extensions_mut().clone_from(request.extensions());
    Some(again)
}

/// Whether a connection that had answered before was closed without a byte of an answer.
fn was_dead(error: &legacy::Error) -> bool {
    let mut extras = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    !error.is_connect() && extras.get::<Used>().is_some_and(Used::ended_in_silence) && is_closed(error)
}

/// Whether an error says that the connection was closed: not that what came was no HTTP, or that the request's own body broke off.
fn is_closed(error: &(dyn StdError + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(error) = cause.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_closed() || error.is_canceled())
        {
            return true;
        }
        if let Some(error) = cause.downcast_ref::<io::Error>() {
            return matches!(
                error.kind(),
                io::ErrorKind::ConnectionReset
                    | io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::BrokenPipe
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::UnexpectedEof
            );
        }
        next = cause.source();
    }
    false
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
