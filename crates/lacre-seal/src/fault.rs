//! Faults: the reasons why bytes were not sealed, not opened, or not accepted as a key.
//!
//! A message is one line and names the remedy. It contains no content, no secret, and no text that
//! an attacker may have written.

use crate::{KeyId, UnixMillis};

/// An error of this crate. See [`kind`](Self::kind).
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Fault {
    kind: FaultKind,
    source: Option<getrandom::Error>,
}

/// The kinds of [`Fault`], in the order of the checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// The bytes do not start like an envelope.
    #[error("these bytes are not an envelope; remove the record and fetch the response again")]
    NotAnEnvelope,
    /// The envelope has a version that this release does not support.
    #[error(
        "envelope version {0} is unknown to this release; open it with a newer one, or remove the record"
    )]
    UnknownVersion(u8),
    /// A part of the header is invalid, or the length is wrong. The value names the part.
    #[error("the envelope's {0} is out of bounds; remove the record and fetch the response again")]
    Malformed(&'static str),
    /// The suite of the envelope is not accepted by this sealer.
    #[error("the envelope's suite is not accepted; accept it explicitly, or fetch the response again")]
    WrongSuite,
    /// The keyring does not contain the key that sealed the envelope.
    #[error("key {0} is not in the keyring; add it as a verify key, or fetch the response again")]
    UnknownKey(KeyId),
    /// The commitment does not match: the header or salt was changed, or the record was moved or
    /// comes from another store.
    #[error("the seal does not belong to this place: tampered with, moved or foreign; remove the record")]
    BadCommitment,
    /// A segment of the head or the body was changed.
    #[error("the sealed content was tampered with; remove the record and fetch the response again")]
    BadSegment,
    /// The envelope was sealed under a revoked epoch. The value is the epoch.
    #[error("sealed under epoch {0}, which has been revoked; fetch the response again")]
    Revoked(u64),
    /// The seal expired. The value is the time.
    #[error("the seal expired at {} ms since 1970; fetch the response again", .0.as_millis())]
    Expired(UnixMillis),
    /// The head, the body or the namespace exceeds the size of an envelope.
    #[error("too large for one envelope (head 1 MiB, body 8 MiB); cut the body into chunks")]
    TooLarge,
    /// The text is not a key.
    #[error(
        "not a key: expected 32 bytes as 64 hexadecimal digits or 43 characters of base64; make one with `lacre key new`"
    )]
    BadKey,
    /// The key is too regular to be random.
    #[error("the key is too regular to be random; make one with `lacre key new`")]
    WeakKey,
    /// The text is neither a keyring nor a bare key.
    #[error(
        "not a keyring: expected a first line `lacre-keyring-v1`, or one bare key; make one with `lacre key new`"
    )]
    NotAKeyring,
    /// A line of a keyring is invalid. The value is the line number, from 1.
    #[error("line {0} of the keyring cannot be read; correct it, or restore the keyring from a backup")]
    BadKeyringLine(usize),
    /// A keyring lacks a line, or has it twice. The value names the line.
    #[error("the keyring needs exactly one line `{0}`; restore it from a backup")]
    KeyringNeeds(&'static str),
    /// A keyring contains a key twice.
    #[error("key {0} is in the keyring twice; remove one of the two lines")]
    DuplicateKey(KeyId),
    /// A keyring has too many keys or bytes.
    #[error("the keyring is too large (64 keys, 64 KiB); retire unused keys")]
    KeyringTooLarge,
    /// The primary key cannot be retired.
    #[error("key {0} is the primary; rotate first, then retire it")]
    KeyInUse(KeyId),
    /// The keyring is locked with a passphrase.
    #[error("the keyring is locked with a passphrase; name it as `passphrase:PATH`")]
    Locked,
    /// The text is not a keyring locked with a passphrase.
    #[error("not a keyring locked with a passphrase; make one with `lacre key new passphrase:PATH`")]
    NotLocked,
    /// The passphrase is too short or too regular.
    #[error("the passphrase is weak; use at least twelve characters, six of them distinct")]
    WeakPassphrase,
    /// The passphrase does not open the keyring.
    #[error(
        "the passphrase is wrong, or the file was changed; try another one, or restore the file from a backup"
    )]
    WrongPassphrase,
    /// The Argon2id cost of a locked keyring is outside its bounds: too low to protect it, or too
    /// high to accept.
    #[error(
        "the passphrase's cost is out of bounds (19 to 256 MiB, 2 to 16 passes, 1 to 16 lanes); restore the file from a backup"
    )]
    CostOutOfBounds,
    /// A setting of an itsdangerous signer is invalid. The value describes it.
    #[error("the signer's {0}")]
    BadSigner(&'static str),
    /// The operating system has no random bytes.
    #[error("the operating system has no random bytes; check that its random device is available")]
    Random,
    /// The cryptographic provider failed.
    #[error("the cryptographic provider failed; check that the machine has memory left")]
    Provider,
}

