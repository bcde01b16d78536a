//! An agent with its cache and its cookies.

use crate::AgentBuilder;
use futures_util::StreamExt;
use lacre::{Cache, Cookies, Driver, Error, Selected, Selection, wait};
use std::fmt;
use std::iter;
use ureq::Agent;

/// An agent with cookies and a cache, and methods to select and invalidate stored responses.
///
/// The session itself adds the cookies to requests, so the cache sees them. Clones are the same
/// session.
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
/// #     let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 5\r\n\r\n";
/// #     connection.write_all(format!("{head}hello").as_bytes()).unwrap();
/// # });
/// let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
/// let session = CachedSession::new(cache);
/// let news = RequestOptions::new().tag("news");
/// let mut response = session.agent().get(&url).extension(news).call()?;
/// assert_eq!(response.body_mut().read_to_string()?, "hello");
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

impl AgentBuilder {
    /// Builds an agent together with its cache and its cookies.
    pub fn session(self) -> CachedSession {
        let (cache, cookies) = (self.cache().clone(), Cookies::new());
        CachedSession { agent: self.cookies(cookies.clone()).build(), cache, cookies }
    }
}

impl CachedSession {
    /// A session without cookies around a cache. Use [`AgentBuilder::session`] to set default
    /// headers, timeouts and more.
    #[must_use]
    pub fn new(cache: impl Into<Driver>) -> Self {
        AgentBuilder::new(cache).session()
    }

    /// The agent that sends the requests.
    #[must_use]
    pub fn agent(&self) -> &Agent {
        &self.agent
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

    /// The stored responses that `selection` matches, each read as the iterator reaches it; see
    /// [`Cache::select`].
    pub fn select(&self, selection: Selection) -> impl Iterator<Item = Result<Selected, Error>> + '_ {
        let mut selected = Box::pin(self.cache.select(selection));
        iter::from_fn(move || wait(selected.next()))
    }

    /// Removes the stored responses that `selection` matches, and returns their number; see
    /// [`Cache::invalidate`].
    ///
    /// # Errors
    /// The store failed; some responses may have been removed.
    pub fn invalidate(&self, selection: &Selection) -> Result<u64, Error> {
        wait(self.cache.invalidate(selection))
    }
}

/// Omits the settings of the agent, which may hold secrets.
impl fmt::Debug for CachedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedSession").finish_non_exhaustive()
    }
}
