//! The outermost part of an agent with a cache: default headers, and redirects, each hop as a request of its own to the cache.

use crate::settings::{judged, plain_hop};
use http::{Extensions, HeaderMap, Method, Request, Response, Uri};
use lacre::{Hop, HopBody};
use std::io::{self, Read};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Agent, Body, Error, ResponseExt, SendBody};
use url::Position;

pub(crate) struct Follow {
    headers: HeaderMap,
    /// The cache, and what is above it.
    cached: Agent,
}

impl Follow {
    pub(crate) fn new(headers: HeaderMap, cached: Agent) -> Self {
        Self { headers, cached }
    }

    fn add_default_headers(&self, headers: &mut HeaderMap) {
        for name in self.headers.keys() {
            if !headers.contains_key(name) {
                headers.extend(self.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
            }
        }
    }
}

impl Middleware for Follow {
    fn handle(&self, request: Request<SendBody<'_>>, _: MiddlewareNext<'_>) -> Result<Response<Body>, Error> {
        let (mut head, body) = request.into_parts();
        let hop = plain_hop(&head.extensions);
        let asked = std::mem::replace(&mut head.extensions, hop);
        self.add_default_headers(&mut head.headers);
        let request = Request::from_parts(head, body);
        let mut repeat = Repeat::of(&request);
        let mut response = self.cached.run(request)?;
        for _ in 0..Hop::MOST {
            let Some(followed) = repeat.following(&response) else { return as_asked(&asked, response) };
            drain(response);
            repeat = Repeat::of(&followed);
            response = self.cached.run(followed)?;
        }
        match repeat.following(&response) {
            None => as_asked(&asked, response),
            Some(_) => Err(Error::TooManyRedirects),
        }
    }
}

/// A status is an error where the request, or its agent, wants it to be.
fn as_asked(asked: &Extensions, response: Response<Body>) -> Result<Response<Body>, Error> {
    if response.status().is_client_error() || response.status().is_server_error() {
        judged(asked, response.get_uri(), response.status())?;
    }
    Ok(response)
}

/// Reads a redirect's body, so that it is stored and its connection can be used again.
fn drain(response: Response<Body>) {
    let mut start = response.into_body().into_reader().take(Hop::MOST_BODY as u64);
    // One that breaks off is not stored, and its connection not used.
    let _ = io::copy(&mut start, &mut io::sink());
}

/// What it takes to send a request again, elsewhere.
struct Repeat {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    extensions: Extensions,
}

impl Repeat {
    fn of<B>(request: &Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
            extensions: request.extensions().clone(),
        }
    }

    /// The request that `response` redirects to, if it does.
    fn following(self, response: &Response<Body>) -> Option<Request<SendBody<'static>>> {
        if !response.status().is_redirection() {
            return None;
        }
        // What is not safe has a body as a rule, and ureq sends a body only once.
        let bodiless = self.method.is_safe();
        let url = self.uri.to_string().parse().ok()?;
        let hop = Hop { method: self.method, url, headers: self.headers };
        let (hop, body) = hop.redirected(response.status(), response.headers())?;
        if body == HopBody::Repeat && !bodiless {
            return None;
        }
        let mut request = Request::new(SendBody::none());
        *request.method_mut() = hop.method;
        *request.uri_mut() = hop.url[..Position::AfterQuery].parse().ok()?;
        *request.headers_mut() = hop.headers;
        *request.extensions_mut() = self.extensions;
        Some(request)
    }
}
