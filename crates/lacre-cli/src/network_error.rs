//! Why the network did not answer, for people: which host, what happened to it, and what helps. Nothing here shows more of a URL than the host.

use crate::exit::{Exit, Failure, chain, root_cause};
use async_trait::async_trait;
use http::Extensions;
use reqwest::{Request, Response, Url};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next, Result};
use std::error::Error as StdError;
use std::io;

/// The client, which notes in the extensions of a request that an answer from the cache stands in for one that did not come, and why.
pub(crate) fn record_network_errors(client: ClientWithMiddleware) -> ClientWithMiddleware {
    ClientBuilder::from_client(client).with(RecordNetworkErrors).build()
}

/// Below the cache, where failures are still to be seen.
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

/// A request that got no answer from the network.
#[derive(Clone, Debug)]
pub(crate) struct NetworkError {
    /// With the port, where it is not that of the scheme.
    host: String,
    kind: NetworkErrorKind,
    /// The cause, in the words of whoever met it.
    cause: String,
}

/// What went wrong, by what helps.
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

    /// In one line: `example.com does not answer: connection refused`.
    pub(crate) fn message(&self) -> String {
        let Self { host, kind, cause } = self;
        match kind {
            NetworkErrorKind::Name => format!("the name {host} cannot be resolved: {cause}"),
            NetworkErrorKind::Certificate => format!("the certificate of {host} is not accepted: {cause}"),
            NetworkErrorKind::Tls => format!("{host} does not speak TLS as it should: {cause}"),
            NetworkErrorKind::Slow => format!("{host} does not answer in time: {cause}"),
            NetworkErrorKind::Malformed => format!("{host} does not answer in HTTP: {cause}"),
            NetworkErrorKind::Proxy => format!("the proxy does not lead to {host}: {cause}"),
            NetworkErrorKind::Refused | NetworkErrorKind::Other => format!("{host} does not answer: {cause}"),
        }
    }

    /// For the `fault` of an object.
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
                "check how the host is written, and the resolver; --offline answers from what is stored"
            }
            NetworkErrorKind::Certificate => {
                "check the host's name and this machine's clock, or name the issuer with --cacert FILE; --offline answers from what is stored"
            }
            NetworkErrorKind::Tls => "check the port, and whether the URL should begin with http://",
            NetworkErrorKind::Slow => {
                "allow more with --timeout, or try again; --max-stale accepts what is stale"
            }
            NetworkErrorKind::Malformed => "check the port, and whether the URL should begin with https://",
            NetworkErrorKind::Proxy => "check --proxy, or the environment variables that name one",
            NetworkErrorKind::Refused | NetworkErrorKind::Other => {
                "check the address and the network; --offline answers from what is stored, --max-stale accepts what is stale"
            }
        }
    }

    pub(crate) fn to_failure(&self) -> Failure {
        Failure::new(Exit::Unreachable, self.message()).with_hint(self.hint())
    }
}

impl NetworkErrorKind {
    /// By the types that are known here, and by the words of those that are not.
    fn of(error: &reqwest::Error) -> Self {
        let said = chain(error).to_lowercase();
        let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
        let refused = causes(error).filter_map(|cause| cause.downcast_ref::<io::Error>()).any(|error| {
            matches!(
                error.kind(),
                io::ErrorKind::ConnectionRefused
                    | io::ErrorKind::HostUnreachable
                    | io::ErrorKind::NetworkUnreachable
            )
        });
        if says(&["certificate"]) {
            Self::Certificate
        } else if says(&["dns error", "failed to lookup address"]) {
            Self::Name
        } else if error.is_timeout() || says(&["timed out"]) {
            Self::Slow
        } else if says(&["tunnel", "proxy", "socks"]) {
            Self::Proxy
        } else if refused {
            Self::Refused
        } else if says(&["tls", "handshake", "invalidcontenttype", "alert"]) {
            Self::Tls
        } else if says(&["invalid http", "parse", "header", "message head"]) {
            Self::Malformed
        } else {
            Self::Other
        }
    }
}

fn causes<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| StdError::source(*error))
}

/// The innermost cause: an outer one may show a URL.
fn cause(error: &reqwest::Error) -> String {
    let cause = root_cause(error);
    if cause.contains("://") { "the request failed".to_owned() } else { cause }
}
