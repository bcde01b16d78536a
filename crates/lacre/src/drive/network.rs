//! The traits that a client implements for the driver: its network and its runtime.

use bytes::Bytes;
use http::{HeaderMap, Response, request, response};
use lacre_core::{Detail, Redactor, Varies, varies};
use std::pin::Pin;
use std::time::Duration;

/// A client's request to the network.
pub trait Network: Sized + Send {
    /// The body of a response.
    type Body: http_body::Body<Data = Bytes, Error: Send + 'static> + Send + 'static;
    /// The client's own error.
    type Error: Send + 'static;

    /// The request's body if it is in memory, often empty. `None`: it is a stream.
    fn body(&self) -> Option<Bytes>;

    /// Sends the request with its body and this head. The extensions of the response's head reach
    /// the caller.
    fn send(
        &mut self,
        head: &request::Parts,
    ) -> impl Future<Output = Result<Response<Self::Body>, Self::Error>> + Send;

    /// Whether the request can be sent once more. A streamed body cannot.
    fn can_repeat(&self) -> bool;

    /// The rest of the request's timeout; `None`: it has none. The request waits no longer than
    /// this for another one. [`send`](Self::send) enforces the timeout itself, with the client's
    /// own error.
    fn time_left(&self) -> Option<Duration> {
        None
    }

    /// A reason not to store a response that the caching rules allow to store, because the client
    /// may have sent inputs that the cache did not see, such as credentials.
    fn unseen_inputs(&self, sent: &request::Parts, response: &response::Parts) -> Option<Detail> {
        let _ = (sent, response);
        None
    }
}

/// A [`Network`] whose request can outlive its caller.
pub trait Background: Network {
    /// Whether sending, or polling the body of a response, blocks the thread.
    const BLOCKS: bool = false;

    /// Whether it can be [detached](Self::detach).
    fn can_detach(&self) -> bool;

    /// Detaches the request from its caller. `at_most` replaces the caller's timeout; a network
    /// that blocks must enforce it itself. `Err`: it cannot be detached.
    fn detach(
        self,
        at_most: Option<Duration>,
    ) -> Result<impl Network<Body = Self::Body, Error = Self::Error> + 'static, Self>;

    /// A copy of the request, to send beside this one. `None`: it cannot be copied.
    fn duplicate(&self) -> Option<Self> {
        None
    }
}

/// A client's runtime.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// Resolves after `time`.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Runs `task` to its end in the background.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

/// Delays requests before they go to the network, for instance to limit their rate. Hits are never
/// delayed.
pub trait RateLimit: Send + Sync + 'static {
    /// Resolves when `request` may be sent.
    fn acquire<'a>(&'a self, request: &'a request::Parts) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

impl<P: Fn(&request::Parts) -> F + Send + Sync + 'static, F: Future<Output = ()> + Send + 'static> RateLimit
    for P
{
    fn acquire<'a>(&'a self, request: &'a request::Parts) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self(request))
    }
}

/// An implementation of [`Network::unseen_inputs`] for clients that may add headers which the cache
/// does not see. A response with `Vary` on a credential that the `sent` request lacks shows that
/// the client added one.
#[must_use]
pub fn varies_by_unseen(sent: &HeaderMap, answered: &HeaderMap) -> Option<Detail> {
    let credentials = Redactor::default();
    let unseen = |name: &str| credentials.is_credential(name) && !sent.contains_key(name);
    let Varies::By(names) = varies(answered) else { return Some(Detail::Vary) };
    names.iter().any(|name| unseen(name.as_str())).then_some(Detail::Vary)
}
