//! An agent whose headers the cache can see: it adds above the cache what ureq would add below.

use crate::decode::Compression;
use crate::follow::FollowRedirects;
use crate::settings::{plain_agent, transport_of};
use crate::{CacheMiddleware, Decompress};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use lacre::{Cache, Cookies, Driver};
use std::fmt;
use std::time::Duration;
use ureq::config::ConfigBuilder;
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, Error, Proxy, SendBody};

type Config = ConfigBuilder<AgentScope>;

/// Builds an agent with a cache.
///
/// From the caller to the network, a request passes default headers, redirects, the middleware
/// added by [`with`](Self::with), decompression, the cache, and a plain [`Agent`]. That agent adds
/// no headers that identify the caller, keeps no cookies, follows no redirects and asks for no
/// compression.
///
/// The configuration [of a request](ureq::RequestBuilder::config) and
/// [of the agent](Self::danger_configure) works as it does without a cache, with two exceptions:
/// there is no redirect history, and `User-Agent` is sent only if you set one.
#[must_use = "nothing is built before `build`"]
pub struct AgentBuilder {
    driver: Driver,
    headers: HeaderMap,
    above: Vec<Box<dyn FnOnce(Config) -> Config>>,
    settings: Vec<Box<dyn Fn(Config) -> Config>>,
    compression: Compression,
}

impl AgentBuilder {
    /// An agent around a cache, or around a [`Driver`], which also sets how long a request waits
    /// for an identical one, how many refreshes run at once, and how fast requests may go to the
    /// network.
    pub fn new(cache: impl Into<Driver>) -> Self {
        Self {
            driver: cache.into(),
            headers: HeaderMap::new(),
            above: Vec::new(),
            settings: Vec::new(),
            compression: Compression::Decode,
        }
    }

    /// Adds headers to every request that lacks them. Credentials among them partition the cache,
    /// as the request's own do.
    pub fn default_headers(mut self, headers: HeaderMap) -> Self {
        // `extend` replaces a header of the same name and keeps several values of one name.
        self.headers.extend(headers);
        self
    }

    /// Sets the `User-Agent` of every request that lacks one.
    pub fn user_agent(mut self, value: HeaderValue) -> Self {
        self.headers.insert(header::USER_AGENT, value);
        self
    }

