//! Looking at what is stored, and after it.

use super::vault::missing_chunk;
use super::{Body, Cache, OnTamper};
use crate::codec::BodyHead;
use crate::store::{StoreExt, Swept, Usage};
use crate::{Error, ErrorKind};
use lacre_core::{Answer, Entry, Freshness, Key, Slot};
use lacre_seal::SealInfo;

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
    /// Shows every row to `visit`, in no particular order. A row that cannot be opened stops nothing. Only heads are opened;
    /// [`verify`](Self::verify) opens bodies, too.
    ///
    /// # Errors
    /// The store fails.
    pub async fn list(&self, visit: &mut (dyn FnMut(Listed) + Send)) -> Result<(), Error> {
        let now = self.clock.now();
        let mut each = |row: crate::store::Row<'_>| {
            let key = row.key;
            let (sealed_bytes, opened) = match row.record {
                Ok(record) => (record.sealed.len(), self.vault.open_head(&key, &record, now)),
                Err(error) => (0, Err(error)),
            };
            let (slot, seal) = match opened {
                Ok((slot, seal)) => (Ok(slot), Some(seal)),
                Err(error) => (Err(error), None),
            };
            visit(Listed { key, sealed_bytes, slot, seal });
        };
        self.vault.store.each(&mut each).await
    }

    /// The response stored under `key`; `None` where there is none, or where it is a signpost.
    ///
    /// # Errors
    /// Its seal does not hold, its key is missing, or the store fails.
    pub async fn stored(&self, key: &Key) -> Result<Option<Stored>, Error> {
        let now = self.clock.now();
        let Some((Slot::Entry(entry), seal)) = self.vault.load(key, |_| Some(0), now).await? else {
            return Ok(None);
        };
        let freshness = self.engine.freshness(&entry, now);
        // Looking at it changes nothing.
        let looking = Self { on_tamper: OnTamper::Raise, ..self.clone() };
        let entry = entry.map_body(|handle| Body::of(&looking, *key, handle, Answer::Full));
        Ok(Some(Stored { entry, seal, freshness }))
    }

    /// Opens everything that is stored, bodies included, and tells `report` of every row.
    ///
    /// # Errors
    /// The store fails.
    pub async fn verify(&self, report: &mut (dyn FnMut(Listed) + Send)) -> Result<(), Error> {
        let mut listed = Vec::new();
        self.list(&mut |row| listed.push(row)).await?;
        for mut row in listed {
            if matches!(row.slot, Ok(Slot::Entry(_)))
                && let Err(error) = self.verify_whole(&row.key).await
            {
                if matches!(error.kind(), ErrorKind::Store(_)) {
                    return Err(error);
                }
                row.slot = Err(error);
            }
            report(row);
        }
        Ok(())
    }

    /// Opens what lies under `key` with all its chunks. One that was replaced meanwhile is opened anew.
    async fn verify_whole(&self, key: &Key) -> Result<(), Error> {
        let now = self.clock.now();
        'anew: loop {
            let found = self.vault.load(key, |_| None, now).await?;
            let Some((Slot::Entry(entry), _)) = found else { return Ok(()) };
            let head = &entry.body.head;
            for index in 0..head.chunks {
                if self.vault.chunk(key, head, index, now).await?.is_none() {
                    if self.vault.names(key, head.id, now).await? {
                        return Err(missing_chunk());
                    }
                    continue 'anew;
                }
            }
            return Ok(());
        }
    }

    /// Takes away what lies under `key`, so that it cannot be recovered. `false`: nothing was there.
    ///
    /// # Errors
    /// The store fails.
    pub async fn remove(&self, key: &Key) -> Result<bool, Error> {
        self.vault.remove(key, self.clock.now()).await
    }

    /// Takes away what is of no more use.
    ///
    /// # Errors
    /// The store fails.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        self.vault.store.sweep(self.clock.now()).await
    }

    /// Takes everything away.
    ///
    /// # Errors
    /// The store fails.
    pub async fn clear(&self) -> Result<(), Error> {
        self.vault.store.clear().await
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
