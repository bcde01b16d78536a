//! Follows redirects above the cache, so that the caching rules apply to each hop (RFC 9110 §15.4).

use crate::deadline::Deadline;
use async_trait::async_trait;
use http::Extensions;
use lacre::{Hop, HopBody, TooManyRedirects};
use reqwest::{Request, Response};
use reqwest_middleware::{Error, Middleware, Next, Result};

/// A middleware that follows redirects, each as a request of its own to the rest of the stack.
///
/// [`ClientBuilder`](crate::ClientBuilder) adds it. In a stack of your own, place it before the
/// cache, over a client with [`reqwest::redirect::Policy::none`].
///
/// [`Hop`] documents how a redirect changes a request. A redirect is returned as it is if it has no
/// usable `Location`, or if it would repeat a streamed body. The
/// [timeout](reqwest::RequestBuilder::timeout) of a request covers all its hops together.
#[derive(Clone, Copy, Debug)]
pub struct FollowRedirects {
    at_most: usize,
}

impl FollowRedirects {
    /// Follows this many redirects for one request; one more is a [`TooManyRedirects`] error. With
    /// 0, a redirect is returned like any other response.
    #[must_use]
    pub const fn at_most(redirects: usize) -> Self {
        Self { at_most: redirects }
    }
}

/// Follows ten redirects.
impl Default for FollowRedirects {
    fn default() -> Self {
        Self::at_most(Hop::DEFAULT_LIMIT)
    }
}

#[async_trait]
impl Middleware for FollowRedirects {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        if self.at_most == 0 {
            return next.run(request, extensions).await;
        }
        let deadline = Deadline::of(&request);
        let (mut request, mut hops) = (request, 0);
        loop {
            deadline.apply_to(&mut request);
            let repeat = Repeat::of(&mut request);
            let response = next.clone().run(request, extensions).await?;
            match repeat.and_then(|repeat| repeat.next_hop(&response)) {
                None => return Ok(response),
                Some(_) if hops == self.at_most => {
                    return Err(Error::middleware(TooManyRedirects::after(self.at_most)));
                }
                Some(followed) => {
                    Box::pin(drain(response)).await;
                    (request, hops) = (followed, hops + 1);
                }
            }
        }
    }
}

/// Reads the body of a redirect, so that it is stored and its connection is reused. Gives up on a
/// long one.
async fn drain(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(bytes)) = response.chunk().await {
        read += bytes.len();
        if read > Hop::MAX_BODY {
            return;
        }
    }
}

/// A copy of a request, from which the next hop is made.
struct Repeat {
    request: Request,
    body: RepeatBody,
}

/// Whether the body of a request can be sent again.
#[derive(PartialEq)]
enum RepeatBody {
    Replayable,
    Streamed,
}

impl Repeat {
    fn of(request: &mut Request) -> Option<Self> {
        if let Some(request) = request.try_clone() {
            return Some(Self { request, body: RepeatBody::Replayable });
        }
        let stream = request.body_mut().take();
        let without_body = request.try_clone();
        *request.body_mut() = stream;
        Some(Self { request: without_body?, body: RepeatBody::Streamed })
    }

    /// The request that `response` redirects to; `None` if the redirect cannot be followed.
    fn next_hop(self, response: &Response) -> Option<Request> {
        let Self { mut request, body } = self;
        let hop = Hop {
            method: request.method().clone(),
            url: request.url().clone(),
            headers: std::mem::take(request.headers_mut()),
        };
        match hop.redirected(response.status(), response.headers())? {
            (_, HopBody::Repeat) if body == RepeatBody::Streamed => return None,
            (hop, becomes) => {
                *request.method_mut() = hop.method;
                *request.url_mut() = hop.url;
                *request.headers_mut() = hop.headers;
                if becomes == HopBody::Drop {
                    *request.body_mut() = None;
                }
            }
        }
        Some(request)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Method;
    use reqwest::Body;

    fn request(method: Method, url: &str, headers: &[(&str, &str)]) -> Request {
        let mut builder = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body("form").unwrap().try_into().unwrap()
    }

    fn redirect(status: u16, location: &str) -> Response {
        http::Response::builder().status(status).header("location", location).body("").unwrap().into()
    }

    fn followed(mut request: Request, response: &Response) -> Option<Request> {
        Repeat::of(&mut request)?.next_hop(response)
    }

    #[test]
    fn method_and_body_of_the_next_hop_follow_the_status() {
        let posted = request(Method::POST, "http://a/", &[("x-a", "1"), ("content-type", "text/plain")]);
        let got = followed(posted.try_clone().unwrap(), &redirect(302, "/b")).unwrap();
        assert_eq!(
            (got.method(), got.url().as_str(), got.body().is_some()),
            (&Method::GET, "http://a/b", false)
        );
        assert_eq!(got.headers().keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["x-a"]);
        let repeated = followed(posted, &redirect(307, "/b")).unwrap();
        assert_eq!((repeated.method(), repeated.headers().len()), (&Method::POST, 2));
        assert_eq!(repeated.body().and_then(Body::as_bytes), Some(&b"form"[..]));
    }

    #[test]
    fn a_redirect_that_would_repeat_a_streamed_body_is_not_followed() {
        let streamed = || {
            let mut request = request(Method::POST, "http://a/", &[]);
            *request.body_mut() = Some(Body::wrap(String::from("stream")));
            request
        };
        let mut kept = streamed();
        assert!(Repeat::of(&mut kept).is_some());
        assert!(kept.body().is_some());
        assert!(followed(streamed(), &redirect(307, "/b")).is_none());
        assert!(followed(streamed(), &redirect(303, "/b")).unwrap().body().is_none());
    }
}
