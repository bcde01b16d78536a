//! The cache as a middleware: asks it before the network, and carries out what it answers. No rule of caching lives here; what does is
//! what reqwest hides from a middleware, and how that fails closed.

use crate::deadline::{Deadline, timed_out};
use crate::network::{Exchange, Route, answer};
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use http::{Extensions, Uri, header, request};
use http_body::Frame;
use http_body_util::BodyExt;
use lacre::{Answer, Content, Driver, Failure, RequestBody, RequestOptions, Transport, unseen_id};
use lacre_tokio::Tokio;
use reqwest::{Body, Client, Request, Response, Url};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

/// Answers requests from a [`Cache`](lacre::Cache), and stores what the network answers.
///
/// [`ClientBuilder`](crate::ClientBuilder) puts it in its place. For a client that was built elsewhere there is
/// [`danger_assume_no_hidden_credentials`](Self::danger_assume_no_hidden_credentials). Clones share the requests under way.
#[derive(Clone)]
pub struct CacheMiddleware {
    driver: Arc<Driver>,
    beneath: Beneath,
    /// That of requests which have none.
    timeout: Option<Duration>,
    transport: Transport,
}

/// What lies between the cache and the network.
#[derive(Clone)]
pub(crate) enum Beneath {
    /// A client that adds nothing and hides nothing.
    Plain(Client),
    /// Whatever somebody else built.
    Unknown,
}

impl CacheMiddleware {
    /// The cache directly above `client`, which adds no header, keeps no cookies and follows no redirects.
    pub(crate) fn above(client: Client, driver: Driver, transport: Transport) -> Self {
        Self { driver: Arc::new(driver), beneath: Beneath::Plain(client), timeout: None, transport }
    }

    /// For a client that was built elsewhere, of which you promise that it adds no credentials of its own to requests: no
    /// `Authorization`, `Cookie` or API key among its default headers, no cookie store. A middleware cannot see these, so requests that differ
    /// in them would receive each other's answers.
    ///
    /// Nor does it see which certificates the client accepts or shows, and where it connects to: what is stored is served to this middleware and
    /// its clones alone, as long as they live, unless you say otherwise with [`danger_assume_transport`](Self::danger_assume_transport).
    ///
    /// What gives a broken promise or another blind spot away keeps the response from being stored: a `Vary` that names a credential which
    /// the request, as the cache saw it, does not have, and a redirect that was followed below the cache. Where the credentials are known
    /// but hidden, say whose they are with [`RequestOptions::partition`] on each request. Stale responses are validated in the foreground,
    /// because a middleware cannot outlive its request.
    #[must_use]
    pub fn danger_assume_no_hidden_credentials(cache: impl Into<Driver>) -> Self {
        let transport = Transport::usual().unseen(unseen_id());
        Self { driver: Arc::new(cache.into()), beneath: Beneath::Unknown, timeout: None, transport }
    }

    /// How long a request may take that has no timeout itself. A middleware cannot see the timeout of the client below: without this, a
    /// request of that client waits for others as long as the [`Driver`] lets it.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How the client reaches origins, which a middleware cannot see: [`Transport::usual`] where it accepts the certificates that are trusted by
    /// default, shows none, and connects to the hosts of URLs; else what it does instead, or a [name](Transport::named) for clients
    /// that are built alike. Clients with equal transports share answers, in one process or in all that share a store.
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
            // The client says best what is wrong with it.
            return next.run(request, extensions).await;
        };
        let deadline = Deadline::after(request.timeout().copied().or(self.timeout));
        if self.driver.cache().engine().policy().looks_up(request.method()) {
            see(&mut request, deadline).await?;
        }
        let mut head = head(&mut request, uri, extensions);
        self.transport.add_to(&mut head.extensions);
        let body = match request.body() {
            None => RequestBody::Seen(&[]),
            Some(body) => RequestBody::of(body.as_bytes()),
        };
        let found = self.driver.cache().ask(head, body).await.map_err(Error::middleware)?;
        let url = request.url().clone();
        let answered = match found {
            Answer::Hit(reply) | Answer::Refuse(reply) => reply.response.map(Content::<Body>::Stored),
            found => {
                let route = Route::Onwards(next, extensions);
                let exchange = Exchange::new(request, deadline, self.beneath.clone(), route);
                let runtime = Tokio::current();
                // In a box, so that a hit does not carry its room along.
                let carried_out = Box::pin(self.driver.carry_out(found, exchange, runtime.as_ref()));
                carried_out.await.map_err(|failure| match failure {
                    Failure::Network(error) => error,
                    Failure::Cache(error) => Error::middleware(error),
                })?
            }
        };
        answer(url, deadline, answered)
    }
}

/// The cache and the client may show secrets in their settings.
impl fmt::Debug for CacheMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMiddleware").finish_non_exhaustive()
    }
}

/// The longest body of a request that is read to look it up, in bytes.
const MOST_SEEN: u64 = 1 << 20;

/// Reads a short body of known length that came as a stream, as those of forms with several parts do.
async fn see(request: &mut Request, deadline: Deadline) -> Result<()> {
    let declared = request.headers().get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|length| length.to_str().ok()?.parse().ok());
    let Some(body) = request.body_mut() else { return Ok(()) };
    let length = http_body::Body::size_hint(body).exact().or(declared);
    if body.as_bytes().is_some() || length.is_none_or(|length| length > MOST_SEEN) {
        return Ok(());
    }
    let mut rest = std::mem::take(body);
    let mut start = BytesMut::new();
    while let Some(frame) = next_frame(&mut rest, deadline, request.url()).await? {
        start.extend_from_slice(&frame.into_data().unwrap_or_default());
        if start.len() as u64 > MOST_SEEN {
            // It is longer than it said.
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

/// The request as the cache is to see it. Its headers move there: what is sent in the end has those of the ticket.
fn head(request: &mut Request, uri: Uri, extensions: &Extensions) -> request::Parts {
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
