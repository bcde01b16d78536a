//! Selecting stored responses by URL, host, pattern, tag, freshness or a predicate.

use super::Listed;
use crate::codec::BodyHead;
use crate::storage::walk::Walk;
use crate::{Cache, Error};
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use lacre_core::{Entry, Freshness, Key, Policy, Slot, UrlPattern};
use lacre_seal::SealInfo;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// A conjunction of filters over stored responses. An empty selection matches every response.
///
/// Stored URLs are [redacted](Policy::redact_url), so filters by URL compare redacted URLs: two
/// URLs that differ only in a token both match.
#[derive(Clone, Default)]
#[must_use = "it selects nothing by itself"]
pub struct Selection(Vec<Condition>);

type Predicate = dyn Fn(&Entry<BodyHead>) -> bool + Send + Sync;

#[derive(Clone)]
enum Condition {
    Url(Url),
    Host(String),
    Fits(UrlPattern),
    Tag(String),
    Stale,
    Is(Arc<Predicate>),
}

/// A stored response that matches a selection.
#[derive(Debug)]
#[non_exhaustive]
pub struct Selected {
    /// The record's key.
    pub key: Key,
    /// The entry. [`Cache::stored`] opens its body.
    pub entry: Entry<BodyHead>,
    /// The seal.
    pub seal: SealInfo,
    /// Its freshness.
    pub freshness: Freshness,
}

impl Selection {
    /// Matches all responses.
    pub fn all() -> Self {
        Self::default()
    }

    /// Matches responses to requests for this URL, with any method and variant. A fragment is
    /// ignored.
    pub fn url(self, url: Url) -> Self {
        let mut url = url;
        url.set_fragment(None);
        self.and(Condition::Url(url))
    }

    /// Matches responses from this host, with any scheme and port.
    pub fn host(self, host: impl Into<String>) -> Self {
        self.and(Condition::Host(host.into()))
    }

    /// Matches responses whose URL fits the pattern.
    pub fn fits(self, pattern: UrlPattern) -> Self {
        self.and(Condition::Fits(pattern))
    }

    /// Matches responses with this [tag](crate::RequestOptions::tag).
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.and(Condition::Tag(tag.into()))
    }

    /// Matches stale responses.
    pub fn stale(self) -> Self {
        self.and(Condition::Stale)
    }

    /// Matches responses that satisfy the predicate.
    pub fn matching(self, is: impl Fn(&Entry<BodyHead>) -> bool + Send + Sync + 'static) -> Self {
        self.and(Condition::Is(Arc::new(is)))
    }

    fn and(mut self, condition: Condition) -> Self {
        self.0.push(condition);
        self
    }

    fn matches(&self, policy: &Policy, entry: &Entry<BodyHead>, freshness: &Freshness) -> bool {
        self.0.iter().all(|condition| match condition {
            Condition::Url(url) => policy.redact_url(url.as_str()) == entry.url,
            Condition::Host(host) => is_from(&entry.url, host),
            Condition::Fits(pattern) => pattern.matches(&entry.url),
            Condition::Tag(tag) => entry.tags.contains(tag),
            Condition::Stale => !freshness.is_fresh(),
            Condition::Is(is) => is(entry),
        })
    }
}

fn is_from(url: &str, host: &str) -> bool {
    let url = Url::parse(url).ok();
    url.is_some_and(|url| url.host_str().is_some_and(|found| found.eq_ignore_ascii_case(host)))
}

/// Leaves out the conditions, which may contain secrets.
impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection").field("conditions", &self.0.len()).finish_non_exhaustive()
    }
}

impl Cache {
    /// The stored responses that match `selection`, in no particular order, read page by page as
    /// the stream is polled. Records that do not open are left out; [`list`](Self::list) shows
    /// them. An item is an entry, or the failure of the store, which ends the stream.
    pub fn select(&self, selection: Selection) -> impl Stream<Item = Result<Selected, Error>> + Send + '_ {
        let pages = stream::try_unfold(
            (self.storage.vault.walk(), selection),
            move |(mut walk, selection)| async move {
                let page = self.selected(&mut walk, &selection).await?;
                Ok::<_, Error>(page.map(|page| (stream::iter(page).map(Ok), (walk, selection))))
            },
        );
        pages.try_flatten()
    }

    /// Removes the responses that match `selection`, so that they cannot be recovered, and returns
    /// their number. The next requests for them go to the origin.
    ///
    /// # Errors
    /// The store fails. Some responses may be removed by then.
    pub async fn invalidate(&self, selection: &Selection) -> Result<u64, Error> {
        let mut removed = 0;
        let mut walk = self.storage.vault.walk();
        while let Some(page) = self.selected(&mut walk, selection).await? {
            for selected in page {
                removed += u64::from(self.remove(&selected.key).await?);
            }
        }
        Ok(removed)
    }

    async fn selected(
        &self,
        walk: &mut Walk<'_>,
        selection: &Selection,
    ) -> Result<Option<Vec<Selected>>, Error> {
        let now = self.storage.now();
        let page = walk.page(|row| {
            let Listed { key, slot: Ok(Slot::Entry(entry)), seal: Some(seal), .. } =
                self.storage.vault.listed(row, now)?
            else {
                return None;
            };
            let freshness = self.engine.freshness(&entry, now);
            let matches = selection.matches(self.engine.policy(), &entry, &freshness);
            matches.then(|| Selected { key, entry: *entry, seal, freshness })
        });
        Ok(page.await?.map(|page| page.into_iter().flatten().collect()))
    }
}
