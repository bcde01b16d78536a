//! An agent whose headers the cache can see: what ureq would add below it is added above it.

use crate::follow::Follow;
use crate::settings::{plain_agent, transport_of};
use crate::{CacheMiddleware, CachedSession, Decompress};
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
/// From the caller to the network: default headers, redirects, what was added [`with`](Self::with), decompression, the cache, and a plain
/// [`Agent`] which adds no headers that tell who asks, keeps no cookies, follows no redirects and asks for no compression. What a single
/// request is [configured](ureq::RequestBuilder::config) to do holds as it would without a cache, and so does what the agent is
/// [configured](Self::danger_configure) to do; but there is no history of redirects, and `User-Agent` is sent only where one was said.
#[must_use = "nothing is built before `build`"]
pub struct AgentBuilder {
    driver: Driver,
    headers: HeaderMap,
    above: Vec<Box<dyn FnOnce(Config) -> Config>>,
    settings: Vec<Box<dyn Fn(Config) -> Config>>,
    compression: Compression,
}

/// Whether compressed responses are asked for, and decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Decoded,
    None,
}

impl AgentBuilder {
    /// An agent that answers from a cache, driven by the defaults or as a [`Driver`] says: how long requests wait for others that want the
    /// same, how many refreshes run at once, how fast requests may go to the network.
    pub fn new(cache: impl Into<Driver>) -> Self {
        Self {
            driver: cache.into(),
            headers: HeaderMap::new(),
            above: Vec::new(),
            settings: Vec::new(),
            compression: Compression::Decoded,
        }
    }

    /// Headers of every request that does not have them itself. Credentials among them partition the cache, like those of a request.
    pub fn default_headers(mut self, headers: HeaderMap) -> Self {
        // `extend` replaces what has the same name, and keeps several values of one name.
        self.headers.extend(headers);
        self
    }

    /// The `User-Agent` of every request that does not have one itself.
    pub fn user_agent(mut self, value: HeaderValue) -> Self {
        self.headers.insert(header::USER_AGENT, value);
        self
    }

    /// How long a request may take, from its start to the end of its body: with all redirects, and with what it waits for others that want
    /// the same. ureq calls it `timeout_global`.
    pub fn timeout(self, timeout: Duration) -> Self {
        self.configured(move |config| config.timeout_global(Some(timeout)))
    }

    /// How many redirects are followed for one request (10); the next is [`TooManyRedirects`](ureq::Error::TooManyRedirects). With none,
    /// redirects are responses like others. A request may [say otherwise](ureq::config::ConfigBuilder::max_redirects).
    pub fn redirects(self, at_most: u32) -> Self {
        self.configured(move |config| config.max_redirects(at_most))
    }

    /// Asks for no compressed responses, and decodes none. Otherwise requests that have no `Accept-Encoding` and no `Range` get one that names
    /// what the features of this crate can decode (`gzip` by default; `brotli`), and whatever comes in one of these codings is
    /// [decoded](crate::Decompress) above the cache.
    pub fn no_compression(mut self) -> Self {
        self.compression = Compression::None;
        self
    }

    /// How long a connection may take to come about.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.configured(move |config| config.timeout_connect(Some(timeout)))
    }

    /// How long the network may be silent.
    pub fn read_timeout(self, timeout: Duration) -> Self {
        self.configured(move |config| config.timeout_per_read(Some(timeout)))
    }

    /// Sends requests through a proxy, or through none, where ureq would take one from the environment. Credentials for the proxy are none
    /// for the origin, and do not partition the cache.
    pub fn proxy(self, proxy: Option<Proxy>) -> Self {
        self.configured(move |config| config.proxy(proxy.clone()))
    }

    /// Makes responses with a status of 400 and above responses like others, where ureq would make them [errors](ureq::Error::StatusCode).
    pub fn any_status_is_a_response(self) -> Self {
        self.configured(|config| config.http_status_as_error(false))
    }

    /// Adds middleware directly above the cache, below what was added before. It sees every hop of a redirect, and the cache sees what it
    /// adds: this is the place for what signs requests.
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.above.push(Box::new(|config| config.middleware(middleware)));
        self
    }

    /// Keeps cookies, above the cache. What varies by `Cookie`, or has no lifetime, is stored for these cookies only
    /// ([`Policy::partition_by_cookies`](lacre::Policy::partition_by_cookies): everything is).
    pub fn cookies(self, cookies: Cookies) -> Self {
        self.with(move |request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            keeping_cookies(&cookies, request, next)
        })
    }

    /// Anything else that ureq can be told: certificates, pools, address families. A TLS configuration needs a provider of cryptography, as
    /// ureq is built without one. You promise to add no middleware there, because the cache would not see what it adds, and agents that
    /// differ in it would share answers.
    ///
    /// The cache sees which certificates the agent accepts and shows and which proxy it uses, and those of requests that are configured: requests
    /// that differ in them never share an answer.
    pub fn danger_configure(self, configure: impl Fn(Config) -> Config + 'static) -> Self {
        self.configured(configure)
    }

    fn configured(mut self, configure: impl Fn(Config) -> Config + 'static) -> Self {
        self.settings.push(Box::new(configure));
        self
    }

    /// The agent, its cache and its cookies, in one.
    pub fn session(self) -> CachedSession {
        CachedSession::of(self)
    }

    /// The cache that it is built around.
    pub(crate) fn cache(&self) -> &Cache {
        self.driver.cache()
    }

    /// The agent. Middleware cannot be added to it any more.
    pub fn build(self) -> Agent {
        // The same one for all, or they would not share connections.
        let tls = tls();
        let config = || {
            let begun = with_tls(Agent::config_builder(), &tls);
            self.settings.iter().fold(begun, |config, change| change(config))
        };
        let settings = plain_agent(config()).build();
        let way = transport_of(&settings);
        let cache = CacheMiddleware::above(settings.new_agent(), self.driver, way);
        let mut above = self.above.into_iter().fold(plain_agent(config()), |config, add| add(config));
        if self.compression == Compression::Decoded {
            above = above.middleware(Decompress);
        }
        let cached = above.middleware(cache).build().new_agent();
        let follow = Follow::new(self.headers, cached, config().build(), self.compression);
        config().middleware(follow).build().new_agent()
    }
}

/// The provider of cryptography that all of lacre has, and the certificates that the platform trusts.
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

fn keeping_cookies(
    cookies: &Cookies,
    mut request: Request<SendBody<'_>>,
    next: MiddlewareNext<'_>,
) -> Result<Response<Body>, Error> {
    // What is no URL is refused below.
    let Ok(url) = request.uri().to_string().parse() else { return next.handle(request) };
    cookies.add_to(&url, request.headers_mut());
    let response = next.handle(request)?;
    cookies.learn(&url, response.headers(), response.extensions().get());
    Ok(response)
}

/// Neither the headers nor the settings of the transport, which may hold secrets.
impl fmt::Debug for AgentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentBuilder").finish_non_exhaustive()
    }
}
