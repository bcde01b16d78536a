//! One request, from its head to the last byte of its answer.

use crate::exit::Failure;
use crate::serve::Limits;
use crate::serve::connections::Upload;
use crate::serve::failure::{BrokenUpload, Fault};
use crate::serve::forwarded::{Client, Trusted};
use crate::serve::headers;
use crate::serve::hops::{Forwards, Via};
use crate::serve::log::{AccessLog, Line};
use crate::serve::metrics::{Metrics, Outcome};
use crate::serve::pace::{Paced, Pulse};
use crate::serve::reach::Reach;
use crate::serve::rewrite;
use crate::serve::target::{self, Route};
use crate::serve::upstream::{self, Download, TakesTrailers, Upstream};
use crate::serve::wire::Relays;
use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderValue, Request, Response, Version, header, request};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use lacre::{Cache, CacheInfo, Driver};
use lacre_tower::{Buffered, CacheLayer, CacheService, Error, LookupTime, ServedBody};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tower_layer::Layer;
use tower_service::Service;

/// How many stale responses are refreshed in the background at once.
const REFRESHES: usize = 64;

/// How long a failing origin is left alone at first.
const REST: Duration = Duration::from_secs(1);

/// After which time something stale answers in place of a slow origin, where that is allowed.
const SLOW: Duration = Duration::from_secs(2);

/// What answers requests.
pub(crate) struct Front {
    settings: Arc<Settings>,
    cache: Cache,
    service: CacheService<Upstream, Buffered>,
    log: AccessLog,
    metrics: Arc<Metrics>,
}

/// What was set at the start.
pub(crate) struct Settings {
    pub(crate) route: Route,
    pub(crate) reach: Reach,
    pub(crate) trusted: Trusted,
    /// Whether the origin gets the client's `Host`.
    pub(crate) preserve_host: bool,
    /// The name of this proxy.
    pub(crate) via: Via,
    pub(crate) limits: Limits,
}

/// What a client gets for a body: the cache's, the origin's, or a line about what went wrong.
type Content = Either<ServedBody<Download>, Full<Bytes>>;

impl Front {
    /// # Errors
    /// The platform's certificates cannot be used.
    pub(crate) fn new(
        settings: Arc<Settings>,
        cache: Cache,
        log: AccessLog,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Failure> {
        let upstream = Upstream::new(settings.limits, settings.reach.clone(), settings.preserve_host)?;
        // It trusts what the environment says, and uses no proxy.
        let transport = lacre::config::transport().no_proxy();
        let layer = CacheLayer::new(driver(cache.clone())).danger_assume_transport(transport);
        let service = layer.buffer_bodies().layer(upstream);
        Ok(Self { settings, cache, service, log, metrics })
    }

    /// Where requests go.
    pub(crate) fn route(&self) -> &Route {
        &self.settings.route
    }

    /// Whether the user named this as the address of a proxy that is trusted.
    pub(crate) fn names(&self, peer: IpAddr) -> bool {
        self.settings.trusted.names(peer)
    }

    /// What answers from the store.
    pub(crate) fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What is counted.
    pub(crate) fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Counts and writes down a request that hyper has refused, for its head cannot be read.
    pub(crate) fn refused(&self, fault: Fault, peer: IpAddr) {
        let mut line = self.log.unreadable(peer);
        line.failed(fault);
        line.answered(fault.status(), Outcome::Error);
        self.metrics.count(Outcome::Error);
    }

    /// Answers a request. It never fails: what goes wrong is an answer, too.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        relays: Relays,
    ) -> Result<Response<Told<Content>>, Infallible> {
        let host = target::asked_host(request.uri(), request.version(), request.headers());
        let host = host.as_ref();
        let client = Client::of(request.headers(), host, peer, &self.settings.trusted);
        let mut line = self.log.line(&request, client.address);
        let (response, outcome) = match self.exchange(request, peer, &client, host, &relays).await {
            Ok(answer) => answer,
            Err(fault) => {
                line.failed(fault);
                (fault.response().map(|text| Either::Right(Full::from(text))), Outcome::Error)
            }
        };
        self.metrics.count(outcome);
        line.answered(response.status(), outcome);
        Ok(response.map(|content| Told { content, line }))
    }

