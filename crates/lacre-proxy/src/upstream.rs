//! [`Upstream`]: sends a request to the origin, and returns its response within the timeouts.
//!
//! Connections are closed after a few idle seconds, before origins close them (many after 5 s). An
//! origin may still close an idle connection while a request is on its way (RFC 9112 §9.3.1). If
//! nothing came back on a reused connection, the request is sent once more, on a new one. An origin
//! that closes a new connection is not asked again. A request that must not be sent twice, because
//! its method is not idempotent or its body is a stream, always gets a new connection.

use crate::allowed_targets::AllowedTargets;
use crate::config::Limits;
use crate::connection_use::{ConnectionUse, TrackedConnector};
use crate::connector::Connector;
use crate::error::Error;
use crate::headers;
use crate::idle_timeout::{Activity, IdleTimeout};
use crate::interim::InterimSender;
use crate::read_ahead::ReadAhead;
use crate::request_error::{BrokenUpload, RequestError};
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

/// The time after which an idle connection to the origin is closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// The body of a request, as it comes from the client.
pub(crate) type Upload = Limited<IdleTimeout<MapErr<Incoming, fn(hyper::Error) -> BrokenUpload>>>;

/// The body of a response, as it comes from the origin.
pub(crate) type Download = ReadAhead<IdleTimeout<Incoming>>;

/// An extension of a request whose client accepts trailers, so that the origin may send some
/// (RFC 9110 §6.5.1).
#[derive(Clone, Copy)]
pub(crate) struct AcceptsTrailers;

/// The service below the cache, which sends requests to the origin.
#[derive(Clone)]
pub(crate) struct Upstream {
    pooled: Arc<Sender>,
    /// Opens a connection for each request.
    unpooled: Arc<Sender>,
    limits: Limits,
}

type Sender = Client<TrackedConnector<HttpsConnector<Connector>>, SentBody<Upload>>;

impl Upstream {
    /// # Errors
    /// The system's certificates cannot be used.
    pub(crate) fn new(limits: Limits, allowed: AllowedTargets, preserve_host: bool) -> Result<Self, Error> {
        let tls = HttpsConnectorBuilder::new()
            .try_with_platform_verifier()
            .map_err(|source| Error::Certificates { source: source.into() })?;
        let tcp = Connector::new(allowed, limits.connect_timeout);
        let tls = tls.https_or_http();
        let connector = match preserve_host {
            // HTTP/2 takes the host from the URL, which is that of the upstream.
            true => tls.enable_http1().wrap_connector(tcp),
            false => tls.enable_all_versions().wrap_connector(tcp),
        };
        let client = |max_idle: usize| {
            Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE_TIMEOUT)
                .pool_max_idle_per_host(max_idle)
                .http1_max_buf_size(limits.header_bytes())
                .http1_max_headers(limits.parsed_lines())
                .http2_max_header_list_size(limits.max_header)
                .build(TrackedConnector(connector.clone()))
        };
        Ok(Self { pooled: Arc::new(client(usize::MAX)), unpooled: Arc::new(client(0)), limits })
    }

    async fn exchange(
        self,
        mut request: Request<SentBody<Upload>>,
    ) -> Result<Response<Download>, RequestError> {
        if let Some(sender) = request.extensions().get::<InterimSender>().cloned() {
            hyper::ext::on_informational(&mut request, move |interim| {
                sender.send(interim.status(), interim.headers());
            });
        }
        *request.version_mut() = Version::HTTP_11;
        set_framing(&mut request);
        let Limits { answer_timeout, idle_timeout, .. } = self.limits;
        let activity = request.extensions().get::<Activity>().cloned().unwrap_or_default();
        activity.record();
        let answered = activity.timeout(self.send(request), answer_timeout).await;
        let answered = answered.map_err(|_| RequestError::ResponseTimeout)?;
        let mut response = answered.map_err(|error| RequestError::of_exchange(&error))?;
        let (status, fields) = (response.status(), response.headers_mut());
        let limits = &self.limits;
        if headers::section_length(fields) > limits.header_bytes() || fields.len() > limits.header_lines() {
            return Err(RequestError::ResponseHeaderTooLong);
        }
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return Err(RequestError::BadResponse);
        }
        let has_two_lengths =
            fields.contains_key(header::TRANSFER_ENCODING) && fields.contains_key(header::CONTENT_LENGTH);
        lacre::normalize_content_length(status, fields)?;
        headers::strip_hop_by_hop(fields);
        headers::add_date(fields);
        let (head, body) = response.into_parts();
        let body = IdleTimeout::new(body, idle_timeout);
        let body = if has_two_lengths {
            ReadAhead::read(body).await.map_err(|_| RequestError::BadResponse)?
        } else {
            ReadAhead::unread(body)
        };
        Ok(Response::from_parts(head, body))
    }

    /// Sends a request, and once more if a pooled connection turned out to be closed. A request
    /// that cannot be sent twice gets a connection of its own.
    async fn send(&self, request: Request<SentBody<Upload>>) -> Result<Response<Incoming>, legacy::Error> {
        let Some(copy) = copy_if_repeatable(&request) else { return self.unpooled.request(request).await };
        match self.pooled.request(request).await {
            Ok(response) => {
                if let Some(connection) = response.extensions().get::<ConnectionUse>() {
                    connection.record_response();
                }
                Ok(response)
            }
            Err(error) if was_closed_before(&error) => self.unpooled.request(copy).await,
            Err(error) => Err(error),
        }
    }
}

/// A copy of a request that may be sent twice: its method is idempotent (RFC 9110 §9.2.2), and its
/// body can be read again.
fn copy_if_repeatable(request: &Request<SentBody<Upload>>) -> Option<Request<SentBody<Upload>>> {
    let body = request.method().is_idempotent().then(|| request.body().try_clone())??;
    let mut copy = Request::new(body);
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    Some(copy)
}

/// Whether a connection that had carried a response was closed without a byte in answer to the
/// request.
fn was_closed_before(error: &legacy::Error) -> bool {
    let mut extras = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extras);
    }
    let was_silent = extras.get::<ConnectionUse>().is_some_and(ConnectionUse::was_reused_and_silent);
    !error.is_connect() && was_silent && is_closed(error)
}

/// Whether an error means that the connection was closed, not that the response was invalid or the
/// body of the request broke off.
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

/// Sets the fields that describe the body as hyper will send it, and the support of trailers.
fn set_framing(request: &mut Request<SentBody<Upload>>) {
    if !request.body().is_end_stream() && request.body().size_hint().exact().is_none() {
        // Without the field, hyper sends no body of unknown length with a GET.
        request.headers_mut().insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    if request.extensions().get::<AcceptsTrailers>().is_some() {
        // RFC 9110 §10.1.4: TE applies to one connection, so Connection must name it.
        request.headers_mut().insert(header::TE, HeaderValue::from_static("trailers"));
        request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("TE"));
    }
}

impl Service<Request<SentBody<Upload>>> for Upstream {
    type Response = Response<Download>;
    type Error = RequestError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Download>, RequestError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), RequestError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<SentBody<Upload>>) -> Self::Future {
        Box::pin(self.clone().exchange(request))
    }
}
