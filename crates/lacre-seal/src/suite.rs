//! The suites that protect envelopes (docs/format.md §1). `segment` implements them.

use std::fmt;

/// The protection of an envelope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Encrypts. Best on processors with AES instructions.
    #[default]
    Aes256Gcm,
    /// Encrypts. For processors without AES instructions.
    XChaCha20Poly1305,
    /// Authenticates only. The content stays readable.
    Blake3,
    /// Authenticates only. The content stays readable. For readers that support only HMAC.
    HmacSha256,
}

impl Suite {
    /// All suites.
    pub const ALL: [Self; 4] = [Self::Aes256Gcm, Self::XChaCha20Poly1305, Self::Blake3, Self::HmacSha256];

    /// The byte that identifies the suite in an envelope.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::XChaCha20Poly1305 => 2,
            Self::Blake3 => 3,
            Self::HmacSha256 => 4,
        }
    }

    /// The name of the suite in settings and listings, such as `aes-256-gcm`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::Blake3 => "blake3",
            Self::HmacSha256 => "hmac-sha256",
        }
    }

    /// Whether the suite encrypts.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Aes256Gcm | Self::XChaCha20Poly1305)
    }

    pub(crate) fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.id() == id)
    }

    /// The length of a segment's tag.
    pub(crate) const fn tag_len(self) -> usize {
        if self.is_encrypted() { 16 } else { 32 }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_is_shown_by_its_name() {
        assert_eq!(format!("{:>12}", Suite::Aes256Gcm), " aes-256-gcm");
        assert_eq!(
            Suite::ALL.map(Suite::name),
            ["aes-256-gcm", "xchacha20-poly1305", "blake3", "hmac-sha256"]
        );
    }
}
