//! Looking for secrets in what is stored. What they look like is `lacre-core`'s to say; here entries are opened for it.

use super::{Cache, Stored};
use crate::Error;
use bytes::BytesMut;
use lacre_core::{Audit, Key, MAX_AUDITED_BODY};
use lacre_seal::SealInfo;

/// What was found in a stored response.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Audited {
    /// What looks like a secret in it; the secrets themselves are not told.
    pub audit: Audit,
    /// What its seal says: whether whoever can read the store can read all this, above all.
    pub seal: SealInfo,
}

impl Cache {
    /// Looks for what looks like a secret in the response stored under `key`: in its URL, its headers, and the first megabyte of its body
    /// if that is text. `None`: there is none, or it only leads to one.
    ///
    /// # Errors
    /// Its seal does not hold, its key is missing, or the store fails.
    pub async fn audit(&self, key: &Key) -> Result<Option<Audited>, Error> {
        let Some(Stored { mut entry, seal, .. }) = self.stored(key).await? else { return Ok(None) };
        let mut beginning = BytesMut::new();
        // One byte more tells that there is more.
        while beginning.len() <= MAX_AUDITED_BODY {
            let Some(piece) = entry.body.next().await else { break };
            beginning.extend_from_slice(&piece?);
        }
        Ok(Some(Audited { audit: self.engine.audit(&entry, &beginning), seal }))
    }
}
