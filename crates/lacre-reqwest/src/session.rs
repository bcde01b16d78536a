//! A client with its cache and its cookies.

use crate::ClientBuilder;
use futures_util::Stream;
use http::Method;
use lacre::{Cache, Cookies, Driver, Error, Selected, Selection};
use reqwest::IntoUrl;
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};

/// A client with cookies and a cache, and methods to select and invalidate stored responses.
///
/// The session itself adds the cookies to requests, so the cache sees them. Clones are the same
/// session.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lacre::{Cache, RequestOptions, Selection, store::Memory};
/// use lacre_reqwest::CachedSession;
///
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # tokio::spawn(async move {
/// #     use tokio::io::{AsyncReadExt, AsyncWriteExt};
/// #     let (mut connection, _) = listener.accept().await.unwrap();
/// #     let _ = connection.read(&mut [0; 4096]).await.unwrap();
/// #     let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\n";
/// #     connection.write_all(format!("{head}hello").as_bytes()).await.unwrap();
/// # });
/// let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
/// let session = CachedSession::new(cache)?;
/// let news = RequestOptions::new().tag("news");
/// assert_eq!(session.get(&url).with_extension(news).send().await?.text().await?, "hello");
/// assert_eq!(session.invalidate(&Selection::all().tag("news")).await?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct CachedSession {
    client: ClientWithMiddleware,
    cache: Cache,
    cookies: Cookies,
}

impl ClientBuilder {
    /// Builds a client together with its cache and its cookies.
    ///
    /// # Errors
    /// See [`build`](Self::build).
    pub fn session(self) -> reqwest::Result<CachedSession> {
        let (cache, cookies) = (self.cache().clone(), Cookies::new());
        Ok(CachedSession { client: self.cookies(cookies.clone()).build()?, cache, cookies })
    }
}

impl CachedSession {
    /// A session without cookies around a cache. Use [`ClientBuilder::session`] to set default
    /// headers, timeouts and more.
    ///
    /// # Errors
    /// See [`ClientBuilder::build`].
    pub fn new(cache: impl Into<Driver>) -> reqwest::Result<Self> {
        ClientBuilder::new(cache).session()
    }

    /// The client that sends the requests.
    #[must_use]
    pub fn client(&self) -> &ClientWithMiddleware {
        &self.client
    }

    /// The cache that answers them.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The cookies that the session has received.
    #[must_use]
    pub fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    /// Starts a GET request.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Starts a HEAD request.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// Starts a POST request.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Starts a request with any method.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// The stored responses that `selection` matches; see [`Cache::select`].
    pub fn select(&self, selection: Selection) -> impl Stream<Item = Result<Selected, Error>> + Send + '_ {
        self.cache.select(selection)
    }

    /// Removes the stored responses that `selection` matches, and returns their number; see
    /// [`Cache::invalidate`].
    ///
    /// # Errors
    /// The store failed; some responses may have been removed.
    pub async fn invalidate(&self, selection: &Selection) -> Result<u64, Error> {
        self.cache.invalidate(selection).await
    }
}
