//! Signatures of the Python library itsdangerous, byte for byte. They are for files of other
//! software, not for lacre's own records: they bind no place and, without a timestamp, no lifetime
//! (docs/format.md §9).
//!
//! Verification is stricter in one point: base64 must be canonical.

mod bad_signature;
mod timestamp;

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use zeroize::Zeroizing;

pub use self::bad_signature::{BadSignature, BadSignatureKind};
pub use self::timestamp::{TimestampSigner, Timestamped};
use crate::{Authentic, Fault, FaultKind};

/// A shorter secret can be guessed unless every byte is random.
const WEAK_BELOW: usize = 32;

/// Signs and verifies values like itsdangerous' `Signer`.
#[derive(Clone)]
pub struct Signer {
    newest: hmac::Key,
    /// Newest first.
    older: Vec<hmac::Key>,
    separator: u8,
    weak: bool,
}

impl Signer {
    /// Creates a signer with one secret and itsdangerous' defaults.
    ///
    /// # Errors
    /// [`BadSigner`](FaultKind::BadSigner) if the secret is empty.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, Fault> {
        Self::builder().secret(secret).build()
    }

    /// Creates a builder with itsdangerous' defaults and no secret.
    #[must_use]
    pub fn builder() -> SignerBuilder {
        SignerBuilder {
            secrets: Vec::new(),
            salt: b"itsdangerous.Signer".to_vec(),
            separator: b'.',
            digest: Digest::Sha1,
            derivation: Derivation::DjangoConcat,
        }
    }

    /// Signs a value with the newest secret: `value ‖ separator ‖ signature`.
    #[must_use]
    pub fn sign(&self, value: &[u8]) -> Vec<u8> {
        let mut signed = value.to_vec();
        self.append_signature(&mut signed);
        signed
    }

    /// Verifies a signed value with all secrets, newest first, and returns the value before the
    /// last separator.
    ///
    /// # Errors
    /// [`NoSeparator`](BadSignatureKind::NoSeparator) or [`Mismatch`](BadSignatureKind::Mismatch).
    pub fn verify(&self, signed: &[u8]) -> Result<Authentic, BadSignature> {
        self.verified(signed).map(|value| Authentic::opened(Bytes::copy_from_slice(value)))
    }

    /// Whether a secret is short enough to be guessed from a signature.
    #[must_use]
    pub const fn is_weak(&self) -> bool {
        self.weak
    }

    fn append_signature(&self, out: &mut Vec<u8>) {
        let signature = URL_SAFE_NO_PAD.encode(hmac::sign(&self.newest, out));
        out.push(self.separator);
        out.extend_from_slice(signature.as_bytes());
    }

    fn verified<'a>(&self, signed: &'a [u8]) -> Result<&'a [u8], BadSignature> {
        let (value, signature) =
            self.split_last(signed).ok_or_else(|| BadSignature::no_separator(self.separator))?;
        let mut tag = [0; digest::MAX_OUTPUT_LEN];
        let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut tag).unwrap_or(0);
        let tag = &tag[..length];
        let matches = |key: &hmac::Key| verify_slices_are_equal(hmac::sign(key, value).as_ref(), tag).is_ok();
        if matches(&self.newest) || self.older.iter().any(matches) {
            return Ok(value);
        }
        // In an unsigned value, the text after the last separator is content. It stays out of
        // messages.
        let is_shaped_like_one = self.newest.algorithm().tag_len() == length;
        Err(BadSignature::mismatch(if is_shaped_like_one { signature } else { b"..." }))
    }

    fn split_last<'a>(&self, joined: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let at = joined.iter().rposition(|byte| *byte == self.separator)?;
        Some((&joined[..at], &joined[at + 1..]))
    }
}

/// Shows no secret.
impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("keys", &(1 + self.older.len())).finish_non_exhaustive()
    }
}

/// The settings of a [`Signer`], with itsdangerous' names.
pub struct SignerBuilder {
    secrets: Vec<Zeroizing<Vec<u8>>>,
    salt: Vec<u8>,
    separator: u8,
    digest: Digest,
    derivation: Derivation,
}

