//! reqwest as the network beneath a cache: requests in its terms, responses in everybody's, and back.

use crate::deadline::{Deadline, timed_out};
use crate::middleware::Beneath;
use bytes::Bytes;
use http::{Extensions, request, response};
use http_body_util::BodyExt;
use lacre::{Background, Content, Detail, Failure, Network, varies_by_unseen};
use reqwest::{Body, Client, Request, Response, Url};
use reqwest_middleware::{Error, Next, Result};
use std::time::Duration;

/// One request, and its way to the network.
pub(crate) struct Exchange<'a> {
    url: Url,
    /// Gone once it was sent, where its body can be sent only once.
    request: Option<Request>,
    deadline: Deadline,
    beneath: Beneath,
    route: Route<'a>,
}

/// The way to the network.
pub(crate) enum Route<'a> {
    Onwards(Next<'a>, &'a mut Extensions),
    Background(Client),
}

/// The URL that a response is the answer to: another one than was asked for where the client below followed redirects.
#[derive(Clone)]
struct AnsweredBy(Url);

impl<'a> Exchange<'a> {
    pub(crate) fn new(request: Request, deadline: Deadline, beneath: Beneath, route: Route<'a>) -> Self {
        Self { url: request.url().clone(), request: Some(request), deadline, beneath, route }
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
        let again = self.request.as_ref().and_then(Request::try_clone);
        let request = std::mem::replace(&mut self.request, again);
        let mut request = request.unwrap_or_else(|| Request::new(head.method.clone(), self.url.clone()));
        request.headers_mut().clone_from(&head.headers);
        self.deadline.apply_to(&mut request);
        let response = match &mut self.route {
            Route::Onwards(next, extensions) => next.clone().run(request, extensions).await?,
            Route::Background(client) => client.execute(request).await?,
        };
        let by = answering_url(&self.url, &response);
        let mut response = http::Response::from(response);
        response.extensions_mut().insert(AnsweredBy(by));
        Ok(response)
    }

    fn can_repeat(&self) -> bool {
        self.request.is_some()
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline.left()
    }

    fn blind_spot(&self, sent: &request::Parts, response: &response::Parts) -> Option<Detail> {
        if response.extensions.get().is_some_and(|AnsweredBy(url)| *url != self.url) {
            return Some(Detail::Filtered);
        }
        let Beneath::Unknown = self.beneath else { return None };
        varies_by_unseen(&sent.headers, &response.headers)
    }
}

impl Background for Exchange<'_> {
    fn can_detach(&self) -> bool {
        matches!(self.beneath, Beneath::Plain(_)) && self.request.is_some()
    }

    fn detach(
        self,
        at_most: Option<Duration>,
    ) -> std::result::Result<impl Network<Body = Body, Error = Error> + 'static, Self> {
        let (Beneath::Plain(client), Some(_)) = (&self.beneath, &self.request) else { return Err(self) };
        let route = Route::Background(client.clone());
        let deadline = at_most.map_or(self.deadline, |time| Deadline::after(Some(time)));
        Ok(Exchange { url: self.url, request: self.request, deadline, beneath: self.beneath, route })
    }

    fn again(&self) -> Option<Self> {
        let Beneath::Plain(client) = &self.beneath else { return None };
        let request = self.request.as_ref()?.try_clone()?;
        let (route, beneath) = (Route::Background(client.clone()), self.beneath.clone());
        Some(Self { url: self.url.clone(), request: Some(request), deadline: self.deadline, beneath, route })
    }
}

/// A network response's own URL has lost its fragment.
fn answering_url(asked: &Url, response: &Response) -> Url {
    let mut sent = asked.clone();
    sent.set_fragment(None);
    if *response.url() == sent { asked.clone() } else { response.url().clone() }
}

/// The answer to a request for `url`, as reqwest's own.
pub(crate) fn answer(
    url: Url,
    deadline: Deadline,
    answered: http::Response<Content<Body>>,
) -> Result<Response> {
    let (mut head, content) = answered.into_parts();
    let body = match content {
        Content::Passing(body) => body,
        Content::Recorded(body) => Body::wrap(body.map_err(Failure::into_cause)),
        // What reqwest knows to lie in memory costs it less.
        Content::Stored(body) => match body.in_memory().cloned() {
            Some(bytes) => Body::from(bytes),
            None => deadline.over(body),
        },
    };
    let url = head.extensions.remove().map_or(url, |AnsweredBy(url)| url);
    located(url, http::Response::from_parts(head, body))
}

/// A response from `url`, as reqwest's own.
pub(crate) fn located(url: Url, mut response: http::Response<Body>) -> Result<Response> {
    use reqwest::ResponseBuilderExt;

    // The extension that carries the URL is reqwest's own, and only its builder makes one.
    let (carrier, ()) = http::Response::builder().url(url).body(()).map_err(Error::middleware)?.into_parts();
    response.extensions_mut().extend(carrier.extensions);
    Ok(Response::from(response))
}
