//! Sealed records: reading, verifying and writing them, and what follows when that fails.
//!
//! [`Vault`] joins a [store](crate::store) to the codec, the stages and the sealers. [`Storage`]
//! adds the clock, the observer and the user's answer to a seal that does not hold or a store that
//! fails. Nothing here knows HTTP caching rules: a record is opened or refused, never judged fresh.
//!
//! | module | what it holds |
//! |---|---|
//! | `vault`, `write`, `find` | opening, sealing and finding records |
//! | `loaded`, `times` | a record in memory, and the times of seals and stores |
//! | `read_whole` | bodies in chunks, read into one piece of memory |
//! | `memory_cache` | verified records kept in memory |
//! | `rollback_guard` | refuses an older record that was put back |
//! | `namespace_list`, `namespaces` | the sealed list of namespaces of a store |
//! | `pending_removals` | removals that the store could not carry out |
//! | `quarantine` | evidence of records that did not open |
//! | `reseal` | sealing one record with the current key and suite |
//! | `walk` | all rows of a store, page by page |
//! | `lease` | the right to send a request for all processes |
//! | `registry` | which store lies where, to notice copies |

mod find;
pub(crate) mod lease;
pub(crate) mod loaded;
pub(crate) mod memory_cache;
pub(crate) mod namespace_list;
mod namespaces;
pub(crate) mod pending_removals;
pub(crate) mod quarantine;
mod read_whole;
mod record_kind;
pub(crate) mod registry;
pub(crate) mod reseal;
pub(crate) mod rollback_guard;
pub(crate) mod times;
pub(crate) mod vault;
pub(crate) mod walk;
mod write;

pub use record_kind::RecordKind;
pub use registry::StoreRegistry;
pub use reseal::{Pass, Resealing};

use crate::codec::BodyHead;
use crate::{Clock, Error, ErrorKind, Event, Observer, StoreErrorKind};
use bytes::Bytes;
use lacre_core::{Key, Timestamp};
use std::sync::Arc;
use vault::Vault;

/// The answer to a stored response whose seal does not hold, or whose content cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTamper {
    /// Tells the observer, moves the record into [quarantine](crate::Cache::quarantined), and
    /// fetches the response again.
    #[default]
    Refetch,
    /// Returns the error to the caller. The record stays until somebody removes it.
    Raise,
    /// Answers with 504 and does not ask the network. The record stays until somebody removes it.
    FailClosed,
}

/// The answer to a store that fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreFailure {
    /// Tells the observer, and answers without the cache.
    #[default]
    GoOn,
    /// Returns the error to the caller.
    Raise,
}

/// A vault, with the settings for reading and writing it. Cheap to clone; clones share the store.
#[derive(Clone, Debug)]
pub(crate) struct Storage {
    pub(crate) vault: Arc<Vault>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) on_tamper: OnTamper,
    pub(crate) on_store_failure: OnStoreFailure,
    /// The policy forbids writes.
    pub(crate) read_only: bool,
}

impl Storage {
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Reads one chunk of a stored body. On failure the observer is told, and a record that cannot
    /// be trusted goes into quarantine.
    pub(crate) async fn chunk(&self, key: &Key, head: &BodyHead, index: u32) -> Result<Bytes, Error> {
        let now = self.now();
        let error = match self.vault.chunk(key, head, index, now).await {
            Ok(Some((chunk, _))) => return Ok(chunk),
            Ok(None) => match self.vault.check_replaced(key, head.id, now).await {
                Ok(()) => {
                    return Err(
                        Error::new(ErrorKind::Gone, REPLACED_MEANWHILE).with_hint("send the request again")
                    );
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        match error.kind() {
            ErrorKind::Store(_) => self.report_failure(&error),
            _ => self.observer.on_event(Event::Refused { key, error: &error }),
        }
        let untrusted = matches!(error.kind(), ErrorKind::Tampered | ErrorKind::Broken);
        if untrusted && self.on_tamper == OnTamper::Refetch {
            // The next request fetches the response again.
            self.tolerate(self.quarantine_if_writable(key).await)?;
        }
        Err(error)
    }

    /// Tells the observer of a store failure, and returns it only with [`OnStoreFailure::Raise`].
    pub(crate) fn tolerate(&self, result: Result<(), Error>) -> Result<(), Error> {
        let Err(error) = result else { return Ok(()) };
        self.report_failure(&error);
        if self.on_store_failure == OnStoreFailure::Raise { Err(error) } else { Ok(()) }
    }

    /// Tells the observer of a store failure, once for each failure that goes on.
    pub(crate) fn report_failure(&self, error: &Error) {
        if !error.is_repeated() {
            self.observer.on_event(Event::StoreFailed { error });
        }
    }

    /// Removes rows. A row that the store could not remove is remembered, and not served meanwhile.
    pub(crate) async fn remove_all(&self, keys: &[Key], now: Timestamp) -> Result<(), Error> {
        let mut result = Ok(());
        for key in keys {
            if let Err(error) = self.vault.remove(key, now).await {
                self.vault.pending_removals.add(key);
                result = result.and(Err(error));
            }
        }
        result
    }

    /// Moves the record under `key` into quarantine if it does not open; see
    /// [`Cache::quarantine`](crate::Cache::quarantine).
    pub(crate) async fn quarantine(&self, key: &Key) -> Result<Option<Key>, Error> {
        let now = self.now();
        self.vault.learn_namespaces().await;
        let Some(reason) = self.vault.reason_for_quarantine(key, now).await? else { return Ok(None) };
        let evidence = self.vault.quarantine(key, &reason, now).await?;
        self.observer.on_event(Event::Quarantined { key, evidence: &evidence });
        Ok(Some(evidence))
    }

    /// The same where the store can be written; does nothing where it is read-only.
    pub(crate) async fn quarantine_if_writable(&self, key: &Key) -> Result<(), Error> {
        if self.read_only {
            return Ok(());
        }
        match self.quarantine(key).await {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::Store(StoreErrorKind::ReadOnly | StoreErrorKind::Denied)
                ) =>
            {
                Ok(())
            }
            quarantined => quarantined.map(drop),
        }
    }
}

const REPLACED_MEANWHILE: &str = "the stored response was replaced or removed while it was read";
