//! A client whose headers the cache can see: what reqwest would add below it is added above it.

use crate::{CacheMiddleware, CachedSession, FollowRedirects};
use async_trait::async_trait;
use http::{Extensions, HeaderMap, HeaderValue, header};
use lacre::{Cache, Cookies, Driver};
use reqwest::{Request, Response, redirect};
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Builds a client with a cache.
///
/// From the caller to the network: default headers, redirects, what was added [`with`](Self::with), the cache, and a plain
/// [`reqwest::Client`] which adds no headers that tell who asks, keeps no cookies, follows no redirects and decodes no bodies. Middleware
/// that is added to the finished client lies below the cache: it must not add credentials, and does not see background refreshes.
#[must_use = "nothing is built before `build`"]
pub struct ClientBuilder {
    driver: Driver,
    headers: HeaderMap,
    above: Vec<Arc<dyn Middleware>>,
    transport: reqwest::ClientBuilder,
}

impl ClientBuilder {
    /// A client that answers from a cache, driven by the defaults or as a [`Driver`] says: how long requests wait for others that want the
    /// same, how many refreshes run at once, how fast requests may go to the network.
    pub fn new(cache: impl Into<Driver>) -> Self {
        // What reqwest would add by itself, where the cache cannot see that a response varies by it.
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("*/*"))]);
        Self { driver: cache.into(), headers, above: Vec::new(), transport: reqwest::Client::builder() }
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

    /// How long the network may take for one hop of a request, from its start to the end of its body.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.transport = self.transport.timeout(timeout);
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

    /// Sends requests through a proxy. Credentials for the proxy are none for the origin, and do not partition the cache.
    pub fn proxy(mut self, proxy: reqwest::Proxy) -> Self {
        self.transport = self.transport.proxy(proxy);
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

    /// Anything else that reqwest can be told: certificates, resolvers, pools. You promise to add no default headers, cookies or client
    /// certificates there, because the cache would not see them, and clients that differ in them would share answers.
    pub fn danger_configure(
        mut self,
        configure: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        self.transport = configure(self.transport);
        self
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
        let transport = self.transport.redirect(redirect::Policy::none());
        let client = transport.no_gzip().no_brotli().no_zstd().no_deflate().build()?;
        let mut stack: Vec<Arc<dyn Middleware>> =
            vec![Arc::new(DefaultHeaders(self.headers)), Arc::new(FollowRedirects)];
        stack.extend(self.above);
        stack.push(Arc::new(CacheMiddleware::above(client.clone(), self.driver)));
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

/// Adds headers that a request does not have.
struct DefaultHeaders(HeaderMap);

#[async_trait]
impl Middleware for DefaultHeaders {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let headers = request.headers_mut();
        for name in self.0.keys() {
            if !headers.contains_key(name) {
                headers.extend(self.0.get_all(name).iter().map(|value| (name.clone(), value.clone())));
            }
        }
        next.run(request, extensions).await
    }
}
