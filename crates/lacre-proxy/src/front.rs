//! [`Front`]: answers one request, from its head to the last byte of its response.

use crate::access_log::{AccessLog, LoggedBody};
use crate::allowed_targets::AllowedTargets;
use crate::config::Limits;
use crate::error::Error;
use crate::forwarded::Client;
use crate::headers;
use crate::idle_timeout::{Activity, IdleTimeout};
use crate::interim::InterimQueue;
use crate::max_forwards::Forwarding;
use crate::metrics::{Metrics, Outcome};
use crate::request_error::{BrokenUpload, RequestError};
use crate::rewrite;
use crate::target::{self, Route};
use crate::trusted::TrustedProxies;
use crate::upload::UploadProgress;
use crate::upstream::{self, AcceptsTrailers, Download, Upstream};
use crate::via::Via;
use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Request, Response, Version, header, request};
use http_body::Body;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use lacre::{Cache, CacheInfo, Driver};
use lacre_tower::{Buffered, CacheLayer, CacheService, LookupTime, ServedBody};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// The number of stale responses that are refreshed in the background at once.
const MAX_REFRESHES: usize = 64;

/// The first pause after a failure of the origin, in which stale responses are served without a
/// request to it.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// The time after which a stale response is served in place of a slow one, if that is allowed.
const SLOW_ORIGIN: Duration = Duration::from_secs(2);

/// Answers requests, from the cache or from the origin.
pub(crate) struct Front {
    settings: Arc<Settings>,
    cache: Cache,
    service: CacheService<Upstream, Buffered>,
    access_log: AccessLog,
    metrics: Arc<Metrics>,
}

/// The settings that a reload does not change.
pub(crate) struct Settings {
    pub(crate) route: Route,
    pub(crate) allowed_targets: AllowedTargets,
    pub(crate) trusted_proxies: TrustedProxies,
    /// Whether the origin gets the client's `Host`.
    pub(crate) preserve_host: bool,
    pub(crate) via: Via,
    pub(crate) limits: Limits,
}

/// The body of a response: from the cache or the origin, or the text of an error.
type Content = Either<ServedBody<Download>, Full<Bytes>>;

