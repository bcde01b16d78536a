//! What ureq keeps among a request's extensions, and only its own code can read: settings of this one request, or else of its agent. That
//! code is made to show them: it is run over a transport that leads nowhere.

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

/// Nothing is added to a request, and nothing hidden of its response. ureq has a type for each place where this can be said.
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

/// An agent's settings, for one that adds and hides nothing.
pub(crate) fn plain_agent(config: ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope> {
    plain!(config)
}

/// Whether a request has settings of its own.
pub(crate) fn has_own(extensions: &Extensions) -> bool {
    configured(extensions, |config| config).len() == extensions.len()
}

/// A request's extensions, for one hop of it. Where it has no settings of its own, those of the agent that sends it hold: a connection for
/// others would set TLS up anew.
pub(crate) fn plain_hop(extensions: &Extensions) -> Extensions {
    if has_own(extensions) { configured(extensions, |config| plain!(config)) } else { extensions.clone() }
}

/// How an agent, or a request, with these settings reaches origins.
pub(crate) fn transport_of(config: &Config) -> Transport {
    let tls = config.tls_config();
    let mut transport = match tls.root_certs() {
        RootCerts::Specific(roots) => Transport::usual().roots(roots.iter().map(Certificate::der)),
        RootCerts::PlatformVerifier => lacre::config::transport().no_proxy(),
        // Its own list, as any client has one.
        RootCerts::WebPki => Transport::usual(),
        other => Transport::usual().roots([format!("{other:?}")]),
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

/// How a request reaches its origin, where it has settings of its own.
pub(crate) fn transport_of_request(extensions: &Extensions) -> Option<Transport> {
    // What an agent adds to every request, and what the cache reads.
    let known = 1 + usize::from(extensions.get::<RequestOptions>().is_some());
    if extensions.len() <= known {
        return None;
    }
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("http://settings.invalid/");
    *request.extensions_mut() = extensions.clone();
    FOUND.take();
    // It never answers.
    let _ = READS_SETTINGS.run(request);
    FOUND.take()
}

thread_local! {
    static FOUND: Cell<Option<Transport>> = const { Cell::new(None) };
}

/// An agent without a network that reads the settings of requests. Only a connector is shown these.
static READS_SETTINGS: LazyLock<Agent> =
    LazyLock::new(|| Agent::with_parts(Config::default(), ReadsSettings, NoResolver));

#[derive(Debug)]
struct ReadsSettings;

impl Connector for ReadsSettings {
    type Out = Playback;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Playback>, Error> {
        if details.request_level {
            FOUND.set(Some(transport_of(details.config)));
        }
        Ok(None)
    }
}

/// A request's extensions, with its settings changed.
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

/// The settings of a request: its own, or else those of its agent. `None`: it came through no agent.
pub(crate) fn settings(extensions: &Extensions) -> Option<Config> {
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_static("https://nowhere.invalid/");
    *request.extensions_mut() = extensions.clone();
    let request = request.middleware_config()?.proxy(None).build();
    let shown = Arc::new(Mutex::new(None));
    let agent = Agent::with_parts(Config::default(), Shows(Arc::clone(&shown)), NoResolver);
    // It gets no further than to the transport.
    let _ = agent.run(request);
    shown.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A connector that shows the settings it was called with.
#[derive(Debug)]
struct Shows(Arc<Mutex<Option<Config>>>);

impl Connector for Shows {
    type Out = Playback;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Playback>, Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(details.config.clone());
        Err(Error::ConnectionFailed)
    }
}

/// What ureq itself would make of a response with this status to a request for `uri` with these extensions: the error that the request's
/// settings want, or the extensions that responses of ureq have, [`ureq::ResponseExt::get_uri`] among them.
pub(crate) fn judged(extensions: &Extensions, uri: &Uri, status: StatusCode) -> Result<Extensions, Error> {
    let is_error = status.is_client_error() || status.is_server_error();
    let agent = if is_error { &REFUSES } else { &AGREES };
    let mut request = Request::new(());
    *request.uri_mut() = uri.clone();
    *request.extensions_mut() = configured(extensions, |config| config.proxy(None));
    match agent.run(request) {
        Ok(response) => Ok(response.into_parts().0.extensions),
        Err(Error::StatusCode(_)) => Err(Error::StatusCode(status.as_u16())),
        Err(error) => Err(error),
    }
}

/// Agents without a network, whose only answers these are.
static AGREES: LazyLock<Agent> = LazyLock::new(|| always(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
static REFUSES: LazyLock<Agent> = LazyLock::new(|| always(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"));

fn always(answer: &'static [u8]) -> Agent {
    Agent::with_parts(Config::default(), Always(answer), NoResolver)
}

#[derive(Debug)]
struct Always(&'static [u8]);

impl Connector for Always {
    type Out = Playback;

    fn connect(&self, details: &ConnectionDetails<'_>, _: Option<()>) -> Result<Option<Playback>, Error> {
        // The request line and the headers of ureq's own must fit.
        let room = details.uri.to_string().len() * 2 + 1024;
        Ok(Some(Playback { buffers: LazyBuffers::new(self.0.len(), room), answer: self.0 }))
    }
}

#[derive(Debug)]
struct Playback {
    buffers: LazyBuffers,
    answer: &'static [u8],
}

impl transport::Transport for Playback {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, _: usize, _: NextTimeout) -> Result<(), Error> {
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        let answer = std::mem::take(&mut self.answer);
        let room = self.buffers.input_append_buf();
        let length = room.len().min(answer.len());
        room[..length].copy_from_slice(&answer[..length]);
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
