//! Sweeping: what is of no more use goes. What a store says beside a seal may have been forged, so that a sweep would take what is good
//! or keep what is over; it is therefore compared with the seal first, and corrected.

use super::Cache;
use super::vault::{Vault, moment, timestamp};
use crate::codec::BodyHead;
use crate::store::{Record, Row, StoreExt, Swept};
use crate::{Error, ErrorKind, Event};
use lacre_core::{Key, Slot, Timestamp};
use lacre_seal::{BodyId, SealInfo};

impl Cache {
    /// Takes away what has expired or was revoked, and chunks that belong to nothing. Every row is looked at: a forged column neither
    /// costs a good record nor keeps one that is over. What cannot be opened is left to [`verify`](Self::verify), and goes by the time that
    /// the store knows.
    ///
    /// # Errors
    /// The store fails.
    pub async fn sweep(&self) -> Result<Swept, Error> {
        let now = self.clock.now();
        let mut revoked = 0;
        let mut walk = self.vault.walk();
        while let Some(page) = walk.page(|row| (row.key, self.vault.finding(&row))).await? {
            for (key, finding) in page {
                match finding {
                    Finding::Right => {}
                    Finding::Revoked => revoked += u64::from(self.vault.remove(&key, now).await?),
                    Finding::Forged => {
                        if self.vault.correct(&key).await? {
                            self.observer.on_event(Event::MetadataCorrected { key: &key });
                        }
                    }
                }
            }
        }
        let swept = self.vault.store.sweep(now).await?;
        Ok(Swept { records: swept.records + revoked, ..swept })
    }
}

/// How a row's columns and its seal agree.
enum Finding {
    /// They do, or nobody can tell.
    Right,
    /// What it was sealed under was revoked, which no column says.
    Revoked,
    Forged,
}

/// What a row's columns are, or should be.
#[derive(PartialEq)]
struct Columns {
    body: Option<BodyId>,
    chunks: u32,
    expires: Timestamp,
    written: Timestamp,
}

impl Vault {
    fn finding(&self, row: &Row<'_>) -> Finding {
        let Ok(record) = &row.record else { return Finding::Right };
        match self.columns(&row.key, record) {
            Ok(true_ones) if true_ones != Columns::of(record) => Finding::Forged,
            Err(error) if error.kind() == ErrorKind::Lapsed => Finding::Revoked,
            _ => Finding::Right,
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

    /// What the columns of a row should be, by its seal: of one whose time is over, too, so that it goes by the right ones.
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
            if moment(column) == sealed { column } else { timestamp(sealed) }
        };
        Self {
            body: None,
            chunks: 0,
            expires: same(record.expires, seal.not_after),
            written: same(record.written, seal.created),
        }
    }
}
