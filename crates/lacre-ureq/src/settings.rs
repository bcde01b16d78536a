//! Reads the configuration that ureq keeps among a request's extensions, in types that only its own
//! code can read.
//!
//! To read it, a request runs through a ureq agent whose transport leads nowhere: ureq passes the
//! configuration to the connector.

use http::{Extensions, Request, StatusCode, Uri};
use lacre::{RequestOptions, Transport};
use std::cell::Cell;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use ureq::config::{AutoHeaderValue, Config, ConfigBuilder};
use ureq::tls::{Certificate, RootCerts};
use ureq::typestate::{AgentScope, HttpCrateScope};
use ureq::unversioned::resolver::{ArrayVec, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{self, Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout};
use ureq::{Agent, Error, RequestExt};

type RequestConfig = ConfigBuilder<HttpCrateScope<()>>;

/// Adds nothing to a request and hides nothing of its response. A macro, because ureq has a builder
/// type for each place that can be configured.
macro_rules! plain {
    ($config:expr) => {
        $config
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .user_agent(AutoHeaderValue::None)
    };
}

/// The configuration of an agent that adds and hides nothing.
pub(crate) fn plain_agent(config: ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope> {
    plain!(config)
}

/// Whether a request has a configuration of its own.
pub(crate) fn has_request_config(extensions: &Extensions) -> bool {
    configured(extensions, |config| config).len() == extensions.len()
}

/// The extensions of one hop of a request.
///
/// A request without a configuration of its own gets none, so that it is sent with that of the
/// agent: another configuration would open a connection with a TLS setup of its own.
pub(crate) fn hop_extensions(extensions: &Extensions) -> Extensions {
    if has_request_config(extensions) {
        configured(extensions, |config| plain!(config))
    } else {
        extensions.clone()
    }
}

/// How an agent or a request with this configuration reaches origins (decision 16).
pub(crate) fn transport_of(config: &Config) -> Transport {
    let tls = config.tls_config();
    let mut transport = match tls.root_certs() {
        RootCerts::Specific(roots) => Transport::standard().roots(roots.iter().map(Certificate::der)),
        RootCerts::PlatformVerifier => lacre::config::transport().no_proxy(),
        // A list of its own, like that of any client.
        RootCerts::WebPki => Transport::standard(),
        other => Transport::standard().roots([format!("{other:?}")]),
    };
    if tls.disable_verification() {
        transport = transport.unverified();
    }
    if let Some(client) = tls.client_cert() {
        transport = transport.client_certificate(client.certs().iter().map(Certificate::der));
    }
    if let Some(proxy) = config.proxy() {
        transport = transport.proxy(format!("{:?}://{}:{}", proxy.protocol(), proxy.host(), proxy.port()));
    }
    transport
}

/// How a request reaches its origin; `None` if it has no configuration of its own.
pub(crate) fn transport_of_request(extensions: &Extensions) -> Option<Transport> {
    // An agent adds one extension to every request; the cache reads the other.
    let known = 1 + usize::from(extensions.get::<RequestOptions>().is_some());
    if extensions.len() <= known {
        return None;
    }
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("http://settings.invalid/");
    *request.extensions_mut() = extensions.clone();
    TRANSPORT.take();
    // Fails, because the connector opens no connection.
    let _ = READS_TRANSPORT.run(request);
    TRANSPORT.take()
}

thread_local! {
    static TRANSPORT: Cell<Option<Transport>> = const { Cell::new(None) };
}

/// An agent without a network that reads the configuration of requests. ureq shows it to a
/// connector only.
static READS_TRANSPORT: LazyLock<Agent> =
    LazyLock::new(|| Agent::with_parts(Config::default(), ReadsTransport, NoResolver));

#[derive(Debug)]
struct ReadsTransport;

impl Connector for ReadsTransport {
    type Out = Playback;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Playback>, Error> {
        if details.request_level {
            TRANSPORT.set(Some(transport_of(details.config)));
        }
        Ok(None)
    }
}

/// The extensions of a request, with its configuration changed.
pub(crate) fn configured(
    extensions: &Extensions,
    change: impl FnOnce(RequestConfig) -> RequestConfig,
) -> Extensions {
    let carrier = || {
        let mut carrier = Request::new(());
        *carrier.extensions_mut() = extensions.clone();
        carrier
    };
    let carrier = carrier().middleware_config().map_or_else(carrier, |config| change(config).build());
    carrier.into_parts().0.extensions
}

/// The configuration of a request: its own, or that of its agent. `None` if the request came
/// through no agent.
pub(crate) fn request_config(extensions: &Extensions) -> Option<Config> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("https://nowhere.invalid/");
    *request.extensions_mut() = extensions.clone();
    let request = request.middleware_config()?.proxy(None).build();
    let captured = Arc::new(Mutex::new(None));
    let agent = Agent::with_parts(Config::default(), CapturesConfig(Arc::clone(&captured)), NoResolver);
    // Fails in the connector.
    let _ = agent.run(request);
    captured.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A connector that keeps the configuration it was called with.
#[derive(Debug)]
struct CapturesConfig(Arc<Mutex<Option<Config>>>);

impl Connector for CapturesConfig {
    type Out = Playback;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Playback>, Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(details.config.clone());
        Err(Error::ConnectionFailed)
    }
}

/// The outcome that ureq itself gives to a response with this status, to a request for `uri` with
/// these extensions.
///
/// Either the error that the request's configuration asks for, or the extensions of a ureq
/// response, which [`ureq::ResponseExt::get_uri`] reads.
pub(crate) fn status_outcome(
    extensions: &Extensions,
    uri: &Uri,
    status: StatusCode,
) -> Result<Extensions, Error> {
    let is_error = status.is_client_error() || status.is_server_error();
    let agent = if is_error { &RETURNS_500 } else { &RETURNS_200 };
    let mut request = Request::new(());
    *request.uri_mut() = uri.clone();
    *request.extensions_mut() = configured(extensions, |config| config.proxy(None));
    match agent.run(request) {
        Ok(response) => Ok(response.into_parts().0.extensions),
        Err(Error::StatusCode(_)) => Err(Error::StatusCode(status.as_u16())),
        Err(error) => Err(error),
    }
}

/// Agents without a network that return one response.
static RETURNS_200: LazyLock<Agent> =
    LazyLock::new(|| returns(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
static RETURNS_500: LazyLock<Agent> =
    LazyLock::new(|| returns(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"));

fn returns(response: &'static [u8]) -> Agent {
    Agent::with_parts(Config::default(), Returns(response), NoResolver)
}

#[derive(Debug)]
struct Returns(&'static [u8]);

impl Connector for Returns {
    type Out = Playback;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Playback>, Error> {
        // Holds the request line and the headers that ureq adds.
        let capacity = details.uri.to_string().len() * 2 + 1024;
        Ok(Some(Playback { buffers: LazyBuffers::new(self.0.len(), capacity), response: self.0 }))
    }
}

#[derive(Debug)]
struct Playback {
    buffers: LazyBuffers,
    response: &'static [u8],
}

impl transport::Transport for Playback {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let response = std::mem::take(&mut self.response);
        let buffer = self.buffers.input_append_buf();
        let length = buffer.len().min(response.len());
        buffer[..length].copy_from_slice(&response[..length]);
        self.buffers.input_appended(length);
        Ok(length > 0)
    }

    fn is_open(&mut self) -> bool {
        false
    }

    fn is_tls(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct NoResolver;

impl Resolver for NoResolver {
    fn resolve(&self, _: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        Ok(ArrayVec::from_fn(|_| ([0, 0, 0, 0], 0).into()))
    }
}
