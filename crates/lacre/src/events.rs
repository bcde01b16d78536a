//! What the cache tells those who watch it. An event carries key digests and reasons; never a URL, a header or a body.

use crate::Error;
use lacre_core::Key;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

/// Something that happened.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stored response was served.
    Hit {
        /// The row it came from.
        key: &'a Key,
    },
    /// Nothing usable was stored.
    Miss {
        /// The row that was looked for.
        key: &'a Key,
        /// Why, in a word or two.
        reason: &'a str,
    },
    /// A response was stored.
    Stored {
        /// The row it went to.
        key: &'a Key,
        /// Bytes of the sealed record.
        bytes: u64,
    },
    /// A response that was to be stored is not: its body was too long or incomplete, or its reader went away. A store that failed is told as
    /// [`StoreFailed`](Self::StoreFailed).
    NotStored {
        /// The row it would have gone to.
        key: &'a Key,
        /// Why, in a word or two.
        reason: &'a str,
    },
    /// A row's seal did not open, and nothing of it was used.
    Refused {
        /// The row.
        key: &'a Key,
        /// Why; its [`kind`](Error::kind) tells tampering from a missing key or a broken record.
        error: &'a Error,
    },
    /// A row's record did not open and was put into quarantine.
    Quarantined {
        /// The row.
        key: &'a Key,
        /// Where its bytes are kept.
        evidence: &'a Key,
    },
    /// What the store said of a row beside its seal was not true. The seal holds, and the store was corrected.
    MetadataCorrected {
        /// The row.
        key: &'a Key,
    },
    /// The store failed, and the cache went on without it.
    StoreFailed {
        /// How.
        error: &'a Error,
    },
    /// A file that could not be used as a store was renamed, and a new one made in its place.
    StoreSetAside {
        /// Where the old file is now.
        to: &'a Path,
        /// Why it could not be used.
        error: &'a Error,
    },
    /// The store's file holds something that lacre did not put there; it has no effect.
    ForeignContent {
        /// What, as one line.
        finding: &'a str,
    },
    /// A store is a copy of another that is still there: they have the same id. Nothing of it is served; where it can be written, it was
    /// emptied and got an id of its own.
    StoreCopied {
        /// The copy.
        copy: &'a Path,
        /// The store it was copied from.
        original: &'a Path,
    },
    /// A key was made on first use.
    KeyCreated {
        /// The keyring's file.
        path: &'a Path,
    },
}

/// Who is told. Called on the thread where it happens, so it must be quick and must not call the cache.
pub trait Observer: Debug + Send + Sync + 'static {
    /// Takes note of `event`.
    fn on_event(&self, event: Event<'_>);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn on_event(&self, event: Event<'_>) {
        (**self).on_event(event);
    }
}

/// The default observer: [`tracing`], with targets `lacre::lookup`, `lacre::store` and `lacre::seal`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tracing;

impl Observer for Tracing {
    fn on_event(&self, event: Event<'_>) {
        match event {
            Event::Hit { key } => tracing::debug!(target: "lacre::lookup", %key, "hit"),
            Event::Miss { key, reason } => tracing::debug!(target: "lacre::lookup", %key, reason, "miss"),
            Event::Stored { key, bytes } => tracing::debug!(target: "lacre::store", %key, bytes, "stored"),
            Event::NotStored { key, reason } => {
                tracing::debug!(target: "lacre::store", %key, reason, "not stored");
            }
            Event::Refused { key, error } => {
                tracing::warn!(target: "lacre::seal", %key, kind = ?error.kind(), %error, "refused");
            }
            Event::Quarantined { key, evidence } => {
                tracing::warn!(target: "lacre::seal", %key, %evidence, "quarantined");
            }
            Event::MetadataCorrected { key } => {
                tracing::warn!(target: "lacre::store", %key, "the store's columns were forged");
            }
            Event::StoreFailed { error } => {
                tracing::warn!(target: "lacre::store", kind = ?error.kind(), %error, "the store failed");
            }
            Event::StoreSetAside { to, error } => {
                tracing::warn!(target: "lacre::store", to = %to.display(), %error, "set an unusable store aside");
            }
            Event::ForeignContent { finding } => {
                tracing::warn!(target: "lacre::store", finding, "not made by lacre");
            }
            Event::StoreCopied { copy: at, original: of } => {
                tracing::warn!(target: "lacre::store", at = %at.display(), of = %of.display(), "a copy of another store");
            }
            Event::KeyCreated { path: at } => {
                tracing::info!(target: "lacre::seal", at = %at.display(), "made a key");
            }
        }
    }
}
