//! A client whose headers the cache can see: what reqwest would add below it is added above it.

use crate::{CacheMiddleware, CachedSession, Decompress, FollowRedirects};
use async_trait::async_trait;
use http::{Extensions, HeaderMap, HeaderValue, header};
use lacre::{Cache, Cookies, Driver, Hop, Transport, unseen_id};
use reqwest::{Request, Response, redirect};
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next, Result};
use std::fmt;
use std::net::SocketAddr;
#[cfg(unix)]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Builds a client with a cache.
///
/// From the caller to the network: default headers and the timeout, redirects, what was added [`with`](Self::with), decompression, the cache,
/// and a plain [`reqwest::Client`] which adds no headers that tell who asks, keeps no cookies, follows no redirects and decodes no bodies.
/// Middleware that is added to the finished client lies below the cache: it must not add credentials, and does not see background refreshes.
#[must_use = "nothing is built before `build`"]
pub struct ClientBuilder {
    driver: Driver,
    headers: HeaderMap,
    above: Vec<Arc<dyn Middleware>>,
    transport: reqwest::ClientBuilder,
    timeout: Option<Duration>,
    redirects: Option<usize>,
    compression: Compression,
    /// Shared with the transport's own policy of redirects, for as long as nobody sets another one.
    untouched: Arc<()>,
    /// How it reaches origins, as far as that was said here, or else is assumed.
    way: Transport,
    assumed: Option<Transport>,
}

/// Whether compressed responses are asked for, and decoded.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Decoded,
    None,
}

