//! The outermost part of an agent with a cache: default headers, and redirects, each hop as a request of its own to the cache.

use crate::agent::Compression;
use crate::deadline::Deadline;
use crate::decode::Decompress;
use crate::middleware::Hops;
use crate::settings::{has_own, judged, plain_hop, settings};
use http::uri::Scheme;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use lacre::{Hop, HopBody};
use std::io::{self, Read};
use ureq::config::{AutoHeaderValue, Config};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Agent, Body, Error, ResponseExt, SendBody};
use url::Position;

pub(crate) struct Follow {
    headers: HeaderMap,
    /// The cache, and what is above it.
    cached: Agent,
    /// The settings of requests that have none themselves.
    settings: Config,
    compression: Compression,
}

impl Follow {
    pub(crate) fn new(headers: HeaderMap, cached: Agent, settings: Config, compression: Compression) -> Self {
        Self { headers, cached, settings, compression }
    }

    fn add_default_headers(&self, headers: &mut HeaderMap, config: &Config) {
        for name in self.headers.keys() {
            if !headers.contains_key(name) {
                headers.extend(self.headers.get_all(name).iter().map(|value| (name.clone(), value.clone())));
            }
        }
        let asks = self.compression == Compression::Decoded && !headers.contains_key(header::RANGE);
        let accepted = Decompress::accepted().filter(|_| asks);
        for (name, said, usual) in [
            (header::ACCEPT, config.accept(), Some(HeaderValue::from_static("*/*"))),
            (header::USER_AGENT, config.user_agent(), None),
            (header::ACCEPT_ENCODING, config.accept_encoding(), accepted),
        ] {
            let value = match said {
                AutoHeaderValue::None => None,
                AutoHeaderValue::Default => usual,
                AutoHeaderValue::Provided(value) => HeaderValue::from_str(value).ok(),
            };
            if let Some(value) = value
                && !headers.contains_key(&name)
            {
                headers.insert(name, value);
            }
        }
    }

    fn hop(&self, request: Request<SendBody<'_>>, config: &Config) -> Result<Response<Body>, Error> {
        // What is stored was perhaps asked for by somebody who is less careful.
        if config.https_only() && request.uri().scheme() != Some(&Scheme::HTTPS) {
            return Err(Error::RequireHttpsOnly(request.uri().to_string()));
        }
        self.cached.run(request)
    }
}

impl Middleware for Follow {
    fn handle(&self, request: Request<SendBody<'_>>, _: MiddlewareNext<'_>) -> Result<Response<Body>, Error> {
        let (mut head, body) = request.into_parts();
        let own = if has_own(&head.extensions) { settings(&head.extensions) } else { None };
        let config = own.as_ref().unwrap_or(&self.settings);
        let hop = plain_hop(&head.extensions);
        let asked = std::mem::replace(&mut head.extensions, hop);
        head.extensions.insert(Hops(Deadline::of_all_hops(Some(config))));
        self.add_default_headers(&mut head.headers, config);
        let request = Request::from_parts(head, body);
        let mut repeat = Repeat::of(&request);
        let mut response = self.hop(request, config)?;
        for _ in 0..config.max_redirects() {
            let Some(followed) = repeat.following(&response) else { return as_asked(&asked, response) };
            drain(response);
            repeat = Repeat::of(&followed);
            response = self.hop(followed, config)?;
        }
        // ureq returns the first redirect where it is to follow none, and the last one where that was asked for.
        if config.max_redirects() == 0 || !config.max_redirects_will_error() {
            return as_asked(&asked, response);
        }
        match repeat.following(&response) {
            None => as_asked(&asked, response),
            Some(_) => Err(Error::TooManyRedirects),
        }
    }
}

/// A status is an error where the request, or its agent, wants it to be. Its body is read nevertheless, so that it is stored.
fn as_asked(asked: &Extensions, response: Response<Body>) -> Result<Response<Body>, Error> {
    if (response.status().is_client_error() || response.status().is_server_error())
        && let Err(error) = judged(asked, response.get_uri(), response.status())
    {
        drain(response);
        return Err(error);
    }
    Ok(response)
}

/// Reads a body that nobody wants, so that it is stored and its connection can be used again; not where it is long.
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
