//! Auditing a store for secrets. `lacre-core` defines the detectors; this opens the entries for
//! them.

use super::Stored;
use crate::{Cache, Error};
use bytes::BytesMut;
use lacre_core::{Audit, Key, MAX_AUDITED_BODY};
use lacre_seal::SealInfo;

/// The audit of a stored response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Audited {
    /// The suspected secrets, by place. The secrets themselves are left out.
    pub audit: Audit,
    /// The seal, which says whether the response is readable in the store.
    pub seal: SealInfo,
}

impl Cache {
    /// Searches the response stored under `key` for secrets: its URL, its headers, and the first
    /// megabyte of a text body. `None`: no response is stored there.
    ///
    /// # Errors
    /// Its seal does not hold, its key is missing, or the store fails.
    pub async fn audit(&self, key: &Key) -> Result<Option<Audited>, Error> {
        let Some(Stored { mut entry, seal, .. }) = self.stored(key).await? else { return Ok(None) };
        let mut beginning = BytesMut::new();
        // One byte more shows that the body goes on.
        while beginning.len() <= MAX_AUDITED_BODY {
            let Some(piece) = entry.body.next().await else { break };
            beginning.extend_from_slice(&piece?);
        }
        Ok(Some(Audited { audit: self.engine.audit(&entry, &beginning), seal }))
    }
}