impl SignerBuilder {
    /// Adds a secret that is newer than the previous ones. The newest signs; all of them verify.
    #[must_use]
    pub fn secret(mut self, secret: impl AsRef<[u8]>) -> Self {
        self.secrets.push(Zeroizing::new(secret.as_ref().to_vec()));
        self
    }

    /// Adds secrets, oldest first.
    #[must_use]
    pub fn secrets(self, oldest_first: impl IntoIterator<Item = impl AsRef<[u8]>>) -> Self {
        oldest_first.into_iter().fold(self, Self::secret)
    }

    /// Sets the salt, which separates the signatures of different uses. The default is
    /// `itsdangerous.Signer`.
    #[must_use]
    pub fn salt(mut self, salt: impl Into<Vec<u8>>) -> Self {
        self.salt = salt.into();
        self
    }

    /// Sets the byte between value and signature. The default is `.`.
    #[must_use]
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// Sets the hash. The default is SHA-1.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.digest = digest;
        self
    }

    /// Sets the derivation of the key from secret and salt. The default is `django-concat`.
    #[must_use]
    pub fn derivation(mut self, derivation: Derivation) -> Self {
        self.derivation = derivation;
        self
    }

    /// Builds the signer.
    ///
    /// # Errors
    /// [`BadSigner`](FaultKind::BadSigner) if there is no secret, a secret is empty, or the
    /// separator is a base64 character.
    pub fn build(self) -> Result<Signer, Fault> {
        let no_secret = FaultKind::BadSigner("secret is empty; give one of at least 32 random bytes");
        let (newest, older) = self.secrets.split_last().ok_or(no_secret)?;
        if self.secrets.iter().any(|secret| secret.is_empty()) {
            return Err(no_secret.into());
        }
        if self.separator.is_ascii_alphanumeric() || b"-_=".contains(&self.separator) {
            let reason =
                "separator is a base64 character, which makes signatures ambiguous; choose another one";
            return Err(FaultKind::BadSigner(reason).into());
        }
        Ok(Signer {
            weak: self.secrets.iter().any(|secret| secret.len() < WEAK_BELOW),
            newest: self.key(newest),
            older: older.iter().rev().map(|secret| self.key(secret)).collect(),
            separator: self.separator,
        })
    }

    fn key(&self, secret: &[u8]) -> hmac::Key {
        let (hash, mac) = self.digest.algorithms();
        let concat = |parts: &[&[u8]]| {
            let mut context = digest::Context::new(hash);
            parts.iter().for_each(|part| context.update(part));
            hmac::Key::new(mac, context.finish().as_ref())
        };
        match self.derivation {
            Derivation::DjangoConcat => concat(&[&self.salt, b"signer", secret]),
            Derivation::Concat => concat(&[&self.salt, secret]),
            Derivation::Hmac => {
                hmac::Key::new(mac, hmac::sign(&hmac::Key::new(mac, secret), &self.salt).as_ref())
            }
            Derivation::None => hmac::Key::new(mac, secret),
        }
    }
}

/// Shows no secret.
impl fmt::Debug for SignerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digest, derivation) = (self.digest, self.derivation);
        write!(f, "SignerBuilder({} secrets, {digest:?}, {derivation:?})", self.secrets.len())
    }
}

/// The hash of a signer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Digest {
    /// SHA-1, itsdangerous' default.
    #[default]
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl Digest {
    fn algorithms(self) -> (&'static digest::Algorithm, hmac::Algorithm) {
        match self {
            Self::Sha1 => (&digest::SHA1_FOR_LEGACY_USE_ONLY, hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha256 => (&digest::SHA256, hmac::HMAC_SHA256),
            Self::Sha384 => (&digest::SHA384, hmac::HMAC_SHA384),
            Self::Sha512 => (&digest::SHA512, hmac::HMAC_SHA512),
        }
    }
}

/// The derivation of a signer's key from secret and salt. `D` is the hash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Derivation {
    /// `D(salt ‖ "signer" ‖ secret)`, itsdangerous' default.
    #[default]
    DjangoConcat,
    /// `D(salt ‖ secret)`.
    Concat,
    /// `HMAC_D(secret, salt)`.
    Hmac,
    /// The secret itself.
    None,
}

#[cfg(test)]
mod tests;
