//! What a client brings: a way to the network, and a runtime.

use bytes::Bytes;
use http::{HeaderMap, Response, request, response};
use lacre_core::{Detail, Redactor, Varies, varies};
use std::pin::Pin;
use std::time::Duration;

/// How a client sends one request to the network.
pub trait Network: Sized + Send {
    /// The body of a response.
    type Body: http_body::Body<Data = Bytes, Error: Send + 'static> + Send + 'static;
    /// Why there is no response.
    type Error: Send + 'static;

    /// The request's body, where it can be seen whole; often it is empty.
    fn body(&self) -> Option<Bytes>;

    /// Sends the request with its body, and with this head. The extensions of the response's head reach the caller.
    fn send(
        &mut self,
        head: &request::Parts,
    ) -> impl Future<Output = Result<Response<Self::Body>, Self::Error>> + Send;

    /// Whether the request can be sent once more: not where its body was a stream.
    fn can_repeat(&self) -> bool;

    /// How much is left of the time that the caller gave the request; `None`: as much as it takes. Nobody waits longer than this for another
    /// request. [`send`](Self::send) ends in time by itself, with the client's own error.
    fn time_left(&self) -> Option<Duration> {
        None
    }

    /// Why a response must not be stored although the rules, as far as they could be applied to what was seen, allow it.
    fn blind_spot(&self, sent: &request::Parts, response: &response::Parts) -> Option<Detail> {
        let _ = (sent, response);
        None
    }
}

/// A [`Network`] that can be left alone with its request.
pub trait Background: Network {
    /// Whether polling what it sends, or the body of a response, blocks the thread.
    const BLOCKS: bool = false;

    /// Whether it can be [detached](Self::detach).
    fn can_detach(&self) -> bool;

    /// The same, on its own. `at_most`: it is given up after this long, in place of the time that its caller gave it; one that blocks its
    /// thread must see to that itself. `Err`: it cannot do without its caller.
    fn detach(
        self,
        at_most: Option<Duration>,
    ) -> Result<impl Network<Body = Self::Body, Error = Self::Error> + 'static, Self>;

    /// The same once more, to be sent beside this one; `None`: there can be only one of it.
    fn again(&self) -> Option<Self> {
        None
    }
}

/// The runtime of a client.
pub trait Runtime: Clone + Send + Sync + 'static {
    /// Resolves after `time`.
    fn sleep(&self, time: Duration) -> impl Future<Output = ()> + Send;

    /// Runs `task` to its end, whoever waits for it.
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

/// Holds requests back before they go to the network: a limit of their rate, say. Answers from the cache never wait for it.
pub trait Pace: Send + Sync + 'static {
    /// Resolves when `request` may be sent.
    fn turn<'a>(&'a self, request: &'a request::Parts) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
}

impl<P: Fn(&request::Parts) -> F + Send + Sync + 'static, F: Future<Output = ()> + Send + 'static> Pace
    for P
{
    fn turn<'a>(&'a self, request: &'a request::Parts) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self(request))
    }
}

/// For [`Network::blind_spot`], where a client may add headers that the cache does not see: a response that varies by a credential which the
/// request, as it was `sent`, does not have, tells that it did.
#[must_use]
pub fn varies_by_unseen(sent: &HeaderMap, answered: &HeaderMap) -> Option<Detail> {
    let credentials = Redactor::default();
    let unseen = |name: &str| credentials.is_credential(name) && !sent.contains_key(name);
    let Varies::By(names) = varies(answered) else { return Some(Detail::Vary) };
    names.iter().any(|name| unseen(name.as_str())).then_some(Detail::Vary)
}
