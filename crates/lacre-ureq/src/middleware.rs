//! The cache as a middleware: looks a request up before the network and carries out the decision.
//!
//! No caching rule lives here. This module accounts for what ureq hides from a middleware, and
//! fails closed where that matters.

use crate::body::{Incoming, outgoing};
use crate::deadline::Deadline;
use crate::network::{Exchange, RequestContent, Route, StatusError};
use crate::settings::{request_config, status_outcome, transport_of_request};
use http::{Extensions, Request, Response, Uri};
use lacre::{Answer, Content, Driver, Failure, RequestOptions, Threads, Transport, unseen_id, wait};
use std::fmt;
use std::sync::Arc;
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Agent, Body, Error, SendBody};

/// Answers requests from a [`Cache`](lacre::Cache), and stores responses from the network.
///
/// [`AgentBuilder`](crate::AgentBuilder) places it in an agent. For an agent built elsewhere, use
/// [`danger_assume_no_hidden_credentials`](Self::danger_assume_no_hidden_credentials). Clones share
/// the requests in flight.
#[derive(Clone)]
pub struct CacheMiddleware {
    driver: Arc<Driver>,
    next: NextAgent,
    transport: Transport,
    /// Stands for the transport if it is neither seen nor declared.
    unseen: Option<String>,
}

/// The agent below the cache.
#[derive(Clone)]
enum NextAgent {
    /// An agent that adds nothing and hides nothing.
    Plain(Agent),
    /// An agent that was built elsewhere. Its settings cannot be seen.
    Foreign,
}

impl CacheMiddleware {
    /// The cache directly above `agent`, which must add no header, keep no cookies and follow no
    /// redirects.
    pub(crate) fn above(agent: Agent, driver: Driver, transport: Transport) -> Self {
        Self { driver: Arc::new(driver), next: NextAgent::Plain(agent), transport, unseen: None }
    }

    /// A cache for an agent that was built elsewhere.
    ///
    /// You promise that nothing below this middleware adds credentials to requests: no other
    /// middleware, no cookie jar. A middleware cannot see these, so agents that differ in them
    /// would receive each other's responses. If there are hidden credentials, name their owner with
    /// [`RequestOptions::partition`] on each request.
    ///
    /// Nor does a middleware see which certificates the agent accepts or presents, or where it
    /// connects. Stored responses are therefore served to this middleware and its clones alone, for
    /// as long as they live, unless you call
    /// [`danger_assume_transport`](Self::danger_assume_transport).
    ///
    /// A response that shows a broken promise is not stored: one whose `Vary` names a credential
    /// that the request lacked when the cache saw it, and one that was redirected below the cache.
    /// Stale responses are validated in the foreground, because a middleware cannot outlive its
    /// request. By default ureq drops a response with an error status, so such responses are not
    /// stored.
    #[must_use]
    pub fn danger_assume_no_hidden_credentials(cache: impl Into<Driver>) -> Self {
        Self {
            driver: Arc::new(cache.into()),
            next: NextAgent::Foreign,
            transport: Transport::standard(),
            unseen: Some(unseen_id()),
        }
    }

    /// Declares how the agent reaches origins, which a middleware cannot see. Agents with equal
    /// transports share responses, in one process or in all that share a store. The configuration
    /// of a single request is still seen.
    ///
    /// Use [`Transport::standard`] if the agent accepts the certificates that are trusted by
    /// default, presents none, and connects to the hosts of URLs. Otherwise describe the
    /// difference, or use a [name](Transport::named) for agents that are built alike.
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
        let total = extensions.remove::<TotalDeadline>();
        if let Some(options) = extensions.get::<RequestOptions>() {
            head.extensions.insert(options.clone());
        }
        self.transport(&extensions).add_to(&mut head.extensions);
        let uri = head.uri.clone();
        let body = if self.driver.cache().engine().policy().caches_method(&head.method) {
            RequestContent::read(body)?
        } else {
            RequestContent::unread(body)
        };
        // A hit has no deadline: it waits for nothing.
        let mut deadline = Deadline::of(None);
        let answer = wait(self.driver.cache().ask(head, body.seen())).map_err(cache_error)?;
        let response = match answer {
            Answer::Hit(reply) | Answer::Refuse(reply) => reply.response.map(Content::<Incoming>::Stored),
            answer => {
                let own = Deadline::of(request_config(&extensions).as_ref());
                deadline = match total {
                    Some(TotalDeadline(total)) => own.min(total),
                    None => own,
                };
                let route = match &self.next {
                    NextAgent::Plain(agent) => Route::Plain(agent.clone()),
                    NextAgent::Foreign => Route::Middleware(Some(next)),
                };
                let exchange = Exchange::new(extensions.clone(), body, deadline, route);
                wait(self.driver.carry_out(answer, exchange, Some(&Threads))).map_err(
                    |failure| match failure {
                        Failure::Network(error) => error,
                        Failure::Cache(error) => cache_error(error),
                    },
                )?
            }
        };
        into_response(&extensions, &uri, response, deadline)
    }
}

/// The deadline of all hops of a request, among its extensions.
#[derive(Clone, Copy)]
pub(crate) struct TotalDeadline(pub(crate) Deadline);

/// The response to a request for `uri`, as ureq's own type.
fn into_response(
    request: &Extensions,
    uri: &Uri,
    response: Response<Content<Incoming>>,
    deadline: Deadline,
) -> Result<Response<Body>, Error> {
    let (mut head, content) = response.into_parts();
    if let Some(StatusError(status)) = head.extensions.remove() {
        return Err(Error::StatusCode(status));
    }
    if let Content::Stored(_) = &content {
        head.extensions.extend(status_outcome(request, uri, head.status)?);
    }
    let body = outgoing(&head.headers, content, deadline);
    Ok(Response::from_parts(head, body))
}

fn cache_error(error: lacre::Error) -> Error {
    Error::Other(Box::new(error))
}

/// Omits the settings of the cache and the agent, which may hold secrets.
impl fmt::Debug for CacheMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMiddleware").finish_non_exhaustive()
    }
}
