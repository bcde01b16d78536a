//! Signatures with the time of signing (itsdangerous' `TimestampSigner`).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::{BadSignature, Signer};
use crate::{Authentic, UnixMillis};

/// Signs values together with the current second.
#[derive(Clone, Debug)]
pub struct TimestampSigner(Signer);

/// A verified value and the time of signing.
#[derive(Clone, Debug)]
pub struct Timestamped {
    /// The value.
    pub value: Authentic,
    /// The time of signing, to the second.
    pub signed_at: UnixMillis,
}

impl TimestampSigner {
    /// Creates a timestamp signer with the settings of `signer`.
    #[must_use]
    pub const fn new(signer: Signer) -> Self {
        Self(signer)
    }

    /// Signs a value with the newest secret: `value ‖ separator ‖ timestamp ‖ separator ‖
    /// signature`.
    #[must_use]
    pub fn sign(&self, value: &[u8], now: UnixMillis) -> Vec<u8> {
        let seconds = (now.as_millis() / 1000).to_be_bytes();
        let leading_zeros = seconds.iter().take_while(|byte| **byte == 0).count();
        let timestamp = URL_SAFE_NO_PAD.encode(&seconds[leading_zeros..]);
        let mut signed = [value, &[self.0.separator], timestamp.as_bytes()].concat();
        self.0.append_signature(&mut signed);
        signed
    }

    /// Verifies a value of any age.
    ///
    /// # Errors
    /// Like [`Signer::verify`], or [`BadTimestamp`](super::BadSignatureKind::BadTimestamp).
    pub fn verify(&self, signed: &[u8]) -> Result<Timestamped, BadSignature> {
        let stamped = self.0.verified(signed)?;
        let (value, timestamp) = self.0.split_last(stamped).ok_or_else(BadSignature::no_timestamp)?;
        let signed_at = decode(timestamp).ok_or_else(BadSignature::bad_timestamp)?;
        Ok(Timestamped { value: Authentic::opened(Bytes::copy_from_slice(value)), signed_at })
    }

    /// Verifies a value that was signed at most `max_age` ago and not after `now`. Ages are whole
    /// seconds.
    ///
    /// # Errors
    /// Like [`verify`](Self::verify), or [`Expired`](super::BadSignatureKind::Expired).
    pub fn verify_within(
        &self,
        signed: &[u8],
        max_age: Duration,
        now: UnixMillis,
    ) -> Result<Timestamped, BadSignature> {
        let verified = self.verify(signed)?;
        let [signed_at, now] = [verified.signed_at, now].map(|moment| moment.as_millis() / 1000);
        match now.checked_sub(signed_at) {
            None => Err(BadSignature::from_the_future(verified.signed_at, signed_at - now)),
            Some(age) if Duration::from_secs(age) > max_age => {
                Err(BadSignature::too_old(verified.signed_at, age, max_age))
            }
            Some(_) => Ok(verified),
        }
    }
}

/// Decodes big-endian seconds in canonical base64, without leading zero bytes.
fn decode(timestamp: &[u8]) -> Option<UnixMillis> {
    let mut decoded = [0; 8];
    let length = URL_SAFE_NO_PAD.decode_slice(timestamp, &mut decoded).ok()?;
    if decoded[..length].first() == Some(&0) {
        return None;
    }
    let mut seconds = [0; 8];
    seconds[8 - length..].copy_from_slice(&decoded[..length]);
    let millis = u64::from_be_bytes(seconds).checked_mul(1000)?;
    (millis <= UnixMillis::UNBOUNDED.as_millis()).then(|| UnixMillis::from_millis(millis))
}