    /// Limits the time from the start of a request to the end of its body. It includes redirects
    /// and the wait for an identical request. This is `timeout_global` of ureq.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.configured(move |config| config.timeout_global(Some(timeout)))
    }

    /// Limits how many redirects one request follows (10). One more is a
    /// [`TooManyRedirects`](ureq::Error::TooManyRedirects) error. With 0, a redirect is returned
    /// like any other response. A request's own
    /// [`max_redirects`](ureq::config::ConfigBuilder::max_redirects) overrides it.
    pub fn redirects(self, at_most: u32) -> Self {
        self.configured(move |config| config.max_redirects(at_most))
    }

    /// Neither asks for compressed responses nor decodes them.
    ///
    /// Without this, a request that has neither `Accept-Encoding` nor `Range` gets an
    /// `Accept-Encoding` with the codings that the features of this crate enable (`gzip` by
    /// default; `brotli`), and [`Decompress`](crate::Decompress) decodes them above the cache.
    pub fn no_compression(mut self) -> Self {
        self.compression = Compression::Off;
        self
    }

    /// Limits the time to establish a connection.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.configured(move |config| config.timeout_connect(Some(timeout)))
    }

    /// Limits the time between two reads from the network.
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.configured(move |config| config.timeout_per_read(Some(timeout)))
    }

    /// Sends requests through a proxy, or with `None` through no proxy. Without this, ureq uses the
    /// proxy of the environment. Credentials for the proxy do not partition the cache.
    pub fn proxy(self, proxy: Option<Proxy>) -> Self {
        self.configured(move |config| config.proxy(proxy.clone()))
    }

    /// Returns responses with a status of 400 and above like any other, instead of the
    /// [error](ureq::Error::StatusCode) that ureq makes of them by default.
    pub fn no_status_errors(self) -> Self {
        self.configured(|config| config.http_status_as_error(false))
    }

    /// Adds middleware directly above the cache, below the middleware added before. It sees every
    /// hop of a redirect, and the cache sees the headers it adds. Add middleware that signs
    /// requests here.
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.above.push(Box::new(|config| config.middleware(middleware)));
        self
    }

    /// Keeps cookies above the cache. A response that varies by `Cookie`, or has no lifetime, is
    /// stored for these cookies only. With
    /// [`Policy::partition_by_cookies`](lacre::Policy::partition_by_cookies), every response is.
    pub fn cookies(self, cookies: Cookies) -> Self {
        self.with(move |request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            with_cookies(&cookies, request, next)
        })
    }

    /// Changes any other setting of the ureq agent: certificates, pools, address families. A TLS
    /// configuration must name a crypto provider, because ureq is built without one. You promise to
    /// add no middleware: the cache would not see what it adds, and agents that differ in it would
    /// share responses.
    ///
    /// The cache sees which certificates the agent accepts and presents and which proxy it uses, in
    /// the configuration of the agent and of a request. Requests that differ in them never share a
    /// response.
    pub fn danger_configure(self, configure: impl Fn(Config) -> Config + 'static) -> Self {
        self.configured(configure)
    }

    fn configured(mut self, configure: impl Fn(Config) -> Config + 'static) -> Self {
        self.settings.push(Box::new(configure));
        self
    }

    /// The cache that the agent is built around.
    pub(crate) fn cache(&self) -> &Cache {
        self.driver.cache()
    }

    /// Builds the agent. Middleware can no longer be added to it.
    pub fn build(self) -> Agent {
        // One value for all agents: they share connections only if they share it.
        let tls = tls();
        let config = || {
            let config = with_tls(Agent::config_builder(), &tls);
            self.settings.iter().fold(config, |config, change| change(config))
        };
        let settings = plain_agent(config()).build();
        let transport = transport_of(&settings);
        let cache = CacheMiddleware::above(settings.new_agent(), self.driver, transport);
        let mut above = self.above.into_iter().fold(plain_agent(config()), |config, add| add(config));
        if self.compression == Compression::Decode {
            above = above.middleware(Decompress);
        }
        let cached = above.middleware(cache).build().new_agent();
        let follow = FollowRedirects::new(self.headers, cached, config().build(), self.compression);
        config().middleware(follow).build().new_agent()
    }
}

/// The crypto provider of lacre, and the certificates that the platform trusts.
#[cfg(feature = "rustls")]
fn tls() -> ureq::tls::TlsConfig {
    use std::sync::Arc;
    use ureq::tls::{RootCerts, TlsConfig};

    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier);
    tls.unversioned_rustls_crypto_provider(provider).build()
}

#[cfg(feature = "rustls")]
fn with_tls(config: Config, tls: &ureq::tls::TlsConfig) -> Config {
    config.tls_config(tls.clone())
}

#[cfg(not(feature = "rustls"))]
fn tls() {}

#[cfg(not(feature = "rustls"))]
fn with_tls(config: Config, (): &()) -> Config {
    config
}

fn with_cookies(
    cookies: &Cookies,
    mut request: Request<SendBody<'_>>,
    next: MiddlewareNext<'_>,
) -> Result<Response<Body>, Error> {
    // ureq reports a URI that is not a URL.
    let Ok(url) = request.uri().to_string().parse() else { return next.handle(request) };
    cookies.add_to(&url, request.headers_mut());
    let response = next.handle(request)?;
    cookies.learn(&url, response.headers(), response.extensions().get());
    Ok(response)
}

/// Omits the headers and the transport, which may hold secrets.
impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder").finish_non_exhaustive()
    }
}
