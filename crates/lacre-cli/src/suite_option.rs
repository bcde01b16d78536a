//! The values of `--suite`: how new entries are sealed.

use clap::ValueEnum;
use lacre::Suite;

/// How entries are sealed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SuiteOption {
    /// Nobody without the key can read or change them (AES-256-GCM)
    #[value(alias = "aes-256-gcm")]
    Encrypted,
    /// Everybody can read them, nobody without the key can change them (BLAKE3); those that came of a secret or hold one are encrypted
    #[value(alias = "blake3")]
    Signed,
    /// Encrypted, for processors without AES instructions
    #[value(name = "xchacha20-poly1305")]
    XChaCha20Poly1305,
    /// Signed, for readers that have nothing newer than HMAC
    HmacSha256,
}

impl SuiteOption {
    pub(crate) const fn of(suite: Suite) -> Self {
        match suite {
            Suite::Aes256Gcm => Self::Encrypted,
            Suite::XChaCha20Poly1305 => Self::XChaCha20Poly1305,
            Suite::Blake3 => Self::Signed,
            Suite::HmacSha256 => Self::HmacSha256,
        }
    }

    /// As `--suite` takes it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Encrypted => "encrypted",
            Self::Signed => "signed",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::HmacSha256 => "hmac-sha256",
        }
    }
}

impl From<SuiteOption> for Suite {
    fn from(sealing: SuiteOption) -> Self {
        match sealing {
            SuiteOption::Encrypted => Self::Aes256Gcm,
            SuiteOption::Signed => Self::Blake3,
            SuiteOption::XChaCha20Poly1305 => Self::XChaCha20Poly1305,
            SuiteOption::HmacSha256 => Self::HmacSha256,
        }
    }
}
