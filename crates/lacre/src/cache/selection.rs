//! Some of what is stored, by what it is, where it is from or how it is labelled.

use super::check::Walk;
use super::{Cache, Listed};
use crate::Error;
use crate::codec::BodyHead;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use lacre_core::{Entry, Freshness, Key, Policy, Slot, UrlPattern};
use lacre_seal::SealInfo;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// Which stored responses are meant: those for which all that was said holds, and every one where nothing was said.
///
/// Entries know their URLs without secrets only, so what is said of URLs is compared [without](Policy::redacted) them, too: of two that
/// differ in a token alone, both are meant.
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

/// A stored response that is meant.
#[derive(Debug)]
#[non_exhaustive]
pub struct Selected {
    /// Where it lies.
    pub key: Key,
    /// What is stored; its body is opened by [`Cache::stored`].
    pub entry: Entry<BodyHead>,
    /// What its seal says.
    pub seal: SealInfo,
    /// How fresh it is.
    pub freshness: Freshness,
}

impl Selection {
    /// All responses.
    pub fn all() -> Self {
        Self::default()
    }

    /// The answers to requests for this URL, whatever the method and the variant. A fragment counts for nothing.
    pub fn url(self, url: Url) -> Self {
        let mut url = url;
        url.set_fragment(None);
        self.and(Condition::Url(url))
    }

    /// Those from this host, whatever the scheme and the port.
    pub fn host(self, host: impl Into<String>) -> Self {
        self.and(Condition::Host(host.into()))
    }

    /// Those whose URL fits.
    pub fn fits(self, pattern: UrlPattern) -> Self {
        self.and(Condition::Fits(pattern))
    }

    /// Those with this [tag](crate::RequestOptions::tag).
    pub fn tag(self, tag: impl Into<String>) -> Self {
        self.and(Condition::Tag(tag.into()))
    }

    /// Those that are no longer fresh.
    pub fn stale(self) -> Self {
        self.and(Condition::Stale)
    }

    /// Those of which this is true.
    pub fn matching(self, is: impl Fn(&Entry<BodyHead>) -> bool + Send + Sync + 'static) -> Self {
        self.and(Condition::Is(Arc::new(is)))
    }

    fn and(mut self, condition: Condition) -> Self {
        self.0.push(condition);
        self
    }

    fn means(&self, policy: &Policy, entry: &Entry<BodyHead>, freshness: &Freshness) -> bool {
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

/// Without what may be secret, and without what cannot be shown.
impl fmt::Debug for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Selection").field("conditions", &self.0.len()).finish_non_exhaustive()
    }
}

impl Cache {
    /// What is meant of what is stored, in no particular order, read page by page as it is asked for. Rows that cannot be opened are left
    /// out: [`list`](Self::list) shows them. Each item is an entry, or the failure of the store that ends it.
    pub fn select(&self, selection: Selection) -> impl Stream<Item = Result<Selected, Error>> + Send + '_ {
        let pages =
            stream::try_unfold((self.vault.walk(), selection), move |(mut walk, selection)| async move {
                let page = self.selected(&mut walk, &selection).await?;
                Ok::<_, Error>(page.map(|page| (stream::iter(page).map(Ok), (walk, selection))))
            });
        pages.try_flatten()
    }

    /// Takes away what is meant, so that it cannot be recovered, and says how many responses that were. The next requests for them go to
    /// the origin.
    ///
    /// # Errors
    /// The store fails; some may be gone.
    pub async fn invalidate(&self, selection: &Selection) -> Result<u64, Error> {
        let mut removed = 0;
        let mut walk = self.vault.walk();
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
        let now = self.clock.now();
        let page = walk.page(|row| {
            let Listed { key, slot: Ok(Slot::Entry(entry)), seal: Some(seal), .. } =
                self.vault.listed(row, now)?
            else {
                return None;
            };
            let freshness = self.engine.freshness(&entry, now);
            let is_meant = selection.means(self.engine.policy(), &entry, &freshness);
            is_meant.then(|| Selected { key, entry: *entry, seal, freshness })
        });
        Ok(page.await?.map(|page| page.into_iter().flatten().collect()))
    }
}
