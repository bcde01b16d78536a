//! A client, its cache and its cookies, in one.

use crate::ClientBuilder;
use futures_util::Stream;
use http::Method;
use lacre::{Cache, Cookies, Driver, Error, Selected, Selection};
use reqwest::IntoUrl;
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};

/// A client that keeps cookies and answers from a cache, with the means to look after what is stored. It owns all that it adds to a request,
/// so the cache sees it. Clones are the same session.
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
/// #     let answer = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\nhello";
/// #     connection.write_all(answer).await.unwrap();
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

impl CachedSession {
    /// A session around a cache, without cookies yet. [`ClientBuilder::session`] makes one with default headers, timeouts and more.
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn new(cache: impl Into<Driver>) -> reqwest::Result<Self> {
        ClientBuilder::new(cache).session()
    }

    pub(crate) fn of(builder: ClientBuilder) -> reqwest::Result<Self> {
        let (cache, cookies) = (builder.cache().clone(), Cookies::new());
        Ok(Self { client: builder.cookies(cookies.clone()).build()?, cache, cookies })
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &ClientWithMiddleware {
        &self.client
    }

    /// The cache.
    #[must_use]
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The cookies.
    #[must_use]
    pub fn cookies(&self) -> &Cookies {
        &self.cookies
    }

    /// Begins a GET.
    pub fn get(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// Begins a HEAD.
    pub fn head(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::HEAD, url)
    }

    /// Begins a POST.
    pub fn post(&self, url: impl IntoUrl) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// Begins a request with any method.
    pub fn request(&self, method: Method, url: impl IntoUrl) -> RequestBuilder {
        self.client.request(method, url)
    }

    /// What is meant of what is stored; see [`Cache::select`].
    pub fn select(&self, selection: Selection) -> impl Stream<Item = Result<Selected, Error>> + Send + '_ {
        self.cache.select(selection)
    }

    /// Takes away what is meant, and says how many responses that were; see [`Cache::invalidate`].
    ///
    /// # Errors
    /// The store fails; some may be gone.
    pub async fn invalidate(&self, selection: &Selection) -> Result<u64, Error> {
        self.cache.invalidate(selection).await
    }
}
