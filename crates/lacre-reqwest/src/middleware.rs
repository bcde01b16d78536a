//! The cache as a middleware: looks a request up before the network and carries out the decision.
//!
//! No caching rule lives here. This module accounts for what reqwest hides from a middleware, and
//! fails closed where that matters.

use crate::deadline::{Deadline, timed_out};
use crate::network::{Exchange, NextClient, Route, into_response};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{Extensions, Uri, request};
use http_body::Frame;
use http_body_util::BodyExt;
use lacre::{
    Answer, Content, Driver, Failure, RequestBody, RequestOptions, Transport, content_length, unseen_id,
};
use lacre_tokio::Tokio;
use reqwest::{Body, Client, Request, Response, Url};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

/// Answers requests from a [`Cache`](lacre::Cache), and stores responses from the network.
///
/// [`ClientBuilder`](crate::ClientBuilder) places it in a client. For a client built elsewhere, use
/// [`danger_assume_no_hidden_credentials`](Self::danger_assume_no_hidden_credentials). Clones share
/// the requests in flight.
#[derive(Clone)]
pub struct CacheMiddleware {
    driver: Arc<Driver>,
    next: NextClient,
    /// The timeout of requests that have none.
    timeout: Option<Duration>,
    transport: Transport,
}

impl CacheMiddleware {
    /// The cache directly above `client`, which must add no header, keep no cookies and follow no
    /// redirects.
    pub(crate) fn above(client: Client, driver: Driver, transport: Transport) -> Self {
        Self { driver: Arc::new(driver), next: NextClient::Plain(client), timeout: None, transport }
    }

    /// A cache for a client that was built elsewhere.
    ///
    /// You promise that the client adds no credentials of its own to requests: no `Authorization`,
    /// `Cookie` or API key among its default headers, no cookie store. A middleware cannot see
    /// these, so requests that differ in them would receive each other's responses. If there are
    /// hidden credentials, name their owner with [`RequestOptions::partition`] on each request.
    ///
    /// Nor does a middleware see which certificates the client accepts or presents, or where it
    /// connects. Stored responses are therefore served to this middleware and its clones alone, for
    /// as long as they live, unless you call
    /// [`danger_assume_transport`](Self::danger_assume_transport).
    ///
    /// A response that shows a broken promise is not stored: one whose `Vary` names a credential
    /// that the request lacked when the cache saw it, and one that was redirected below the cache.
    /// Stale responses are validated in the foreground, because a middleware cannot outlive its
    /// request.
    #[must_use]
    pub fn danger_assume_no_hidden_credentials(cache: impl Into<Driver>) -> Self {
        let transport = Transport::standard().unseen(unseen_id());
        Self { driver: Arc::new(cache.into()), next: NextClient::Foreign, timeout: None, transport }
    }

    /// Sets the timeout of requests that have none.
    ///
    /// A middleware cannot see the timeout of the client below. Without this, a request waits for
    /// an identical one for as long as the [`Driver`] lets it.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Declares how the client reaches origins, which a middleware cannot see. Clients with equal
    /// transports share responses, in one process or in all that share a store.
    ///
    /// Use [`Transport::standard`] if the client accepts the certificates that are trusted by
    /// default, presents none, and connects to the hosts of URLs. Otherwise describe the
    /// difference, or use a [name](Transport::named) for clients that are built alike.
    #[must_use]
    pub fn danger_assume_transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }
}

#[async_trait]
impl Middleware for CacheMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let Ok(uri) = request.url().as_str().parse() else {
            // The client has the better error message.
            return next.run(request, extensions).await;
        };
        let deadline = Deadline::after(request.timeout().copied().or(self.timeout));
        if self.driver.cache().engine().policy().caches_method(request.method()) {
            buffer_body(&mut request, deadline).await?;
        }
        let mut head = take_head(&mut request, uri, extensions);
        self.transport.add_to(&mut head.extensions);
        let body = match request.body() {
            None => RequestBody::Seen(&[]),
            Some(body) => RequestBody::of(body.as_bytes()),
        };
        let answer = self.driver.cache().ask(head, body).await.map_err(Error::middleware)?;
        let url = request.url().clone();
        let response = match answer {
            Answer::Hit(reply) | Answer::Refuse(reply) => reply.response.map(Content::<Body>::Stored),
            answer => {
                let route = Route::Middleware(next, extensions);
                let exchange = Exchange::new(request, deadline, self.next.clone(), route);
                let runtime = Tokio::current();
                // Boxed to keep the future of a hit small.
                let carried_out = Box::pin(self.driver.carry_out(answer, exchange, runtime.as_ref()));
                carried_out.await.map_err(|failure| match failure {
                    Failure::Network(error) => error,
                    Failure::Cache(error) => Error::middleware(error),
                })?
            }
        };
        into_response(url, deadline, response)
    }
}

/// Omits the settings of the cache and the client, which may hold secrets.
impl fmt::Debug for CacheMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMiddleware").finish_non_exhaustive()
    }
}

/// The longest request body that is read to look the request up, in bytes.
const MAX_BUFFERED_BODY: u64 = 1 << 20;

/// Reads a streamed request body of known, short length into memory, so that the cache can see it.
/// A multipart form is such a body.
async fn buffer_body(request: &mut Request, deadline: Deadline) -> Result<()> {
    let declared = content_length(request.headers()).ok().flatten();
    let Some(body) = request.body_mut() else { return Ok(()) };
    let length = http_body::Body::size_hint(body).exact().or(declared);
    if body.as_bytes().is_some() || length.is_none_or(|length| length > MAX_BUFFERED_BODY) {
        return Ok(());
    }
    let mut rest = std::mem::take(body);
    let mut start = BytesMut::new();
    while let Some(frame) = next_frame(&mut rest, deadline, request.url()).await? {
        start.extend_from_slice(&frame.into_data().unwrap_or_default());
        if start.len() as u64 > MAX_BUFFERED_BODY {
            // Longer than declared: send the start that was read, then the rest.
            let start = stream::once(ready(Ok(start.freeze())));
            *request.body_mut() = Some(Body::wrap_stream(start.chain(rest.into_data_stream())));
            return Ok(());
        }
    }
    *request.body_mut() = Some(Body::from(start.freeze()));
    Ok(())
}

async fn next_frame(body: &mut Body, deadline: Deadline, url: &Url) -> Result<Option<Frame<Bytes>>> {
    let frame = match deadline.left() {
        None => body.frame().await,
        Some(left) => match tokio::time::timeout(left, body.frame()).await {
            Ok(frame) => frame,
            Err(_) => return Err(timed_out(url.clone()).await),
        },
    };
    Ok(frame.transpose()?)
}

/// The head of a request, for the cache. Takes the headers out of `request`: the request that is
/// sent gets those of the cache's ticket.
fn take_head(request: &mut Request, uri: Uri, extensions: &Extensions) -> request::Parts {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = uri;
    head.version = request.version();
    head.headers = std::mem::take(request.headers_mut());
    if let Some(options) = extensions.get::<RequestOptions>() {
        head.extensions.insert(options.clone());
    }
    head
}
