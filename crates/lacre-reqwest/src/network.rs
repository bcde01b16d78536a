//! reqwest as the network below a cache: converts requests and responses between its types and
//! those of `http`.

use crate::deadline::{Deadline, timed_out};
use bytes::Bytes;
use http::{Extensions, request, response};
use http_body_util::BodyExt;
use lacre::{Background, Content, Detail, Failure, Network, varies_by_unseen};
use reqwest::{Body, Client, Request, Response, Url};
use reqwest_middleware::{Error, Next, Result};
use std::time::Duration;

/// One request, and the route it takes to the network.
pub(crate) struct Exchange<'a> {
    url: Url,
    /// `None` once a request was sent whose body cannot be sent again.
    request: Option<Request>,
    deadline: Deadline,
    next: NextClient,
    route: Route<'a>,
}

/// The client below the cache.
#[derive(Clone)]
pub(crate) enum NextClient {
    /// A client that adds nothing and hides nothing.
    Plain(Client),
    /// A client that was built elsewhere. Its settings cannot be seen.
    Foreign,
}

/// How a request is sent.
pub(crate) enum Route<'a> {
    /// Through the rest of the middleware stack.
    Middleware(Next<'a>, &'a mut Extensions),
    /// By the client alone: the caller's middleware stack is gone.
    Background(Client),
}

/// The URL of a response. It differs from the URL of the request if the client below followed
/// redirects.
#[derive(Clone)]
struct FinalUrl(Url);

impl<'a> Exchange<'a> {
    pub(crate) fn new(request: Request, deadline: Deadline, next: NextClient, route: Route<'a>) -> Self {
        Self { url: request.url().clone(), request: Some(request), deadline, next, route }
    }
}

impl Network for Exchange<'_> {
    type Body = Body;
    type Error = Error;

    fn body(&self) -> Option<Bytes> {
        match self.request.as_ref()?.body() {
            None => Some(Bytes::new()),
            Some(body) => body.as_bytes().map(Bytes::copy_from_slice),
        }
    }

    async fn send(&mut self, head: &request::Parts) -> Result<http::Response<Body>> {
        if self.deadline.left().is_some_and(|left| left.is_zero()) {
            return Err(timed_out(self.url.clone()).await);
        }
        let copy = self.request.as_ref().and_then(Request::try_clone);
        let request = std::mem::replace(&mut self.request, copy);
        let mut request = request.unwrap_or_else(|| Request::new(head.method.clone(), self.url.clone()));
        request.headers_mut().clone_from(&head.headers);
        self.deadline.apply_to(&mut request);
        let response = match &mut self.route {
            Route::Middleware(next, extensions) => next.clone().run(request, extensions).await?,
            Route::Background(client) => client.execute(request).await?,
        };
        let url = final_url(&self.url, &response);
        let mut response = http::Response::from(response);
        response.extensions_mut().insert(FinalUrl(url));
        Ok(response)
    }

    fn can_repeat(&self) -> bool {
        self.request.is_some()
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline.left()
    }

    fn unseen_inputs(&self, sent: &request::Parts, response: &response::Parts) -> Option<Detail> {
        if response.extensions.get().is_some_and(|FinalUrl(url)| *url != self.url) {
            return Some(Detail::Filtered);
        }
        let NextClient::Foreign = self.next else { return None };
        varies_by_unseen(&sent.headers, &response.headers)
    }
}

impl Background for Exchange<'_> {
    fn can_detach(&self) -> bool {
        matches!(self.next, NextClient::Plain(_)) && self.request.is_some()
    }

    fn detach(
        self,
        at_most: Option<Duration>,
    ) -> std::result::Result<impl Network<Body = Body, Error = Error> + 'static, Self> {
        let (NextClient::Plain(client), Some(_)) = (&self.next, &self.request) else { return Err(self) };
        let route = Route::Background(client.clone());
        let deadline = at_most.map_or(self.deadline, |time| Deadline::after(Some(time)));
        Ok(Exchange { url: self.url, request: self.request, deadline, next: self.next, route })
    }

    fn duplicate(&self) -> Option<Self> {
        let NextClient::Plain(client) = &self.next else { return None };
        let request = self.request.as_ref()?.try_clone()?;
        let (route, next) = (Route::Background(client.clone()), self.next.clone());
        Some(Self { url: self.url.clone(), request: Some(request), deadline: self.deadline, next, route })
    }
}

/// The URL of a response from the network, with the fragment of the request, which reqwest drops.
fn final_url(requested: &Url, response: &Response) -> Url {
    let mut sent = requested.clone();
    sent.set_fragment(None);
    if *response.url() == sent { requested.clone() } else { response.url().clone() }
}

/// The response to a request for `url`, as reqwest's own type.
pub(crate) fn into_response(
    url: Url,
    deadline: Deadline,
    response: http::Response<Content<Body>>,
) -> Result<Response> {
    let (mut head, content) = response.into_parts();
    let body = match content {
        Content::Passing(body) => body,
        Content::Storing(body) => Body::wrap(body.map_err(Failure::into_cause)),
        // reqwest reads a body faster if it knows that it is in memory.
        Content::Stored(body) => match body.in_memory().cloned() {
            Some(bytes) => Body::from(bytes),
            None => deadline.limit(body),
        },
    };
    let url = head.extensions.remove().map_or(url, |FinalUrl(url)| url);
    with_url(url, http::Response::from_parts(head, body))
}

/// A response from `url`, as reqwest's own type.
pub(crate) fn with_url(url: Url, mut response: http::Response<Body>) -> Result<Response> {
    use reqwest::ResponseBuilderExt;

    // The extension that holds the URL is private to reqwest, and only its builder creates one.
    let (carrier, ()) = http::Response::builder().url(url).body(()).map_err(Error::middleware)?.into_parts();
    response.extensions_mut().extend(carrier.extensions);
    Ok(Response::from(response))
}