impl ClientBuilder {
    /// A client that answers from a cache, driven by the defaults or as a [`Driver`] says: how long requests wait for others that want the
    /// same, how many refreshes run at once, how fast requests may go to the network.
    pub fn new(cache: impl Into<Driver>) -> Self {
        // What reqwest would add by itself, where the cache cannot see that a response varies by it.
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("*/*"))]);
        let untouched = Arc::new(());
        let held = Arc::clone(&untouched);
        let policy = redirect::Policy::custom(move |attempt| {
            let _held = &held;
            attempt.stop()
        });
        Self {
            driver: cache.into(),
            headers,
            above: Vec::new(),
            transport: reqwest::Client::builder().redirect(policy),
            timeout: None,
            redirects: None,
            compression: Compression::Decoded,
            untouched,
            way: lacre::config::transport(),
            assumed: None,
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

    /// How long a request may take that has no [timeout](reqwest::RequestBuilder::timeout) itself, from its start to the end of its body: with
    /// all redirects, and with what it waits for others that want the same.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How many redirects are followed for one request (10); the next is [`TooManyRedirects`](lacre::TooManyRedirects). With none, redirects
    /// are responses like others.
    pub fn redirects(mut self, at_most: usize) -> Self {
        self.redirects = Some(at_most);
        self
    }

    /// Asks for no compressed responses, and decodes none. Otherwise requests that have no `Accept-Encoding` and no `Range` get one that names
    /// what the features of this crate can decode (`gzip` by default; `brotli`, `zstd`, `deflate`), and whatever comes in one of these codings
    /// is [decoded](crate::Decompress) above the cache.
    pub fn no_compression(mut self) -> Self {
        self.compression = Compression::None;
        self
    }

    /// How long a connection may take to come about.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.transport = self.transport.connect_timeout(timeout);
        self
    }

    /// How long the network may be silent.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.transport = self.transport.read_timeout(timeout);
        self
    }

    /// Sends requests through a proxy. Credentials for the proxy are none for the origin. What came through it for an `http` URL is kept apart,
    /// because a proxy can make such answers up.
    pub fn proxy(mut self, proxy: reqwest::Proxy) -> Self {
        self.way = self.way.proxy(format!("{proxy:?}"));
        self.transport = self.transport.proxy(proxy);
        self
    }

    /// Sends requests through no proxy, where reqwest would take one from the environment.
    pub fn no_proxy(mut self) -> Self {
        self.way = self.way.no_proxy();
        self.transport = self.transport.no_proxy();
        self
    }

    /// Trusts these certificates and no others, in PEM. What they vouch for is stored apart from what the platform's roots do.
    ///
    /// # Errors
    /// They cannot be read.
    #[cfg(feature = "rustls")]
    pub fn root_certificates(mut self, pem: &[u8]) -> reqwest::Result<Self> {
        self.transport = self.transport.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?);
        self.way = self.way.roots([pem]);
        Ok(self)
    }

    /// Shows a client certificate, in PEM with its private key. What is answered to it is stored for it alone.
    ///
    /// # Errors
    /// It cannot be read, or there is no private key.
    #[cfg(feature = "rustls")]
    pub fn client_certificate(mut self, pem: &[u8]) -> reqwest::Result<Self> {
        self.transport = self.transport.identity(reqwest::Identity::from_pem(pem)?);
        self.way = self.way.client_certificate_pem(pem);
        Ok(self)
    }

    /// Accepts any certificate, for any host and at any time: whoever is on the way can answer. What they answer is stored apart, and never
    /// served to a client that verifies.
    #[cfg(feature = "rustls")]
    pub fn danger_accept_invalid_certificates(mut self) -> Self {
        self.transport = self.transport.tls_danger_accept_invalid_certs(true);
        self.way = self.way.unverified();
        self
    }

    /// Connects to `address` where a URL names `host`, at the port of the URL if it has one. What is answered there is stored apart.
    pub fn resolve(mut self, host: &str, address: SocketAddr) -> Self {
        self.transport = self.transport.resolve(host, address);
        self.way = self.way.way(format!("resolve:{host}={address}"));
        self
    }

    /// Connects to a Unix socket, whatever host a URL names. What is answered there is stored apart.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        self.transport = self.transport.unix_socket(path);
        self.way = self.way.way(format!("unix:{}", path.display()));
        self
    }

    /// Adds middleware directly above the cache, below what was added before. It sees every hop of a redirect, and the cache sees what it
    /// adds: this is the place for what signs requests.
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.above.push(Arc::new(middleware));
        self
    }

    /// Keeps cookies, above the cache. What varies by `Cookie`, or has no lifetime, is stored for these cookies only
    /// ([`Policy::partition_by_cookies`](lacre::Policy::partition_by_cookies): everything is).
    pub fn cookies(self, cookies: Cookies) -> Self {
        self.with(KeepsCookies(cookies))
    }

    /// Anything else that reqwest can be told: resolvers, pools, TLS. You promise to add no default headers and no cookies there, because the
    /// cache would not see them, and clients that differ in them would share answers.
    ///
    /// Nor does it see which certificates the client accepts or shows from then on, and where it connects to. So what the client stores is served
    /// to this client alone, as long as it lives, unless you say otherwise with [`danger_assume_transport`](Self::danger_assume_transport).
    ///
    /// A policy of redirects that is set there holds, unless [`redirects`](Self::redirects) says otherwise. What it follows is followed below
    /// the cache, and not stored. A timeout holds for the network alone, hop by hop: [`timeout`](Self::timeout) covers all of a request.
    /// Compression that is switched on or off there has no effect, as bodies are decoded above the cache: see
    /// [`no_compression`](Self::no_compression).
    pub fn danger_configure(
        mut self,
        configure: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        self.transport = configure(self.transport);
        self.way = self.way.unseen(unseen_id());
        self
    }

    /// How the client reaches origins, where [`danger_configure`](Self::danger_configure) hides it: [`Transport::usual`] where what you configured
    /// changes neither which certificates are accepted or shown nor where connections lead; or a [name](Transport::named), for clients
    /// that are configured alike. Clients with equal transports share answers.
    pub fn danger_assume_transport(mut self, transport: Transport) -> Self {
        self.assumed = Some(transport);
        self
    }

    /// How the client reaches origins, as far as the cache is told.
    pub fn transport(&self) -> Transport {
        self.assumed.clone().unwrap_or_else(|| self.way.clone())
    }

    /// The client, its cache and its cookies, in one.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn session(self) -> reqwest::Result<CachedSession> {
        CachedSession::of(self)
    }

    /// The cache that it is built around.
    pub(crate) fn cache(&self) -> &Cache {
        self.driver.cache()
    }

    /// The client.
    ///
    /// # Errors
    /// reqwest cannot build it, for instance because no TLS backend can be set up.
    pub fn build(self) -> reqwest::Result<ClientWithMiddleware> {
        let way = self.transport();
        let follows_below = self.redirects.is_none() && Arc::strong_count(&self.untouched) == 1;
        let (transport, followed) = match self.redirects {
            None if follows_below => (self.transport, 0),
            redirects => (self.transport.redirect(redirect::Policy::none()), redirects.unwrap_or(Hop::MOST)),
        };
        let client = transport.no_gzip().no_brotli().no_zstd().no_deflate().build()?;
        let accepted = Decompress::accepted().filter(|_| self.compression == Compression::Decoded);
        let defaults = Defaults { headers: self.headers, timeout: self.timeout, accepted: accepted.clone() };
        let mut stack: Vec<Arc<dyn Middleware>> =
            vec![Arc::new(defaults), Arc::new(FollowRedirects::at_most(followed))];
        stack.extend(self.above);
        if accepted.is_some() {
            stack.push(Arc::new(Decompress));
        }
        stack.push(Arc::new(CacheMiddleware::above(client.clone(), self.driver, way)));
        Ok(ClientWithMiddleware::new(client, stack))
    }
}

/// Adds cookies to requests, and learns them from responses.
struct KeepsCookies(Cookies);

#[async_trait]
impl Middleware for KeepsCookies {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let url = request.url().clone();
        self.0.add_to(&url, request.headers_mut());
        let response = next.run(request, extensions).await?;
        self.0.learn(&url, response.headers(), response.extensions().get());
        Ok(response)
    }
}

/// Neither the headers nor the settings of the transport, which may hold secrets.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").finish_non_exhaustive()
    }
}

/// Adds what a request does not have.
struct Defaults {
    headers: HeaderMap,
    timeout: Option<Duration>,
    /// As `Accept-Encoding`.
    accepted: Option<HeaderValue>,
}

#[async_trait]
impl Middleware for Defaults {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        if let (None, Some(timeout)) = (request.timeout(), self.timeout) {
            *request.timeout_mut() = Some(timeout);
        }
        let headers = request.headers_mut();
        for name in self.headers.keys() {
            if !headers.contains_key(name) {
                let values = self.headers.get_all(name).iter();
                headers.extend(values.map(|value| (name.clone(), value.clone())));
            }
        }
        if let Some(accepted) = &self.accepted
            && !headers.contains_key(header::ACCEPT_ENCODING)
            && !headers.contains_key(header::RANGE)
        {
            headers.insert(header::ACCEPT_ENCODING, accepted.clone());
        }
        next.run(request, extensions).await
    }
}
