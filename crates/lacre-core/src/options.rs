//! Options of a single request. They are an extension of the request.

use crate::Expire;
use std::fmt;
use std::time::Duration;

/// The options of one request. Insert them into its extensions.
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

/// Shows neither the tags nor the partition, which may identify a person.
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

/// The use of the cache for one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// The cache follows the policy.
    #[default]
    Default,
    /// A stored response is validated before it is used (request `no-cache`).
    Refresh,
    /// The response is fetched without conditions and stored.
    ForceRefresh,
    /// The request is answered from the cache or with 504 (request `only-if-cached`).
    OnlyIfCached,
    /// The cache is neither read nor written.
    Bypass,
}

impl RequestOptions {
    /// Creates options that change nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the lifetime of the response.
    #[must_use]
    pub fn ttl(mut self, expire: impl Into<Expire>) -> Self {
        self.ttl = Some(expire.into());
        self
    }

    /// Sets the use of the cache.
    #[must_use]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Accepts a response that has been stale for at most this long (request `max-stale`).
    #[must_use]
    pub fn max_stale(mut self, staleness: Duration) -> Self {
        self.max_stale = Some(staleness);
        self
    }

    /// Adds a tag to the stored response, for invalidation in groups.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Names the requester, if the headers do not. Requests with different partitions share
    /// nothing.
    #[must_use]
    pub fn partition(mut self, partition: impl Into<String>) -> Self {
        self.partition = Some(partition.into());
        self
    }
}
