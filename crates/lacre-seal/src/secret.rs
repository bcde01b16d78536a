//! 32 secret bytes: on the heap, so that a move leaves no copy behind; wiped on drop; hidden from
//! `Debug`.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::{Fault, FaultKind};

/// 32 random bytes have at least this many distinct values, except with a probability below 2^-130.
const MIN_DISTINCT_BYTES: usize = 8;

#[derive(Clone)]
pub(crate) struct Secret(Box<Zeroizing<[u8; 32]>>);

impl Secret {
    /// Generates random bytes.
    pub(crate) fn generate() -> Result<Self, Fault> {
        let mut secret = Self::blank();
        fill_random(secret.as_mut_slice())?;
        Ok(secret)
    }

    /// Creates zero bytes, to be filled.
    pub(crate) fn blank() -> Self {
        Self(Box::default())
    }

    /// Creates a secret that `fill` writes. It returns `None` for invalid input. Weak bytes are
    /// refused.
    pub(crate) fn try_fill(fill: impl FnOnce(&mut [u8; 32]) -> Option<()>) -> Result<Self, Fault> {
        let mut secret = Self::blank();
        fill(&mut secret.0).ok_or(FaultKind::BadKey)?;
        let mut seen = [false; 256];
        for byte in secret.0.iter() {
            seen[usize::from(*byte)] = true;
        }
        if seen.iter().filter(|seen| **seen).count() < MIN_DISTINCT_BYTES {
            return Err(FaultKind::WeakKey.into());
        }
        Ok(secret)
    }

    /// Parses 43 characters of base64url, as in the lines of a keyring (§3).
    pub(crate) fn from_base64url(text: &str) -> Result<Self, Fault> {
        Self::try_fill(|out| decode(&URL_SAFE_NO_PAD, text, out))
    }

    /// Appends 43 characters of base64url.
    pub(crate) fn push_base64url(&self, out: &mut String) {
        URL_SAFE_NO_PAD.encode_string(self.as_bytes(), out);
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [u8] {
        self.0.as_mut_slice()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

/// Decodes canonical base64 of exactly 32 bytes.
pub(crate) fn decode(engine: &impl Engine, text: &str, out: &mut [u8; 32]) -> Option<()> {
    (engine.decode_slice(text, out) == Ok(32)).then_some(())
}

/// Generates random bytes that are not secret, for identifiers.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Fault> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}

fn fill_random(out: &mut [u8]) -> Result<(), Fault> {
    getrandom::fill(out).map_err(Fault::random)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        assert_eq!(format!("{:?}", Secret::generate().unwrap()), "Secret(redacted)");
    }
}
