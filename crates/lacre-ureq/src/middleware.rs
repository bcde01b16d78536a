//! The cache as a middleware: asks it before the network, and carries out what it answers. No rule of caching lives here; what does is
//! what ureq hides from a middleware, and how that fails closed.

use crate::body::{Incoming, outgoing};
use crate::deadline::Deadline;
use crate::network::{Exchange, Refused, RequestContent, Route};
use crate::settings::{judged, settings, transport_of_request};
use http::{Extensions, Request, Response, Uri};
use lacre::{Answer, Content, Driver, Failure, RequestOptions, Threads, Transport, unseen_id, wait};
use std::fmt;
use std::sync::Arc;
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Agent, Body, Error, SendBody};

/// Answers requests from a [`Cache`](lacre::Cache), and stores what the network answers.
///
/// [`AgentBuilder`](crate::AgentBuilder) puts it in its place. For an agent that was built elsewhere there is
/// [`danger_assume_no_hidden_credentials`](Self::danger_assume_no_hidden_credentials). Clones share the requests under way.
#[derive(Clone)]
pub struct CacheMiddleware {
    driver: Arc<Driver>,
    beneath: Beneath,
    transport: Transport,
    /// What stands for the transport where it cannot be seen, nor is assumed.
    unseen: Option<String>,
}

/// What lies between the cache and the network.
#[derive(Clone)]
enum Beneath {
    /// An agent that adds nothing and hides nothing.
    Plain(Agent),
    /// Whatever somebody else built.
    Unknown,
}

impl CacheMiddleware {
    /// The cache directly above `agent`, which adds no header, keeps no cookies and follows no redirects.
    pub(crate) fn above(agent: Agent, driver: Driver, transport: Transport) -> Self {
        Self { driver: Arc::new(driver), beneath: Beneath::Plain(agent), transport, unseen: None }
    }

    /// For an agent that was built elsewhere, of which you promise that nothing below this middleware adds credentials to requests: no
    /// other middleware, no cookie jar. A middleware cannot see these, so agents that differ in them would receive each other's answers.
    ///
    /// Nor does it see which certificates the agent accepts or shows, and where it connects to: what is stored is served to this middleware and
    /// its clones alone, as long as they live, unless you say otherwise with [`danger_assume_transport`](Self::danger_assume_transport).
    ///
    /// What gives a broken promise or another blind spot away keeps the response from being stored: a `Vary` that names a credential which
    /// the request, as the cache saw it, does not have, and a redirect that was followed below the cache. Where the credentials are known
    /// but hidden, say whose they are with [`RequestOptions::partition`] on each request. Stale responses are validated in the foreground,
    /// because a middleware cannot outlive its request. Where a status is an error, as it is by default, nothing with that status is
    /// stored, because ureq throws it away.
    #[must_use]
    pub fn danger_assume_no_hidden_credentials(cache: impl Into<Driver>) -> Self {
        Self {
            driver: Arc::new(cache.into()),
            beneath: Beneath::Unknown,
            transport: Transport::usual(),
            unseen: Some(unseen_id()),
        }
    }

    /// How the agent reaches origins, which a middleware cannot see: [`Transport::usual`] where it accepts the certificates that are trusted by
    /// default, shows none, and connects to the hosts of URLs; else what it does instead, or a [name](Transport::named) for agents that
    /// are built alike. Agents with equal transports share answers, in one process or in all that share a store. Requests that are configured
    /// on their own are seen all the same.
    #[must_use]
    pub fn danger_assume_transport(mut self, transport: Transport) -> Self {
        (self.transport, self.unseen) = (transport, None);
        self
    }

    /// How a request with these extensions reaches its origin.
    fn transport(&self, extensions: &Extensions) -> Transport {
        let seen = transport_of_request(extensions).unwrap_or_else(|| self.transport.clone());
        match &self.unseen {
            Some(id) => seen.unseen(id),
            None => seen,
        }
    }
}

impl Middleware for CacheMiddleware {
    fn handle(
        &self,
        request: Request<SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<Response<Body>, Error> {
        let (mut head, body) = request.into_parts();
        let mut extensions = std::mem::take(&mut head.extensions);
        let hops = extensions.remove::<Hops>();
        if let Some(options) = extensions.get::<RequestOptions>() {
            head.extensions.insert(options.clone());
        }
        self.transport(&extensions).add_to(&mut head.extensions);
        let uri = head.uri.clone();
        let body = if self.driver.cache().engine().policy().looks_up(&head.method) {
            RequestContent::read(body)?
        } else {
            RequestContent::untouched(body)
        };
        // A hit waits for nobody.
        let mut deadline = Deadline::of(None);
        let found = wait(self.driver.cache().ask(head, body.seen())).map_err(raised)?;
        let answered = match found {
            Answer::Hit(reply) | Answer::Refuse(reply) => reply.response.map(Content::<Incoming>::Stored),
            found => {
                deadline = match hops {
                    Some(Hops(hops)) => Deadline::of(settings(&extensions).as_ref()).and(hops),
                    None => Deadline::of(settings(&extensions).as_ref()),
                };
                let route = match &self.beneath {
                    Beneath::Plain(agent) => Route::Plain(agent.clone()),
                    Beneath::Unknown => Route::Onwards(Some(next)),
                };
                let exchange = Exchange::new(extensions.clone(), body, deadline, route);
                wait(self.driver.carry_out(found, exchange, Some(&Threads))).map_err(
                    |failure| match failure {
                        Failure::Network(error) => error,
                        Failure::Cache(error) => raised(error),
                    },
                )?
            }
        };
        answer(&extensions, &uri, answered, deadline)
    }
}

/// The deadline of all hops of a request, among its extensions.
#[derive(Clone, Copy)]
pub(crate) struct Hops(pub(crate) Deadline);

/// The answer to a request for `uri`, as ureq's own.
fn answer(
    asked: &Extensions,
    uri: &Uri,
    answered: Response<Content<Incoming>>,
    deadline: Deadline,
) -> Result<Response<Body>, Error> {
    let (mut head, content) = answered.into_parts();
    if let Some(Refused(status)) = head.extensions.remove() {
        return Err(Error::StatusCode(status));
    }
    if let Content::Stored(_) = &content {
        head.extensions.extend(judged(asked, uri, head.status)?);
    }
    let body = outgoing(&head.headers, content, deadline);
    Ok(Response::from_parts(head, body))
}

fn raised(error: lacre::Error) -> Error {
    Error::Other(Box::new(error))
}

/// The cache and the agent may show secrets in their settings.
impl fmt::Debug for CacheMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMiddleware").finish_non_exhaustive()
    }
}
