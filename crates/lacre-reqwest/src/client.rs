//! A client whose headers the cache can see: it adds above the cache what reqwest would add below.

use crate::{CacheMiddleware, Decompress, FollowRedirects};
use async_trait::async_trait;
use http::{Extensions, HeaderMap, HeaderValue, header};
use lacre::{Cache, Cookies, Driver, Hop, Transport, add_default_headers, unseen_id};
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
/// From the caller to the network, a request passes default headers and the timeout, redirects, the
/// middleware added by [`with`](Self::with), decompression, the cache, and a plain
/// [`reqwest::Client`]. That client adds no headers that identify the caller, keeps no cookies,
/// follows no redirects and decodes no bodies.
///
/// Middleware added to the finished client runs below the cache. It must not add credentials, and
/// it does not see background refreshes.
#[must_use = "nothing is built before `build`"]
pub struct ClientBuilder {
    driver: Driver,
    headers: HeaderMap,
    above: Vec<Arc<dyn Middleware>>,
    client: reqwest::ClientBuilder,
    timeout: Option<Duration>,
    redirects: Option<usize>,
    compression: Compression,
    /// The redirect policy that `new` gives to `client` holds the other reference. If that is gone,
    /// the caller has set another policy.
    default_redirect_policy: Arc<()>,
    /// How the client reaches origins, as far as this builder set it.
    transport: Transport,
    /// Replaces `transport` where the caller declared it.
    assumed_transport: Option<Transport>,
}

/// Whether the client asks for compressed responses and decodes them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compression {
    Decode,
    Off,
}