    async fn exchange(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        client: &Client,
        host: Option<&Authority>,
        relays: &Relays,
    ) -> Result<(Response<Content>, Outcome), Fault> {
        let (mut head, body) = request.into_parts();
        if head.version == Version::HTTP_2 {
            headers::join_cookies(&mut head.headers);
        }
        let Settings { route, reach, trusted, preserve_host, via, limits } = &*self.settings;
        let target = route.target(&head)?;
        self.check(&head, body.size_hint().lower())?;
        if let Forwards::Here(response) = Forwards::of(&mut head)? {
            return Ok((response.map(|echo| Either::Right(Full::new(echo))), Outcome::Bypass));
        }
        if via.is_in(&head.headers) {
            return Err(Fault::Loop);
        }
        reach.check_target(&target).await?;
        let trailers = Trailers::of(&head);
        if trailers.wanted_by_te {
            head.extensions.insert(TakesTrailers);
        }
        if let Ok(Some(length)) = lacre::content_length(&head.headers) {
            // However it was written: `05`, say, or several times.
            head.headers.insert(header::CONTENT_LENGTH, length.into());
        }
        if body.size_hint().exact().is_some() {
            // Only chunked bodies have a trailer section.
            head.headers.remove(header::TRAILER);
        }
        // Only HTTP/1.1 has them between its responses; who speaks HTTP/1.0 does not know them (RFC 9110 §15.2).
        let turn = (head.version == Version::HTTP_11).then(|| {
            let (turn, relay) = relays.next();
            head.extensions.insert(relay);
            turn
        });
        head.uri = target;
        head.headers.remove(header::HOST);
        headers::strip_hop_by_hop(&mut head.headers);
        // No header that anybody needs, and to CGI programs the name of a proxy that they take for their own (httpoxy).
        head.headers.remove("proxy");
        // hyper has answered it by the time that the body is read.
        head.headers.remove(header::EXPECT);
        via.add(&mut head.headers, head.version);
        let upstream = route.upstream();
        if upstream.is_some() {
            client.introduce(&mut head.headers, peer, trusted);
        }
        let kept = host.filter(|_| *preserve_host).map(|host| HeaderValue::try_from(host.as_str()));
        if let Some(Ok(host)) = kept {
            head.headers.insert(header::HOST, host);
        }
        let upload = head.extensions.remove::<Arc<Upload>>();
        let body = body.map_err(BrokenUpload::new as fn(hyper::Error) -> BrokenUpload);
        let mut body = Paced::new(body, limits.idle_timeout).with_upload(upload);
        if !body.is_end_stream() {
            let pulse = Pulse::default();
            head.extensions.insert(pulse.clone());
            body = body.with_pulse(pulse);
        }
        let body: upstream::Upload = Limited::new(body, self.max_upload());

        let response = self.service.clone().call(Request::from_parts(head, body)).await.map_err(fault)?;
        drop(turn);
        let (mut head, body) = response.into_parts();
        if let Some(LookupTime(time)) = head.extensions.get() {
            self.metrics.looked_up(*time);
        }
        via.add(&mut head.headers, head.version);
        head.version = Version::HTTP_11;
        if !trailers.reach_the_client || body.size_hint().exact().is_some() {
            head.headers.remove(header::TRAILER);
        }
        if let Some(upstream) = &upstream {
            rewrite::to_client(&mut head.headers, upstream, client.origin.as_ref());
        }
        let status = head.extensions.get().map(|info: &CacheInfo| info.status);
        if let Some(status) = status {
            headers::add_cache_status(&mut head.headers, status);
        }
        let outcome = status.map_or(Outcome::Bypass, Outcome::of);
        Ok((Response::from_parts(head, Either::Left(body)), outcome))
    }

    /// What no request may be, whatever it is for.
    fn check(&self, head: &request::Parts, body: u64) -> Result<(), Fault> {
        if headers::length(&head.headers) > self.settings.limits.header() {
            return Err(Fault::LongHeader);
        }
        if head.headers.len() > self.settings.limits.max_header_lines() {
            return Err(Fault::ManyLines);
        }
        if lacre::is_chunked(&head.headers).is_err() {
            return Err(Fault::UnknownCoding);
        }
        if !headers::is_continue_at_most(head) {
            return Err(Fault::Expectation);
        }
        if body > self.settings.limits.max_upload { Err(Fault::TooLarge) } else { Ok(()) }
    }

    fn max_upload(&self) -> usize {
        usize::try_from(self.settings.limits.max_upload).unwrap_or(usize::MAX)
    }
}

/// Who takes trailer fields.
struct Trailers {
    wanted_by_te: bool,
    /// hyper sends them in HTTP/1.1 to whoever asked for them, and always in HTTP/2.
    reach_the_client: bool,
}

impl Trailers {
    fn of(head: &request::Parts) -> Self {
        let wanted_by_te = headers::takes_trailers(&head.headers);
        let reach_the_client = match head.version {
            Version::HTTP_2 => true,
            Version::HTTP_11 => wanted_by_te,
            _ => false,
        };
        Self { wanted_by_te, reach_the_client }
    }
}

/// A failing origin is spared where something stale may answer, and a slow one is not waited for.
fn driver(cache: Cache) -> Driver {
    Driver::new(cache).refreshes(REFRESHES).rest_after_failure(REST).stand_in_after(SLOW)
}

fn fault(error: Error<Fault>) -> Fault {
    match error {
        Error::Service(fault) => fault,
        Error::Request(error) => Fault::of_upload(&*error).unwrap_or(Fault::BadRequest),
        Error::Cache(_) => Fault::Cache,
    }
}

pin_project! {
    /// A response's body, which tells the log how long it was and when it ended.
    pub(crate) struct Told<B> {
        #[pin]
        content: B,
        line: Line,
    }
}

impl<B: Body<Data = Bytes>> Body for Told<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let polled = this.content.poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => this.line.sent(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(Some(Err(_))) => this.line.broke(),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