impl Fault {
    /// The kind of fault.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Whether the bytes differ from the ones that were sealed for this place: changed, truncated,
    /// moved, foreign, or of a suite that is not accepted.
    #[must_use]
    pub const fn is_tampering(&self) -> bool {
        use FaultKind::{BadCommitment, BadSegment, Malformed, WrongSuite};
        matches!(self.kind, Malformed(_) | WrongSuite | BadCommitment | BadSegment)
    }

    /// Whether the bytes are not an envelope that this release can read.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(self.kind, FaultKind::NotAnEnvelope | FaultKind::UnknownVersion(_))
    }

    /// Whether the key is not in the keyring, because it was retired or never added.
    #[must_use]
    pub const fn is_key_missing(&self) -> bool {
        matches!(self.kind, FaultKind::UnknownKey(_))
    }

    /// Whether the seal is genuine but no longer valid: expired, or of a revoked epoch.
    #[must_use]
    pub const fn is_lapsed(&self) -> bool {
        matches!(self.kind, FaultKind::Expired(_) | FaultKind::Revoked(_))
    }

    pub(crate) const fn random(source: getrandom::Error) -> Self {
        Self { kind: FaultKind::Random, source: Some(source) }
    }
}

impl From<FaultKind> for Fault {
    fn from(kind: FaultKind) -> Self {
        Self { kind, source: None }
    }
}

/// The provider reports no reasons. A known reason is reported instead where there is one.
impl From<aws_lc_rs::error::Unspecified> for Fault {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        FaultKind::Provider.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MasterKey;

    #[test]
    fn every_envelope_fault_is_in_one_family() {
        let id = MasterKey::generate().unwrap().id();
        let families = |kind: FaultKind| {
            let fault = Fault::from(kind);
            [fault.is_tampering(), fault.is_broken(), fault.is_key_missing(), fault.is_lapsed()]
        };
        for kind in [
            FaultKind::Malformed("x"),
            FaultKind::WrongSuite,
            FaultKind::BadCommitment,
            FaultKind::BadSegment,
        ] {
            assert_eq!(families(kind), [true, false, false, false], "{kind:?}");
        }
        for kind in [FaultKind::NotAnEnvelope, FaultKind::UnknownVersion(2)] {
            assert_eq!(families(kind), [false, true, false, false], "{kind:?}");
        }
        assert_eq!(families(FaultKind::UnknownKey(id)), [false, false, true, false]);
        for kind in [FaultKind::Expired(UnixMillis::UNBOUNDED), FaultKind::Revoked(1)] {
            assert_eq!(families(kind), [false, false, false, true], "{kind:?}");
        }
        for kind in [FaultKind::WeakKey, FaultKind::TooLarge, FaultKind::Random] {
            assert_eq!(families(kind), [false; 4], "{kind:?}");
        }
    }
}
