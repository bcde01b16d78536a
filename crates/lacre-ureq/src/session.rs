//! An agent, its cache and its cookies, in one.

use crate::AgentBuilder;
use futures_util::StreamExt;
use lacre::{Cache, Cookies, Driver, Error, Selected, Selection, wait};
use std::fmt;
use std::iter;
use ureq::Agent;

/// An agent that keeps cookies and answers from a cache, with the means to look after what is stored. It owns all that it adds to a request,
/// so the cache sees it. Clones are the same session.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use lacre::{Cache, RequestOptions, Selection, store::Memory};
/// use lacre_ureq::CachedSession;
///
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # std::thread::spawn(move || {
/// #     use std::io::{Read, Write};
/// #     let (mut connection, _) = listener.accept().unwrap();
/// #     let _ = connection.read(&mut [0; 4096]).unwrap();
/// #     let answer = b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\nhello";
/// #     connection.write_all(answer).unwrap();
/// # });
/// let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
/// let session = CachedSession::new(cache);
/// let news = RequestOptions::new().tag("news");
/// assert_eq!(session.agent().get(&url).extension(news).call()?.body_mut().read_to_string()?, "hello");
/// assert_eq!(session.invalidate(&Selection::all().tag("news"))?, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CachedSession {
    agent: Agent,
    cache: Cache,
    cookies: Cookies,
}

impl CachedSession {
    /// A session around a cache, without cookies yet. [`AgentBuilder::session`] makes one with default headers, timeouts and more.
    #[must_use]
    pub fn new(cache: impl Into<Driver>) -> Self {
        AgentBuilder::new(cache).session()
    }

    pub(crate) fn of(builder: AgentBuilder) -> Self {
        let (cache, cookies) = (builder.cache().clone(), Cookies::new());
        Self { agent: builder.cookies(cookies.clone()).build(), cache, cookies }
    }

    /// The agent, which asks.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
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

    /// What is meant of what is stored, read as it is asked for; see [`Cache::select`].
    pub fn select(&self, selection: Selection) -> impl Iterator<Item = Result<Selected, Error>> + '_ {
        let mut selected = Box::pin(self.cache.select(selection));
        iter::from_fn(move || wait(selected.next()))
    }

    /// Takes away what is meant, and says how many responses that were; see [`Cache::invalidate`].
    ///
    /// # Errors
    /// The store fails; some may be gone.
    pub fn invalidate(&self, selection: &Selection) -> Result<u64, Error> {
        wait(self.cache.invalidate(selection))
    }
}

/// The settings of the agent may hold secrets.
impl fmt::Debug for CachedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedSession").finish_non_exhaustive()
    }
}
