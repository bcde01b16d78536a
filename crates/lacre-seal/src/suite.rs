//! The suites by which an envelope can be protected (docs/format.md §1); what each does is in `segment`.

use std::fmt;

/// How envelopes are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Suite {
    /// Encrypts: the choice wherever the processor has AES instructions.
    #[default]
    Aes256Gcm,
    /// Encrypts: for processors without AES instructions.
    XChaCha20Poly1305,
    /// Authenticates, and leaves the content readable.
    Blake3,
    /// Authenticates, and leaves the content readable; for readers that have nothing newer than HMAC.
    HmacSha256,
}

impl Suite {
    /// Every suite.
    pub const ALL: [Self; 4] = [Self::Aes256Gcm, Self::XChaCha20Poly1305, Self::Blake3, Self::HmacSha256];

    /// The byte that stands for it in an envelope.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Self::Aes256Gcm => 1,
            Self::XChaCha20Poly1305 => 2,
            Self::Blake3 => 3,
            Self::HmacSha256 => 4,
        }
    }

    /// Its name in settings and listings, such as `aes-256-gcm`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Aes256Gcm => "aes-256-gcm",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::Blake3 => "blake3",
            Self::HmacSha256 => "hmac-sha256",
        }
    }

    /// Whether it hides the content from whoever can read the store.
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Aes256Gcm | Self::XChaCha20Poly1305)
    }

    pub(crate) fn from_id(id: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.id() == id)
    }

    /// Bytes by which a sealed segment is longer than its plaintext.
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