impl ClientBuilder {
    /// A client around a cache, or around a [`Driver`], which also sets how long a request waits
    /// for an identical one, how many refreshes run at once, and how fast requests may go to the
    /// network.
    pub fn new(cache: impl Into<Driver>) -> Self {
        // reqwest adds it by itself, below the cache; then the cache could not see that a response
        // varies by it.
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static("*/*"))]);
        let default_redirect_policy = Arc::new(());
        let held = Arc::clone(&default_redirect_policy);
        let policy = redirect::Policy::custom(move |attempt| {
            let _held = &held;
            attempt.stop()
        });
        Self {
            driver: cache.into(),
            headers,
            above: Vec::new(),
            client: reqwest::Client::builder().redirect(policy),
            timeout: None,
            redirects: None,
            compression: Compression::Decode,
            default_redirect_policy,
            transport: lacre::config::transport(),
            assumed_transport: None,
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
    /// and the wait for an identical request. A request's own
    /// [timeout](reqwest::RequestBuilder::timeout) overrides it.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Limits how many redirects one request follows (10). One more is a
    /// [`TooManyRedirects`](lacre::TooManyRedirects) error. With 0, a redirect is returned like any
    /// other response.
    pub fn redirects(mut self, at_most: usize) -> Self {
        self.redirects = Some(at_most);
        self
    }

    /// Neither asks for compressed responses nor decodes them.
    ///
    /// Without this, a request that has neither `Accept-Encoding` nor `Range` gets an
    /// `Accept-Encoding` with the codings that the features of this crate enable (`gzip` by
    /// default; `brotli`, `zstd`, `deflate`), and [`Decompress`](crate::Decompress) decodes them
    /// above the cache.
    pub fn no_compression(mut self) -> Self {
        self.compression = Compression::Off;
        self
    }

    /// Limits the time to establish a connection.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.connect_timeout(timeout);
        self
    }

    /// Limits the time between two reads from the network.
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.client = self.client.read_timeout(timeout);
        self
    }

    /// Sends requests through a proxy. Credentials for the proxy do not partition the cache.
    /// Responses to `http` URLs are stored apart, because a proxy can forge them.
    pub fn proxy(mut self, proxy: reqwest::Proxy) -> Self {
        self.transport = self.transport.proxy(format!("{proxy:?}"));
        self.client = self.client.proxy(proxy);
        self
    }

    /// Ignores the proxy of the environment.
    pub fn no_proxy(mut self) -> Self {
        self.transport = self.transport.no_proxy();
        self.client = self.client.no_proxy();
        self
    }

    /// Trusts these root certificates, in PEM, and no others. Responses are stored apart from those
    /// that the platform's roots vouch for.
    ///
    /// # Errors
    /// `pem` is not a list of certificates.
    #[cfg(feature = "rustls")]
    pub fn root_certificates(mut self, pem: &[u8]) -> reqwest::Result<Self> {
        self.client = self.client.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem)?);
        self.transport = self.transport.roots([pem]);
        Ok(self)
    }

    /// Presents a client certificate, in PEM with its private key. Responses are stored for this
    /// certificate alone.
    ///
    /// # Errors
    /// `pem` has no certificate or no private key.
    #[cfg(feature = "rustls")]
    pub fn client_certificate(mut self, pem: &[u8]) -> reqwest::Result<Self> {
        self.client = self.client.identity(reqwest::Identity::from_pem(pem)?);
        self.transport = self.transport.client_certificate_pem(pem);
        Ok(self)
    }

    /// Accepts any certificate, for any host and at any time, so anybody on the path can answer.
    /// Responses are stored apart and never served to a client that verifies certificates.
    #[cfg(feature = "rustls")]
    pub fn danger_accept_invalid_certificates(mut self) -> Self {
        self.client = self.client.tls_danger_accept_invalid_certs(true);
        self.transport = self.transport.unverified();
        self
    }

    /// Connects to `address` for URLs of `host`, at the port of the URL if it names one. Responses
    /// are stored apart.
    pub fn resolve(mut self, host: &str, address: SocketAddr) -> Self {
        self.client = self.client.resolve(host, address);
        self.transport = self.transport.route(format!("resolve:{host}={address}"));
        self
    }

    /// Connects to a Unix socket for every URL. Responses are stored apart.
    #[cfg(unix)]
    pub fn unix_socket(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        self.client = self.client.unix_socket(path);
        self.transport = self.transport.route(format!("unix:{}", path.display()));
        self
    }

    /// Adds middleware directly above the cache, below the middleware added before. It sees every
    /// hop of a redirect, and the cache sees the headers it adds. Add middleware that signs
    /// requests here.
    pub fn with(mut self, middleware: impl Middleware) -> Self {
        self.above.push(Arc::new(middleware));
        self
    }

    /// Keeps cookies above the cache. A response that varies by `Cookie`, or has no lifetime, is
    /// stored for these cookies only. With
    /// [`Policy::partition_by_cookies`](lacre::Policy::partition_by_cookies), every response is.
    pub fn cookies(self, cookies: Cookies) -> Self {
        self.with(KeepsCookies(cookies))
    }

    /// Changes any other setting of the reqwest client: resolvers, pools, TLS. You promise to add
    /// neither default headers nor cookies: the cache would not see them, and clients that differ
    /// in them would share responses.
    ///
    /// From then on, the cache cannot see which certificates the client accepts or presents, nor
    /// where it connects. Responses that this client stores are therefore served to this client
    /// alone, for as long as it lives, unless you call
    /// [`danger_assume_transport`](Self::danger_assume_transport).
    ///
    /// A redirect policy set here applies unless [`redirects`](Self::redirects) is called. It
    /// follows redirects below the cache, and those responses are not stored. A timeout set here
    /// applies to each hop on the network; [`timeout`](Self::timeout) covers the whole request.
    /// Compression settings have no effect, because bodies are decoded above the cache: see
    /// [`no_compression`](Self::no_compression).
    pub fn danger_configure(
        mut self,
        configure: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        self.client = configure(self.client);
        self.transport = self.transport.unseen(unseen_id());
        self
    }

    /// Declares how the client reaches origins, where [`danger_configure`](Self::danger_configure)
    /// hides it. Clients with equal transports share responses.
    ///
    /// Use [`Transport::standard`] if your configuration changes neither the certificates that are
    /// accepted or presented nor the place that connections lead to. Use a
    /// [name](Transport::named) for clients that are configured alike.
    pub fn danger_assume_transport(mut self, transport: Transport) -> Self {
        self.assumed_transport = Some(transport);
        self
    }

    /// How the client reaches origins, as the cache will see it.
    pub fn transport(&self) -> Transport {
        self.assumed_transport.clone().unwrap_or_else(|| self.transport.clone())
    }

    /// The cache that the client is built around.
    pub(crate) fn cache(&self) -> &Cache {
        self.driver.cache()
    }

    /// Builds the client.
    ///
    /// # Errors
    /// reqwest cannot build its client, for instance because no TLS backend can be set up.
    pub fn build(self) -> reqwest::Result<ClientWithMiddleware> {
        let transport = self.transport();
        let own_redirect_policy = Arc::strong_count(&self.default_redirect_policy) == 1;
        let (client, followed) = match self.redirects {
            None if own_redirect_policy => (self.client, 0),
            redirects => {
                (self.client.redirect(redirect::Policy::none()), redirects.unwrap_or(Hop::DEFAULT_LIMIT))
            }
        };
        let client = client.no_gzip().no_brotli().no_zstd().no_deflate().build()?;
        let accepted = Decompress::accepted().filter(|_| self.compression == Compression::Decode);
        let defaults = Defaults { headers: self.headers, timeout: self.timeout, accepted: accepted.clone() };
        let mut stack: Vec<Arc<dyn Middleware>> =
            vec![Arc::new(defaults), Arc::new(FollowRedirects::at_most(followed))];
        stack.extend(self.above);
        if accepted.is_some() {
            stack.push(Arc::new(Decompress));
        }
        stack.push(Arc::new(CacheMiddleware::above(client.clone(), self.driver, transport)));
        Ok(ClientWithMiddleware::new(client, stack))
    }
}

/// Adds cookies to requests, and stores those of responses.
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

/// Omits the headers and the transport, which may hold secrets.
impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder").finish_non_exhaustive()
    }
}

/// Adds the headers and the timeout that a request lacks.
struct Defaults {
    headers: HeaderMap,
    timeout: Option<Duration>,
    /// The value of `Accept-Encoding`.
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
        add_default_headers(headers, &self.headers);
        if let Some(accepted) = &self.accepted
            && !headers.contains_key(header::ACCEPT_ENCODING)
            && !headers.contains_key(header::RANGE)
        {
            headers.insert(header::ACCEPT_ENCODING, accepted.clone());
        }
        next.run(request, extensions).await
    }
}
