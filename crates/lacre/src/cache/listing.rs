//! Looking at what is stored, and after it.

use super::check::Checked;
use super::vault::{Loaded, Vault, Wanted};
use super::{Body, Cache, OnTamper};
use crate::codec::BodyHead;
use crate::store::{Row, StoreExt, Usage};
use crate::{Error, ErrorKind};
use lacre_core::{Answer, Entry, Freshness, Key, Slot, Timestamp};
use lacre_seal::{KeyId, SealInfo};

/// One row of a listing.
#[derive(Debug)]
pub struct Listed {
    /// Where it lies.
    pub key: Key,
    /// Bytes of the sealed record, chunks not counted.
    pub sealed_bytes: usize,
    /// What lies there, or why it cannot be opened.
    pub slot: Result<Slot<BodyHead>, Error>,
    /// What the seal says; absent where it does not open.
    pub seal: Option<SealInfo>,
    /// The keys that its chunks were sealed with, each once, where they were looked at.
    pub chunk_keys: Vec<KeyId>,
}

/// A stored response, whole.
#[derive(Debug)]
pub struct Stored {
    /// What is stored, with its body as the network sent it.
    pub entry: Entry<Body>,
    /// What its seal says.
    pub seal: SealInfo,
    /// How fresh it is.
    pub freshness: Freshness,
}

impl Cache {
    /// Shows every row but [evidence](Self::quarantined) to `visit`, in no particular order. A row that cannot be opened stops nothing.
    /// Only heads are opened; [`verify`](Self::verify) opens bodies, too.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list(&self, visit: &mut (dyn FnMut(Listed) + Send)) -> Result<(), Error> {
        let now = self.clock.now();
        let mut each = |row: Row<'_>| {
            if let Some(listed) = self.vault.listed(row, now) {
                visit(listed);
            }
        };
        self.vault.store.each(&mut each).await
    }

    /// The response stored under `key`; `None` where there is none, or where it is a signpost.
    ///
    /// # Errors
    /// Its seal does not hold, its key is missing, or the store fails.
    pub async fn stored(&self, key: &Key) -> Result<Option<Stored>, Error> {
        let now = self.clock.now();
        let Some(Loaded { slot: Slot::Entry(entry), seal, .. }) =
            self.vault.load(key, |_| Wanted::From(0), now).await?
        else {
            return Ok(None);
        };
        let freshness = self.engine.freshness(&entry, now);
        // Looking at it changes nothing.
        let looking = Self { on_tamper: OnTamper::Raise, ..self.clone() };
        let entry = entry.map_body(|handle| Body::of(&looking, *key, handle, Answer::Full));
        Ok(Some(Stored { entry, seal, freshness }))
    }

    /// Opens everything that is stored, bodies included, and tells `report` of every row, as [`list`](Self::list) does.
    ///
    /// # Errors
    /// The store fails.
    pub async fn verify(&self, report: &mut (dyn FnMut(Listed) + Send)) -> Result<(), Error> {
        let mut walk = self.vault.walk();
        while let Some(page) = walk.page(|row| self.vault.listed(row, self.clock.now())).await? {
            for mut listed in page.into_iter().flatten() {
                if matches!(listed.slot, Ok(Slot::Entry(_))) {
                    match self.vault.check(&listed.key, self.clock.now()).await {
                        Ok(Some(Checked { seal, chunk_keys })) => {
                            (listed.seal, listed.chunk_keys) = (Some(seal), chunk_keys);
                        }
                        // It was removed meanwhile.
                        Ok(None) => continue,
                        Err(error) if matches!(error.kind(), ErrorKind::Store(_)) => return Err(error),
                        Err(error) => listed.slot = Err(error),
                    }
                }
                report(listed);
            }
        }
        Ok(())
    }

    /// Takes away what lies under `key`, so that it cannot be recovered. `false`: nothing was there.
    ///
    /// # Errors
    /// The store fails.
    pub async fn remove(&self, key: &Key) -> Result<bool, Error> {
        self.vault.remove(key, self.clock.now()).await
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// The store fails.
    pub async fn clear(&self) -> Result<(), Error> {
        self.vault.store.clear().await?;
        if let Some(tier) = &self.vault.tier {
            tier.clear();
        }
        Ok(())
    }

    /// How much is stored.
    ///
    /// # Errors
    /// The store fails.
    pub async fn usage(&self) -> Result<Usage, Error> {
        self.vault.store.usage().await
    }

    /// What the store's medium holds that lacre did not put there: one line each.
    ///
    /// # Errors
    /// The store fails.
    pub async fn inspect(&self) -> Result<Vec<String>, Error> {
        self.vault.store.inspect().await
    }

    /// Writes out what is pending and leaves no trace of what was removed.
    ///
    /// # Errors
    /// The store fails.
    pub async fn close(&self) -> Result<(), Error> {
        self.vault.store.close().await
    }
}

impl Vault {
    /// `None`: it is evidence.
    pub(super) fn listed(&self, row: Row<'_>, now: Timestamp) -> Option<Listed> {
        let key = row.key;
        let (sealed_bytes, opened) = match row.record {
            Err(error) => (0, Err(error)),
            Ok(record) => match self.open_head(&key, &record, now) {
                Err(_) if self.seals_evidence(&key, record.sealed, now) => return None,
                opened => (record.sealed.len(), opened),
            },
        };
        let (slot, seal) = match opened {
            Ok((slot, seal)) => (Ok(slot), Some(seal)),
            Err(error) => (Err(error), None),
        };
        Some(Listed { key, sealed_bytes, slot, seal, chunk_keys: Vec::new() })
    }
}
