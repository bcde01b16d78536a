//! The outermost middleware of an agent with a cache: adds default headers and follows redirects,
//! each hop as a request of its own to the cache (RFC 9110 §15.4).

use crate::deadline::Deadline;
use crate::decode::{Compression, Decompress};
use crate::middleware::TotalDeadline;
use crate::settings::{has_request_config, hop_extensions, request_config, status_outcome};
use http::uri::Scheme;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Response, Uri, header};
use lacre::{Hop, HopBody, add_default_headers};
use std::io::{self, Read};
use ureq::config::{AutoHeaderValue, Config};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Agent, Body, Error, ResponseExt, SendBody};
use url::Position;

pub(crate) struct FollowRedirects {
    headers: HeaderMap,
    /// The agent with the cache and the middleware above it.
    cached: Agent,
    /// The configuration of requests that have none of their own.
    config: Config,
    compression: Compression,
}

impl FollowRedirects {
    pub(crate) fn new(headers: HeaderMap, cached: Agent, config: Config, compression: Compression) -> Self {
        Self { headers, cached, config, compression }
    }

    fn add_default_headers(&self, headers: &mut HeaderMap, config: &Config) {
        add_default_headers(headers, &self.headers);
        let compressible = self.compression == Compression::Decode && !headers.contains_key(header::RANGE);
        let accepted = Decompress::accepted().filter(|_| compressible);
        for (name, configured, default) in [
            (header::ACCEPT, config.accept(), Some(HeaderValue::from_static("*/*"))),
            (header::USER_AGENT, config.user_agent(), None),
            (header::ACCEPT_ENCODING, config.accept_encoding(), accepted),
        ] {
            let value = match configured {
                AutoHeaderValue::None => None,
                AutoHeaderValue::Default => default,
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
        // Checked here, because another agent may have stored a response that came without TLS.
        if config.https_only() && request.uri().scheme() != Some(&Scheme::HTTPS) {
            return Err(Error::RequireHttpsOnly(request.uri().to_string()));
        }
        self.cached.run(request)
    }
}

impl Middleware for FollowRedirects {
    fn handle(&self, request: Request<SendBody<'_>>, _: MiddlewareNext<'_>) -> Result<Response<Body>, Error> {
        let (mut head, body) = request.into_parts();
        let own = if has_request_config(&head.extensions) { request_config(&head.extensions) } else { None };
        let config = own.as_ref().unwrap_or(&self.config);
        let hop = hop_extensions(&head.extensions);
        let original = std::mem::replace(&mut head.extensions, hop);
        head.extensions.insert(TotalDeadline(Deadline::of_all_hops(Some(config))));
        self.add_default_headers(&mut head.headers, config);
        let request = Request::from_parts(head, body);
        let mut repeat = Repeat::of(&request);
        let mut response = self.hop(request, config)?;
        for _ in 0..config.max_redirects() {
            let Some(followed) = repeat.next_hop(&response) else { return check_status(&original, response) };
            drain(response);
            repeat = Repeat::of(&followed);
            response = self.hop(followed, config)?;
        }
        // Like ureq: with a limit of 0 the first redirect is returned, and past another limit the
        // last one, if `max_redirects_will_error` is off.
        if config.max_redirects() == 0 || !config.max_redirects_will_error() {
            return check_status(&original, response);
        }
        match repeat.next_hop(&response) {
            None => check_status(&original, response),
            Some(_) => Err(Error::TooManyRedirects),
        }
    }
}

/// Returns the status as an error if the configuration of the request or its agent asks for that.
/// Reads the body first, so that the response is stored.
fn check_status(original: &Extensions, response: Response<Body>) -> Result<Response<Body>, Error> {
    if (response.status().is_client_error() || response.status().is_server_error())
        && let Err(error) = status_outcome(original, response.get_uri(), response.status())
    {
        drain(response);
        return Err(error);
    }
    Ok(response)
}

/// Reads an unwanted body, so that it is stored and its connection is reused. Gives up on a long
/// one.
fn drain(response: Response<Body>) {
    let mut start = response.into_body().into_reader().take(Hop::MAX_BODY as u64);
    // If the transfer breaks off, nothing is stored and the connection is closed.
    let _ = io::copy(&mut start, &mut io::sink());
}

/// A copy of a request head, from which the next hop is made.
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

    /// The request that `response` redirects to; `None` if the redirect cannot be followed.
    fn next_hop(self, response: &Response<Body>) -> Option<Request<SendBody<'static>>> {
        if !response.status().is_redirection() {
            return None;
        }
        // A request with an unsafe method usually has a body, and ureq sends a body only once.
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
