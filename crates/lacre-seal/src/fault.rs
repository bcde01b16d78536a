//! Why something was not sealed, not opened, or not accepted as a key.
//!
//! Messages are one line, name the remedy, and carry no content, no secret and nothing an attacker could have written.

use crate::{KeyId, UnixMillis};

/// A refusal of this crate; [`kind`](Self::kind) says which.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{kind}")]
pub struct Fault {
    kind: FaultKind,
    source: Option<getrandom::Error>,
}

/// The kinds of [`Fault`], in the order in which a reader meets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// The bytes do not start like an envelope.
    #[error("these bytes are not an envelope; remove the record and fetch the response again")]
    NotAnEnvelope,
    /// The envelope has a version that this release does not know.
    #[error(
        "envelope version {0} is unknown to this release; open it with a newer one, or remove the record"
    )]
    UnknownVersion(u8),
    /// The named part of the header breaks the format, or the length is wrong.
    #[error("the envelope's {0} is out of bounds; remove the record and fetch the response again")]
    Malformed(&'static str),
    /// The envelope was made by a suite that this sealer was not told to accept.
    #[error(
        "the envelope's suite is not the one in use; accept that suite explicitly, or fetch the response again"
    )]
    WrongSuite,
    /// The key that sealed the envelope is not in the keyring.
    #[error("key {0} is not in the keyring; add it as a verify key, or fetch the response again")]
    UnknownKey(KeyId),
    /// The commitment differs: header or salt were changed, the record was moved, or it comes from another store.
    #[error("the seal does not belong to this place: tampered with, moved or foreign; remove the record")]
    BadCommitment,
    /// A segment of the head or the body was changed.
    #[error("the sealed content was tampered with; remove the record and fetch the response again")]
    BadSegment,
    /// The envelope was sealed under this epoch, which is below the keyring's.
    #[error("sealed under epoch {0}, which has been revoked; fetch the response again")]
    Revoked(u64),
    /// The envelope's last moment has passed.
    #[error("the seal expired at {} ms since 1970; fetch the response again", .0.as_millis())]
    Expired(UnixMillis),
    /// The head, the body or the namespace is longer than an envelope can hold.
    #[error("too large for one envelope (head 1 MiB, body 8 MiB); cut the body into chunks")]
    TooLarge,
    /// A key is not written as a key is.
    #[error(
        "not a key: expected 32 bytes as 64 hexadecimal digits or 43 characters of base64; make one with `lacre key new`"
    )]
    BadKey,
    /// A key is too regular to be random.
    #[error("the key is too regular to be random; make one with `lacre key new`")]
    WeakKey,
    /// The text is neither a keyring nor one bare key.
    #[error(
        "not a keyring: expected a first line `lacre-keyring-v1`, or one bare key; make one with `lacre key new`"
    )]
    NotAKeyring,
    /// The given line of a keyring's text (from 1) cannot be read.
    #[error("line {0} of the keyring cannot be read; correct it, or restore the keyring from a backup")]
    BadKeyringLine(usize),
    /// A keyring's text lacks the named line, or has it twice.
    #[error("the keyring needs exactly one line `{0}`; restore it from a backup")]
    KeyringNeeds(&'static str),
    /// A keyring names a key twice.
    #[error("key {0} is in the keyring twice; remove one of the two lines")]
    DuplicateKey(KeyId),
    /// A keyring has more keys, or its text more bytes, than are accepted.
    #[error("the keyring is too large (64 keys, 64 KiB); retire keys that nothing was sealed with")]
    KeyringTooLarge,
    /// The primary key cannot be retired.
    #[error("key {0} is the primary; rotate first, then retire it")]
    KeyInUse(KeyId),
    /// The text is a keyring that a passphrase locks.
    #[error("the keyring is locked with a passphrase; name it as `passphrase:PATH`")]
    Locked,
    /// The text is no keyring that a passphrase locks.
    #[error("not a keyring that a passphrase locks; make one with `lacre key new passphrase:PATH`")]
    NotLocked,
    /// A passphrase is too short or too regular.
    #[error("the passphrase is weak; choose one of at least twelve characters, of which six differ")]
    WeakPassphrase,
    /// The passphrase does not fit the locked keyring.
    #[error(
        "the passphrase does not fit, or the file was changed; try another, or restore the file from a backup"
    )]
    WrongPassphrase,
    /// What a locked keyring asks to be spent on its passphrase protects nobody, or takes too much.
    #[error(
        "the passphrase's cost is out of bounds (19 to 256 MiB, 2 to 16 passes, 1 to 16 lanes); restore the file from a backup"
    )]
    CostOutOfBounds,
    /// The named setting of an itsdangerous signer cannot be used.
    #[error("the signer's {0}")]
    BadSigner(&'static str),
    /// The operating system yields no random bytes.
    #[error("the operating system yields no random bytes; check that its random device is available")]
    Random,
    /// The cryptographic provider failed to start.
    #[error("the cryptographic provider failed; check that the machine has memory left")]
    Provider,
}

impl Fault {
    /// Which refusal this is.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    /// Whether the bytes differ from what was sealed for this place: changed, cut, moved, foreign, or of a suite not in use.
    #[must_use]
    pub const fn is_tampering(&self) -> bool {
        use FaultKind::{BadCommitment, BadSegment, Malformed, WrongSuite};
        matches!(self.kind, Malformed(_) | WrongSuite | BadCommitment | BadSegment)
    }

    /// Whether the bytes are no envelope that this release can read.
    #[must_use]
    pub const fn is_broken(&self) -> bool {
        matches!(self.kind, FaultKind::NotAnEnvelope | FaultKind::UnknownVersion(_))
    }

    /// Whether the key was retired, or never was in the keyring.
    #[must_use]
    pub const fn is_key_missing(&self) -> bool {
        matches!(self.kind, FaultKind::UnknownKey(_))
    }

    /// Whether the seal is genuine and its time is over: expired, or of a revoked epoch.
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

/// The provider names no reasons; where a reason is known, it is given instead.
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
    fn every_refusal_of_an_envelope_is_of_one_family() {
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
