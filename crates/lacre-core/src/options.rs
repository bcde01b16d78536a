//! What the user wishes for a single request. It travels with the request, as an extension.

use crate::Expire;
use std::fmt;
use std::time::Duration;

/// Wishes for one request; put it into the request's extensions.
///
/// ```
/// # use lacre_core::{Mode, RequestOptions};
/// # use std::time::Duration;
/// let mut request = http::Request::get("https://example.com/").body(()).unwrap();
/// request.extensions_mut().insert(RequestOptions::new().ttl(Duration::from_secs(60)).mode(Mode::Refresh));
/// ```
#[derive(Clone, Default)]
pub struct RequestOptions {
    pub(crate) ttl: Option<Expire>,
    pub(crate) mode: Mode,
    pub(crate) max_stale: Option<Duration>,
    pub(crate) tags: Vec<String>,
    pub(crate) partition: Option<String>,
}

/// Without the tags and the partition, which may name a person.
impl fmt::Debug for RequestOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestOptions")
            .field("ttl", &self.ttl)
            .field("mode", &self.mode)
            .field("max_stale", &self.max_stale)
            .field("tags", &self.tags.len())
            .field("partition", &self.partition.is_some())
            .finish()
    }
}

/// How one request uses the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// By the rules.
    #[default]
    Default,
    /// Validates a stored response before it is used (request `no-cache`).
    Refresh,
    /// Fetches anew, without conditions, and stores the answer.
    ForceRefresh,
    /// Answers from the cache or with 504 (request `only-if-cached`).
    OnlyIfCached,
    /// Neither reads nor stores.
    Bypass,
}

impl RequestOptions {
    /// No wishes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The lifetime of the answer to this request.
    #[must_use]
    pub fn ttl(mut self, expire: impl Into<Expire>) -> Self {
        self.ttl = Some(expire.into());
        self
    }

    /// How this request uses the cache.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Accepts an answer that is stale by at most this much (request `max-stale`).
    #[must_use]
    pub fn max_stale(mut self, staleness: Duration) -> Self {
        self.max_stale = Some(staleness);
        self
    }

    /// A label for the stored answer, to invalidate it in a group.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// On whose behalf the request is made, where its headers do not tell. Requests with different partitions share nothing.
    #[must_use]
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = Some(partition.into());
        self
    }
}