impl Front {
    /// # Errors
    /// The system's certificates cannot be used.
    pub(crate) fn new(
        settings: Arc<Settings>,
        cache: Cache,
        access_log: AccessLog,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Error> {
        let allowed = settings.allowed_targets.clone();
        let upstream = Upstream::new(settings.limits, allowed, settings.preserve_host)?;
        // Upstream trusts the certificates that the environment names, and uses no proxy.
        let transport = lacre::config::transport().no_proxy();
        let layer = CacheLayer::new(driver(cache.clone())).danger_assume_transport(transport);
        let service = layer.buffer_bodies().layer(upstream);
        Ok(Self { settings, cache, service, access_log, metrics })
    }

    /// Whether the operator named `peer` as a trusted proxy.
    pub(crate) fn is_named_proxy(&self, peer: IpAddr) -> bool {
        self.settings.trusted_proxies.names(peer)
    }

    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts and logs a request whose head hyper could not parse, and answered itself.
    pub(crate) fn record_unparsed(&self, error: RequestError, peer: IpAddr) {
        let mut line = self.access_log.line_of_unparsed(peer);
        line.failed(error);
        line.answered(error.status(), Outcome::Error);
        self.metrics.count_request(Outcome::Error);
    }

    /// Answers a request. An error is a response, too.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        interim: InterimQueue,
    ) -> Result<Response<LoggedBody<Content>>, Infallible> {
        let host = target::requested_host(request.uri(), request.version(), request.headers());
        let host = host.as_ref();
        let client = Client::of(request.headers(), host, peer, &self.settings.trusted_proxies);
        let mut line = self.access_log.line(&request, client.address);
        let (response, outcome) = match self.exchange(request, peer, &client, host, &interim).await {
            Ok(answered) => answered,
            Err(error) => {
                line.failed(error);
                (error.response().map(|text| Either::Right(Full::from(text))), Outcome::Error)
            }
        };
        self.metrics.count_request(outcome);
        line.answered(response.status(), outcome);
        Ok(response.map(|content| LoggedBody::new(content, line)))
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        client: &Client,
        host: Option<&Authority>,
        interim: &InterimQueue,
    ) -> Result<(Response<Content>, Outcome), RequestError> {
        let (mut head, body) = request.into_parts();
        if head.version == Version::HTTP_2 {
            headers::join_cookies(&mut head.headers);
        }
        let Settings { route, allowed_targets, trusted_proxies, preserve_host, via, limits } =
            &*self.settings;
        let target = route.target(&head)?;
        self.check(&head, body.size_hint().lower())?;
        if let Forwarding::Answer(response) = Forwarding::of(&mut head)? {
            return Ok((response.map(|echo| Either::Right(Full::new(echo))), Outcome::Bypass));
        }
        if via.is_in(&head.headers) {
            return Err(RequestError::Loop);
        }
        allowed_targets.check_target(&target).await?;
        let trailers = TrailerSupport::of(&head);
        if trailers.announced_by_te {
            head.extensions.insert(AcceptsTrailers);
        }
        if let Ok(Some(length)) = lacre::content_length(&head.headers) {
            // In its normal form: the client may have written `05`, or repeated the field.
            head.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        if body.size_hint().exact().is_some() {
            // Only a chunked body has trailers.
            head.headers.remove(header::TRAILER);
        }
        // HTTP/1.0 has no interim responses (RFC 9110 §15.2), and in HTTP/2 they cannot be written
        // between final responses.
        let window = (head.version == Version::HTTP_11).then(|| {
            let (window, sender) = interim.open_window();
            head.extensions.insert(sender);
            window
        });
        head.uri = target;
        head.headers.remove(header::HOST);
        headers::strip_hop_by_hop(&mut head.headers);
        // CGI programs take this field for the name of a proxy of their own (httpoxy).
        head.headers.remove("proxy");
        // hyper sends 100 (Continue) itself when the body is read.
        head.headers.remove(header::EXPECT);
        via.add(&mut head.headers, head.version);
        let upstream = route.upstream();
        if upstream.is_some() {
            client.set_fields(&mut head.headers, peer, trusted_proxies);
        }
        let preserved = host.filter(|_| *preserve_host).map(|host| HeaderValue::try_from(host.as_str()));
        if let Some(Ok(host)) = preserved {
            head.headers.insert(header::HOST, host);
        }
        let upload = head.extensions.remove::<Arc<UploadProgress>>();
        let body = body.map_err(BrokenUpload::new as fn(hyper::Error) -> BrokenUpload);
        let mut body = IdleTimeout::new(body, limits.idle_timeout).with_upload(upload);
        if !body.is_end_stream() {
            let activity = Activity::default();
            head.extensions.insert(activity.clone());
            body = body.with_activity(activity);
        }
        let body: upstream::Upload = Limited::new(body, self.max_upload());

        let answered = self.service.clone().call(Request::from_parts(head, body)).await;
        let response = answered.map_err(request_error)?;
        drop(window);
        let (mut head, body) = response.into_parts();
        if let Some(LookupTime(time)) = head.extensions.get() {
            self.metrics.record_lookup(*time);
        }
        via.add(&mut head.headers, head.version);
        head.version = Version::HTTP_11;
        if !trailers.reach_client || body.size_hint().exact().is_some() {
            head.headers.remove(header::TRAILER);
        }
        if let Some(upstream) = upstream {
            rewrite::to_client(&mut head.headers, upstream, client.origin.as_ref());
        }
        let status = head.extensions.get().map(|info: &CacheInfo| info.status);
        if let Some(status) = status {
            headers::add_cache_status(&mut head.headers, status);
        }
        let outcome = status.map_or(Outcome::Bypass, Outcome::of);
        Ok((Response::from_parts(head, Either::Left(body)), outcome))
    }

    /// Checks the limits and the framing of a request whose body has at least `length` bytes.
    fn check(&self, head: &request::Parts, length: u64) -> Result<(), RequestError> {
        let limits = &self.settings.limits;
        if headers::section_length(&head.headers) > limits.header_bytes() {
            return Err(RequestError::HeaderTooLong);
        }
        if head.headers.len() > limits.header_lines() {
            return Err(RequestError::TooManyHeaderLines);
        }
        if lacre::is_chunked(&head.headers).is_err() {
            return Err(RequestError::UnknownTransferCoding);
        }
        if !headers::expects_at_most_continue(head) {
            return Err(RequestError::UnknownExpectation);
        }
        if length > limits.max_upload { Err(RequestError::BodyTooLong) } else { Ok(()) }
    }

    fn max_upload(&self) -> usize {
        usize::try_from(self.settings.limits.max_upload).unwrap_or(usize::MAX)
    }
}

/// Whether a client gets the trailers of a response.
struct TrailerSupport {
    announced_by_te: bool,
    /// hyper sends trailers in HTTP/1.1 if `TE` announces support, and always in HTTP/2.
    reach_client: bool,
}

impl TrailerSupport {
    fn of(head: &request::Parts) -> Self {
        let announced_by_te = headers::accepts_trailers(&head.headers);
        let reach_client = match head.version {
            Version::HTTP_2 => true,
            Version::HTTP_11 => announced_by_te,
            _ => false,
        };
        Self { announced_by_te, reach_client }
    }
}

/// The driver of the cache: it spares a failing origin, and does not wait for a slow one.
fn driver(cache: Cache) -> Driver {
    Driver::new(cache).refreshes(MAX_REFRESHES).failure_pause(FAILURE_PAUSE).stand_in_after(SLOW_ORIGIN)
}

fn request_error(error: lacre_tower::Error<RequestError>) -> RequestError {
    match error {
        lacre_tower::Error::Service(error) => error,
        lacre_tower::Error::Request(error) => {
            RequestError::of_upload(&*error).unwrap_or(RequestError::BadRequest)
        }
        lacre_tower::Error::Cache(_) => RequestError::CacheFailed,
    }
}
