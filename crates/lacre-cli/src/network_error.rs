//! Errors of the network, for people: the host, the cause and a hint. Of the URL, they show only
//! the host.

use crate::exit::{Exit, Failure, chain, root_cause};
use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use std::error::Error as StdError;
use std::io;

/// Wraps the client so that the extensions of a request keep the network error that a stale
/// response hides.
pub(crate) fn record_network_errors(client: ClientWithMiddleware) -> ClientWithMiddleware {
    ClientBuilder::from_client(client).with(RecordNetworkErrors).build()
}

/// A middleware below the cache, where network errors are still visible.
struct RecordNetworkErrors;

#[async_trait]
impl Middleware for RecordNetworkErrors {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let url = request.url().clone();
        extensions.remove::<NetworkError>();
        let answered = next.run(request, extensions).await;
        if let Err(Error::Reqwest(error)) = &answered {
            extensions.insert(NetworkError::of(&url, error));
        }
        answered
    }
}

/// A request without an answer from the network.
#[derive(Clone, Debug)]
pub(crate) struct NetworkError {
    /// The host, with a port other than the scheme's.
    host: String,
    kind: NetworkErrorKind,
    /// The innermost cause, as the client library words it.
    cause: String,
}

/// The kinds of network errors that need different hints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NetworkErrorKind {
    Name,
    Refused,
    Certificate,
    Tls,
    Slow,
    Malformed,
    Proxy,
    Other,
}

impl NetworkError {
    pub(crate) fn of(url: &Url, error: &reqwest::Error) -> Self {
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Self { host: format!("{host}{port}"), kind: NetworkErrorKind::of(error), cause: cause(error) }
    }

    /// One line, such as `example.com does not answer: connection refused`.
    pub(crate) fn message(&self) -> String {
        let Self { host, kind, cause } = self;
        match kind {
            NetworkErrorKind::Name => format!("cannot resolve {host}: {cause}"),
            NetworkErrorKind::Certificate => format!("the certificate of {host} was rejected: {cause}"),
            NetworkErrorKind::Tls => format!("the TLS handshake with {host} failed: {cause}"),
            NetworkErrorKind::Slow => format!("{host} did not answer in time: {cause}"),
            NetworkErrorKind::Malformed => format!("{host} did not answer with valid HTTP: {cause}"),
            NetworkErrorKind::Proxy => format!("the proxy could not reach {host}: {cause}"),
            NetworkErrorKind::Refused | NetworkErrorKind::Other => format!("{host} does not answer: {cause}"),
        }
    }

    /// The name of the kind, the `fault` of a JSON object.
    pub(crate) const fn name(&self) -> &'static str {
        match self.kind {
            NetworkErrorKind::Name => "dns",
            NetworkErrorKind::Refused => "connect",
            NetworkErrorKind::Certificate => "certificate",
            NetworkErrorKind::Tls => "tls",
            NetworkErrorKind::Slow => "timeout",
            NetworkErrorKind::Malformed => "malformed",
            NetworkErrorKind::Proxy => "proxy",
            NetworkErrorKind::Other => "network",
        }
    }

    const fn hint(&self) -> &'static str {
        match self.kind {
            NetworkErrorKind::Name => {
                "check the spelling of the host, and the DNS resolver; --offline answers from the store"
            }
            NetworkErrorKind::Certificate => {
                "check the host name and this machine's clock, or trust the issuer with --cacert FILE; --offline answers from the store"
            }
            NetworkErrorKind::Tls => "check the port, and whether the URL should begin with http://",
            NetworkErrorKind::Slow => "raise --timeout, or try again; --max-stale accepts a stale response",
            NetworkErrorKind::Malformed => "check the port, and whether the URL should begin with https://",
            NetworkErrorKind::Proxy => "check --proxy, or the environment variables for proxies",
            NetworkErrorKind::Refused | NetworkErrorKind::Other => {
                "check the address and the network; --offline answers from the store, --max-stale accepts a stale response"
            }
        }
    }

    pub(crate) fn to_failure(&self) -> Failure {
        Failure::new(Exit::Unreachable, self.message()).with_hint(self.hint())
    }
}

impl NetworkErrorKind {
    /// Classifies an error by its type, or by its text if the type is private to a library.
    fn of(error: &reqwest::Error) -> Self {
        let text = chain(error).to_lowercase();
        let contains_any = |words: &[&str]| words.iter().any(|word| text.contains(word));
        let refused = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            )
        });
        if contains_any(&["certificate"]) {
            Self::Certificate
        } else if contains_any(&["dns error", "failed to lookup address"]) {
            Self::Name
        } else if error.is_timeout() || contains_any(&["timed out"]) {
            Self::Slow
        } else if contains_any(&["tunnel", "proxy", "socks"]) {
            Self::Proxy
        } else if refused {
            Self::Refused
        } else if contains_any(&["tls", "handshake", "invalidcontenttype", "alert"]) {
            Self::Tls
        } else if contains_any(&["invalid http", "parse", "header", "message head"]) {
            Self::Malformed
        } else {
            Self::Other
        }
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| StdError::source(*error))
}

/// The innermost cause, without a URL.
fn cause(error: &reqwest::Error) -> String {
    let cause = root_cause(error);
    if cause.contains("://") { "the request failed".to_owned() } else { cause }
}
