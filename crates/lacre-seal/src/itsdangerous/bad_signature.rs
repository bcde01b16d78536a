//! Refused signatures, with the messages of itsdangerous. A message never contains the value.

use std::time::Duration;

use crate::UnixMillis;

/// A refused signature. See [`kind`](Self::kind).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadSignature {
    kind: BadSignatureKind,
    message: String,
}

/// The kinds of [`BadSignature`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadSignatureKind {
    /// The value has no signature.
    NoSeparator,
    /// No secret made this signature, or its base64 is not canonical.
    Mismatch,
    /// The signature is valid, but the timestamp is missing or malformed.
    BadTimestamp,
    /// The signature is valid, but too old or from the future.
    Expired {
        /// The time of signing, to the second.
        signed_at: UnixMillis,
    },
}

impl BadSignature {
    /// The kind of refusal.
    #[must_use]
    pub const fn kind(&self) -> BadSignatureKind {
        self.kind
    }

    pub(super) fn no_separator(separator: u8) -> Self {
        let message = format!("No b'{}' found in value", separator.escape_ascii());
        Self { kind: BadSignatureKind::NoSeparator, message }
    }

    pub(super) fn mismatch(signature: &[u8]) -> Self {
        let message = format!("Signature b'{}' does not match", signature.escape_ascii());
        Self { kind: BadSignatureKind::Mismatch, message }
    }

    pub(super) fn no_timestamp() -> Self {
        Self { kind: BadSignatureKind::BadTimestamp, message: "timestamp missing".into() }
    }

    pub(super) fn bad_timestamp() -> Self {
        Self { kind: BadSignatureKind::BadTimestamp, message: "Malformed timestamp".into() }
    }

    pub(super) fn too_old(signed_at: UnixMillis, age_seconds: u64, max_age: Duration) -> Self {
        let message = format!("Signature age {age_seconds} > {} seconds", max_age.as_secs_f64());
        Self { kind: BadSignatureKind::Expired { signed_at }, message }
    }

    pub(super) fn from_the_future(signed_at: UnixMillis, ahead_seconds: u64) -> Self {
        let message = format!("Signature age -{ahead_seconds} < 0 seconds");
        Self { kind: BadSignatureKind::Expired { signed_at }, message }
    }
}
