//! What the Python library itsdangerous signs, byte for byte: for files that other software wrote, never for lacre's
//! own entries, since these signatures bind no place and, without a timestamp, no lifetime (docs/format.md §9).
//!
//! Verification is stricter than the original's in one point: base64 must be canonical.

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

/// Secrets shorter than this can be guessed, unless every byte is random.
const WEAK_BELOW: usize = 32;

/// Signs values as itsdangerous' `Signer` does, and verifies them.
#[derive(Clone)]
pub struct Signer {
    newest: hmac::Key,
    /// Newest first.
    older: Vec<hmac::Key>,
    separator: u8,
    weak: bool,
}

impl Signer {
    /// A signer with one secret and itsdangerous' defaults.
    ///
    /// # Errors
    /// [`BadSigner`](FaultKind::BadSigner) when the secret is empty.
    pub fn new(secret: impl AsRef<[u8]>) -> Result<Self, Fault> {
        Self::builder().secret(secret).build()
    }

    /// A signer with itsdangerous' defaults and no secret yet.
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

    /// `value ‖ separator ‖ signature`, by the newest secret.
    #[must_use]
    pub fn sign(&self, value: &[u8]) -> Vec<u8> {
        let mut signed = value.to_vec();
        self.append_signature(&mut signed);
        signed
    }

    /// The value in front of the last separator, if any secret signed it; the newest is tried first.
    ///
    /// # Errors
    /// [`NoSeparator`](BadSignatureKind::NoSeparator) or [`Mismatch`](BadSignatureKind::Mismatch).
    pub fn verify(&self, signed: &[u8]) -> Result<Authentic, BadSignature> {
        self.verified(signed).map(|value| Authentic::opened(Bytes::copy_from_slice(value)))
    }

    /// Whether a secret is so short that it may be guessed from what it signed.
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
        // What follows the last separator of an unsigned value is content, and stays out of messages.
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

/// The settings of a [`Signer`], by itsdangerous' names.
pub struct SignerBuilder {
    secrets: Vec<Zeroizing<Vec<u8>>>,
    salt: Vec<u8>,
    separator: u8,
    digest: Digest,
    derivation: Derivation,
}

impl SignerBuilder {
    /// Adds a secret that is newer than those before it: it signs from now on, and all of them verify.
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

    /// What keeps signatures of one use from being valid in another; `itsdangerous.Signer` unless set.
    #[must_use]
    pub fn salt(mut self, salt: impl Into<Vec<u8>>) -> Self {
        self.salt = salt.into();
        self
    }

    /// The byte between value and signature; `.` unless set.
    #[must_use]
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = separator;
        self
    }

    /// The hash; SHA-1 unless set.
    #[must_use]
    pub fn digest(mut self, digest: Digest) -> Self {
        self.digest = digest;
        self
    }

    /// How secret and salt make the key; `django-concat` unless set.
    #[must_use]
    pub fn derivation(mut self, derivation: Derivation) -> Self {
        self.derivation = derivation;
        self
    }

    /// The signer.
    ///
    /// # Errors
    /// [`BadSigner`](FaultKind::BadSigner) without a secret, with an empty one, or with a separator that base64 uses.
    pub fn build(self) -> Result<Signer, Fault> {
        let no_secret = FaultKind::BadSigner("secret is empty; give one of at least 32 random bytes");
        let (newest, older) = self.secrets.split_last().ok_or(no_secret)?;
        if self.secrets.iter().any(|secret| secret.is_empty()) {
            return Err(no_secret.into());
        }
        if self.separator.is_ascii_alphanumeric() || b"-_=".contains(&self.separator) {
            let reason =
                "separator is a character of base64, so signatures could not be told apart; choose another";
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

/// How secret and salt make the key of a signer; `D` is its hash.
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
