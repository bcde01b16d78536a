//! The values of `--suite`: how new entries are sealed.

use clap::ValueEnum;
use lacre::Suite;

/// A value of `--suite`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum SuiteOption {
    /// Reading and changing entries takes the key (AES-256-GCM)
    #[value(alias = "aes-256-gcm")]
    Encrypted,
    /// Anyone can read entries, changing them takes the key (BLAKE3). Entries with secrets are
    /// encrypted all the same
    #[value(alias = "blake3")]
    Signed,
    /// Encrypted, for processors without AES instructions
    #[value(name = "xchacha20-poly1305")]
    XChaCha20Poly1305,
    /// Signed, for readers that support only HMAC-SHA256
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

    /// The value as `--suite` accepts it.
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
