//! One request, from its head to the last byte of its answer.

use crate::exit::Failure;
use crate::serve::Limits;
use crate::serve::failure::Fault;
use crate::serve::headers;
use crate::serve::log::{AccessLog, Line};
use crate::serve::metrics::{Metrics, Outcome};
use crate::serve::pace::{Paced, Pulse};
use crate::serve::target::Route;
use crate::serve::upstream::{Download, Upload, Upstream};
use crate::serve::wire::Relays;
use bytes::Bytes;
use http::{Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Either, Full, Limited};
use hyper::body::Incoming;
use lacre::{Cache, CacheInfo};
use lacre_tower::{CacheLayer, CacheService, Error, LookupTime, ServedBody};
use pin_project_lite::pin_project;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower_layer::Layer;
use tower_service::Service;

/// What answers requests.
pub(crate) struct Front {
    route: Route,
    service: CacheService<Upstream>,
    limits: Limits,
    log: AccessLog,
    metrics: Arc<Metrics>,
}

/// What a client gets for a body: the cache's, the origin's, or a line about what went wrong.
type Content = Either<ServedBody<Download>, Full<Bytes>>;

impl Front {
    /// # Errors
    /// The platform's certificates cannot be used.
    pub(crate) fn new(
        route: Route,
        cache: Cache,
        limits: Limits,
        log: AccessLog,
        metrics: Arc<Metrics>,
    ) -> Result<Self, Failure> {
        let upstream = Upstream::new(limits)?;
        Ok(Self { route, service: CacheLayer::new(cache).layer(upstream), limits, log, metrics })
    }

    /// Answers a request. It never fails: what goes wrong is an answer, too.
    pub(crate) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: IpAddr,
        relays: Relays,
    ) -> Result<Response<Told<Content>>, Infallible> {
        let mut line = self.log.line(&request, peer);
        let (response, outcome) = match self.exchange(request, peer, &relays).await {
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
        relays: &Relays,
    ) -> Result<(Response<Content>, Outcome), Fault> {
        let (mut head, body) = request.into_parts();
        let target = self.route.target(&head)?;
        if headers::length(&head.headers) > self.limits.header() {
            return Err(Fault::LongHeader);
        }
        if body.size_hint().lower() > self.limits.max_upload {
            return Err(Fault::TooLarge);
        }
        // Only HTTP/1.1 has them between its responses; who speaks HTTP/1.0 does not know them (RFC 9110 §15.2).
        let turn = (head.version == Version::HTTP_11).then(|| {
            let (turn, relay) = relays.next();
            head.extensions.insert(relay);
            turn
        });
        head.uri = target;
        let host = head.headers.remove(header::HOST);
        headers::end_hop(&mut head.headers);
        // hyper has answered it by the time that the body is read.
        head.headers.remove(header::EXPECT);
        headers::add_via(&mut head.headers, head.version);
        self.route.introduce(&mut head.headers, host, peer);
        let mut body = Paced::new(body, self.limits.idle_timeout);
        if !body.is_end_stream() {
            let pulse = Pulse::default();
            head.extensions.insert(pulse.clone());
            body = body.with_pulse(pulse);
        }
        let body: Upload = Limited::new(body, self.max_upload());

        let response = self.service.clone().call(Request::from_parts(head, body)).await.map_err(fault)?;
        drop(turn);
        let (mut head, body) = response.into_parts();
        if let Some(LookupTime(time)) = head.extensions.get() {
            self.metrics.looked_up(*time);
        }
        headers::add_via(&mut head.headers, head.version);
        head.version = Version::HTTP_11;
        let status = head.extensions.get().map(|info: &CacheInfo| info.status);
        if let Some(status) = status {
            headers::add_cache_status(&mut head.headers, status);
        }
        let outcome = status.map_or(Outcome::Bypass, Outcome::of);
        Ok((Response::from_parts(head, Either::Left(body)), outcome))
    }

    fn max_upload(&self) -> usize {
        usize::try_from(self.limits.max_upload).unwrap_or(usize::MAX)
    }
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
