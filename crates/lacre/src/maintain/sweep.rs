//! Sweeping: removing expired and revoked records, and chunks that no entry names. A store's
//! columns may be forged, so that a sweep would remove a good record or keep an expired one. Each
//! column is therefore compared with the seal first, and corrected.

use crate::codec::BodyHead;
use crate::storage::times::{seal_time, store_time};
use crate::storage::vault::Vault;
use crate::store::{Record, Row, StoreExt, Swept};
use crate::{Cache, Error, ErrorKind, Event};
use lacre_core::{Key, Slot, Timestamp};
use lacre_seal::{BodyId, SealInfo};

impl Cache {
    /// Removes expired and revoked records, and chunks that no entry names. Every row is checked,
    /// so that a forged column neither removes a good record nor keeps an expired one. A record
    /// that does not open is left to [`verify`](Self::verify), and expires by the store's own
    /// column.
    ///
    /// # Errors
    /// The store fails.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        let now = self.storage.now();
        let mut revoked = 0;
        let mut walk = self.storage.vault.walk();
        while let Some(page) = walk.page(|row| (row.key, self.storage.vault.check_columns(&row))).await? {
            for (key, check) in page {
                match check {
                    ColumnCheck::Right => {}
                    ColumnCheck::Revoked => revoked += u64::from(self.storage.vault.remove(&key, now).await?),
                    ColumnCheck::Forged => {
                        if self.storage.vault.correct(&key).await? {
                            self.storage.observer.on_event(Event::MetadataCorrected { key: &key });
                        }
                    }
                }
            }
        }
        let swept = self.storage.vault.store.sweep(now).await?;
        Ok(Swept { records: swept.records + revoked, ..swept })
    }
}

/// Whether a row's columns agree with its seal.
enum ColumnCheck {
    /// They do, or the record does not open.
    Right,
    /// Its seal was revoked, which no column says.
    Revoked,
    Forged,
}

/// A row's columns, as they are or as they should be.
#[derive(PartialEq)]
struct Columns {
    body: Option<BodyId>,
    chunks: u32,
    expires: Timestamp,
    written: Timestamp,
}

impl Vault {
    fn check_columns(&self, row: &Row<'_>) -> ColumnCheck {
        let Ok(record) = &row.record else { return ColumnCheck::Right };
        match self.columns(&row.key, record) {
            Ok(true_ones) if true_ones != Columns::of(record) => ColumnCheck::Forged,
            Err(error) if error.kind() == ErrorKind::Lapsed => ColumnCheck::Revoked,
            _ => ColumnCheck::Right,
        }
    }

    /// Writes the right columns beside the same seal; `false`: the row changed meanwhile.
    async fn correct(&self, key: &Key) -> Result<bool, Error> {
        let Some(record) = self.store.fetch(key).await? else { return Ok(false) };
        let Ok(Columns { body, chunks, expires, written }) = self.columns(key, &record.lend()) else {
            return Ok(false);
        };
        let right = Record { body, chunks, expires, written, sealed: &record.sealed };
        self.store.touch(key, record.body, right).await
    }

    /// What the columns of a row should be, by its seal: of one whose time is over, too, so that it
    /// goes by the right ones.
    fn columns(&self, key: &Key, record: &Record<'_>) -> Result<Columns, Error> {
        let now = Timestamp::default();
        match self.open_head(key, record, now) {
            Ok((Slot::Entry(entry), seal)) => {
                let BodyHead { id, chunks, .. } = entry.body;
                Ok(Columns { body: Some(id), chunks, ..Columns::without_body(&seal, record) })
            }
            Ok((_, seal)) => Ok(Columns::without_body(&seal, record)),
            Err(error) if error.kind() != ErrorKind::Tampered => Err(error),
            Err(error) => match self.open_evidence(key, record.sealed, now) {
                Ok(opened) => Ok(Columns::without_body(&opened.seal, record)),
                Err(fault) if fault.is_lapsed() => Err(fault.into()),
                Err(_) => Err(error),
            },
        }
    }
}

impl Columns {
    fn of(record: &Record<'_>) -> Self {
        let Record { body, chunks, expires, written, .. } = *record;
        Self { body, chunks, expires, written }
    }

    /// The seal knows no time before 1970, which is as good as any other there.
    fn without_body(seal: &SealInfo, record: &Record<'_>) -> Self {
        let same = |column: Timestamp, sealed| {
            if seal_time(column) == sealed { column } else { store_time(sealed) }
        };
        Self {
            body: None,
            chunks: 0,
            expires: same(record.expires, seal.not_after),
            written: same(record.written, seal.created),
        }
    }
}
