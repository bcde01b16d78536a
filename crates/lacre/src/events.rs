//! Events of the cache and their observers. An event carries key digests and reasons, never a URL,
//! a header or a body.

use crate::Error;
use lacre_core::Key;
use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;

/// An event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A stored response was served.
    Hit {
        /// The key of the stored response.
        key: &'a Key,
    },
    /// No usable response was stored.
    Miss {
        /// The key that was looked up.
        key: &'a Key,
        /// The reason, in a word or two.
        reason: &'a str,
    },
    /// A response was stored.
    Stored {
        /// The key it is stored under.
        key: &'a Key,
        /// Bytes of the sealed record.
        bytes: u64,
    },
    /// A storable response was not stored: its body was too long or incomplete, or its reader was
    /// dropped. A failed store is [`StoreFailed`](Self::StoreFailed) instead.
    NotStored {
        /// The key it would have been stored under.
        key: &'a Key,
        /// The reason, in a word or two.
        reason: &'a str,
    },
    /// A record failed authentication, and nothing of it was used.
    Refused {
        /// The row.
        key: &'a Key,
        /// The reason. Its [`kind`](Error::kind) tells tampering from a missing key or a malformed
        /// record.
        error: &'a Error,
    },
    /// A record failed authentication and was moved to quarantine.
    Quarantined {
        /// The row.
        key: &'a Key,
        /// The key that the quarantined bytes are kept under.
        evidence: &'a Key,
    },
    /// The store's metadata of a record was wrong. The seal is valid, and the store was corrected.
    MetadataCorrected {
        /// The row.
        key: &'a Key,
    },
    /// The store failed, and the cache continued without it.
    StoreFailed {
        /// The error.
        error: &'a Error,
    },
    /// An unusable store file was renamed, and a new store created in its place.
    StoreSetAside {
        /// The new path of the old file.
        to: &'a Path,
        /// Why it was unusable.
        error: &'a Error,
    },
    /// The store holds something that lacre did not write. It has no effect.
    ForeignContent {
        /// The finding, as one line.
        finding: &'a str,
    },
    /// A store is a copy of another store that still exists: both have the same id. Nothing in the
    /// copy is served. A writable copy was cleared and got an id of its own.
    StoreCopied {
        /// The copy.
        copy: &'a Path,
        /// The store it was copied from.
        original: &'a Path,
    },
    /// A key was created on first use.
    KeyCreated {
        /// The keyring's file.
        path: &'a Path,
    },
}

/// An observer of events. It runs on the thread that causes the event, so it must return quickly
/// and must not call the cache.
pub trait Observer: Debug + Send + Sync + 'static {
    /// Handles `event`.
    fn on_event(&self, event: Event<'_>);
}

impl<O: Observer + ?Sized> Observer for Arc<O> {
    fn on_event(&self, event: Event<'_>) {
        (**self).on_event(event);
    }
}

/// The default observer: it logs to [`tracing`], with the targets `lacre::lookup`, `lacre::store`
/// and `lacre::seal`.
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
