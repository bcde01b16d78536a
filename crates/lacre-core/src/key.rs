//! Row keys: the name of a record in a store.

use std::fmt;

/// A row key: the keyed digest of a request's identity. A store sees nothing else of a request.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// Creates a key from its bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
/// Shows 64 hexadecimal digits; `{:.8}` shows the first eight, as listings do.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(64).min(64);
        for index in 0..digits {
            let byte = self.0[index / 2];
            let nibble = if index % 2 == 0 { byte >> 4 } else { byte & 15 };
            write!(f, "{nibble:x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self:.8}…)")
    }
}

/// A keyed digest. Its 32 bytes cannot be computed or guessed without the key.
pub trait Digest: Send + Sync {
    /// Computes the digest of an identity.
    fn digest(&self, identity: &[u8]) -> [u8; 32];
}

impl<F: Fn(&[u8]) -> [u8; 32] + Send + Sync> Digest for F {
    fn digest(&self, identity: &[u8]) -> [u8; 32] {
        self(identity)
    }
}
