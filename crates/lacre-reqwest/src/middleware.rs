//! The cache as a middleware: asks it before the network, and carries out what it answers. No rule of caching lives here; what does is
//! what reqwest hides from a middleware, and how that fails closed.

use crate::network::{Exchange, Route, Tokio, answer};
use async_trait::async_trait;
use http::{Extensions, Uri, request};
use lacre::{Answer, Content, Driver, Failure, RequestBody, RequestOptions};
use reqwest::{Body, Client, Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::fmt;
use std::sync::Arc;

/// Answers requests from a [`Cache`](lacre::Cache), and stores what the network answers.
///
/// [`ClientBuilder`](crate::ClientBuilder) puts it in its place. For a client that was built elsewhere there is
/// [`danger_assume_no_hidden_credentials`](Self::danger_assume_no_hidden_credentials). Clones share the requests under way.
#[derive(Clone)]
pub struct CacheMiddleware {
    driver: Arc<Driver>,
    beneath: Beneath,
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
    pub(crate) fn above(client: Client, driver: Driver) -> Self {
        Self { driver: Arc::new(driver), beneath: Beneath::Plain(client) }
    }

    /// For a client that was built elsewhere, of which you promise that it adds no credentials of its own to requests: no
    /// `Authorization`, `Cookie` or API key among its default headers, no cookie store, no client certificate. A middleware cannot see
    /// these, so two clients that differ in them would receive each other's answers.
    ///
    /// What gives a broken promise or another blind spot away keeps the response from being stored: a `Vary` that names a credential which
    /// the request, as the cache saw it, does not have, and a redirect that was followed below the cache. Where the credentials are known
    /// but hidden, say whose they are with [`RequestOptions::partition`] on each request. Stale responses are validated in the foreground,
    /// because a middleware cannot outlive its request.
    #[must_use]
    pub fn danger_assume_no_hidden_credentials(cache: impl Into<Driver>) -> Self {
        Self { driver: Arc::new(cache.into()), beneath: Beneath::Unknown }
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
        let head = head(&mut request, uri, extensions);
        let body = match request.body() {
            None => RequestBody::Seen(&[]),
            Some(body) => RequestBody::of(body.as_bytes()),
        };
        let found = self.driver.cache().ask(head, body).await.map_err(Error::middleware)?;
        let url = request.url().clone();
        let answered = match found {
            Answer::Hit(reply) | Answer::Refuse(reply) => reply.response.map(Content::<Body>::Stored),
            found => {
                let exchange = Exchange::new(request, self.beneath.clone(), Route::Onwards(next, extensions));
                let runtime = Tokio::here();
                // In a box, so that a hit does not carry its room along.
                let carried_out = Box::pin(self.driver.carry_out(found, exchange, runtime.as_ref()));
                carried_out.await.map_err(|failure| match failure {
                    Failure::Network(error) => error,
                    Failure::Cache(error) => Error::middleware(error),
                })?
            }
        };
        answer(url, answered)
    }
}

/// The cache and the client may show secrets in their settings.
impl fmt::Debug for CacheMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMiddleware").finish_non_exhaustive()
    }
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
