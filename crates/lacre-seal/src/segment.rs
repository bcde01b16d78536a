//! Segments of heads and bodies, and the cryptography of each suite (docs/format.md §4).
//!
//! A segment key is used for one envelope only, so counters as nonces never repeat under one key.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use zeroize::Zeroizing;

use crate::{Fault, FaultKind, Suite};

/// The two parts of an envelope.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    Head = 0,
    Body = 1,
}

/// The division of a part into segments: `size` bytes of plaintext in each but the last, and a tag
/// for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segmentation {
    size: usize,
    tag: usize,
}

impl Segmentation {
    /// `log2` is the binary logarithm of the segment size.
    pub(crate) const fn new(suite: Suite, log2: u8) -> Self {
        Self { size: 1 << log2, tag: suite.tag_len() }
    }

    /// The sealed length of `plain` bytes.
    pub(crate) const fn sealed_len(self, plain: usize) -> usize {
        plain + plain.div_ceil(self.size) * self.tag
    }

    /// Seals a part into `out`, whose length is [`sealed_len`](Self::sealed_len).
    pub(crate) fn seal(
        self,
        key: &SegmentKey,
        part: Part,
        plain: &[u8],
        out: &mut [u8],
    ) -> Result<(), Fault> {
        debug_assert_eq!(out.len(), self.sealed_len(plain.len()));
        let segments = plain.chunks(self.size).zip(out.chunks_mut(self.size + self.tag));
        let count = segments.len();
        for (index, (plain, out)) in segments.enumerate() {
            key.seal(nonce(part, index, count), plain, out)?;
        }
        Ok(())
    }

    /// Opens a sealed part into `out`, whose length is that of the plaintext.
    pub(crate) fn open(
        self,
        key: &SegmentKey,
        part: Part,
        sealed: &[u8],
        out: &mut [u8],
    ) -> Result<(), Fault> {
        debug_assert_eq!(sealed.len(), self.sealed_len(out.len()));
        let segments = sealed.chunks(self.size + self.tag).zip(out.chunks_mut(self.size));
        let count = segments.len();
        for (index, (sealed, out)) in segments.enumerate() {
            key.open(nonce(part, index, count), sealed, out)?;
        }
        Ok(())
    }
}

fn nonce(part: Part, index: usize, count: usize) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[6] = part as u8;
    // At most 2^11 segments: lengths are limited, and a segment has at least 2^12 bytes (§1).
    nonce[7..11].copy_from_slice(&(index as u32).to_be_bytes());
    nonce[11] = u8::from(index + 1 == count);
    nonce
}

/// The key for the segments of one envelope.
pub(crate) enum SegmentKey {
    Aes256Gcm(LessSafeKey),
    XChaCha20Poly1305(XChaCha20Poly1305),
    Mac(MacKey),
}

impl SegmentKey {
    pub(crate) fn new(suite: Suite, key: &[u8; 32]) -> Result<Self, Fault> {
        Ok(match suite {
            Suite::Aes256Gcm => Self::Aes256Gcm(LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key)?)),
            Suite::XChaCha20Poly1305 => Self::XChaCha20Poly1305(XChaCha20Poly1305::new(key.into())),
            Suite::Blake3 => Self::Mac(MacKey::Blake3(Zeroizing::new(*key))),
            Suite::HmacSha256 => {
                Self::Mac(MacKey::HmacSha256(Box::new(hmac::Key::new(hmac::HMAC_SHA256, key))))
            }
        })
    }

    /// Seals `plain` into `out`, which is longer by a tag.
    pub(crate) fn seal(&self, nonce: [u8; 12], plain: &[u8], out: &mut [u8]) -> Result<(), Fault> {
        let (content, tag) = out.split_at_mut(plain.len());
        match self {
            Self::Aes256Gcm(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.seal_out_of_place_scatter(nonce, Aad::empty(), plain, content, &[], tag)?;
            }
            Self::XChaCha20Poly1305(key) => {
                xchacha_seal(key, extended(nonce), plain, content, tag).ok_or(FaultKind::Provider)?;
            }
            Self::Mac(key) => {
                content.copy_from_slice(plain);
                tag.copy_from_slice(&key.tag(nonce, plain));
            }
        }
        Ok(())
    }

    /// Opens `sealed` into `out`, which is shorter by a tag. After a failure, `out` must not be
    /// used.
    pub(crate) fn open(&self, nonce: [u8; 12], sealed: &[u8], out: &mut [u8]) -> Result<(), FaultKind> {
        let (content, tag) = sealed.split_at_checked(out.len()).ok_or(FaultKind::BadSegment)?;
        let opened = match self {
            Self::Aes256Gcm(key) => {
                let nonce = Nonce::assume_unique_for_key(nonce);
                key.open_separate_gather(nonce, Aad::empty(), content, tag, out).ok()
            }
            Self::XChaCha20Poly1305(key) => xchacha_open(key, extended(nonce), content, tag, out),
            Self::Mac(key) => verify_slices_are_equal(&key.tag(nonce, content), tag)
                .ok()
                .map(|()| out.copy_from_slice(content)),
        };
        opened.ok_or(FaultKind::BadSegment)
    }
}

/// Pads the nonce with twelve zero bytes in front, for the suite with 24-byte nonces.
fn extended(nonce: [u8; 12]) -> [u8; 24] {
    let mut long = [0; 24];
    long[12..].copy_from_slice(&nonce);
    long
}

/// Fails only if the lengths do not match.
pub(crate) fn xchacha_seal(
    key: &XChaCha20Poly1305,
    nonce: [u8; 24],
    plain: &[u8],
    content: &mut [u8],
    tag: &mut [u8],
) -> Option<()> {
    let buffer = InOutBuf::new(plain, content).ok()?;
    let made = key.encrypt_inout_detached(&nonce.into(), &[], buffer).ok()?;
    tag.copy_from_slice(&made);
    Some(())
}

pub(crate) fn xchacha_open(
    key: &XChaCha20Poly1305,
    nonce: [u8; 24],
    content: &[u8],
    tag: &[u8],
    out: &mut [u8],
) -> Option<()> {
    let buffer = InOutBuf::new(content, out).ok()?;
    key.decrypt_inout_detached(&nonce.into(), &[], buffer, tag.try_into().ok()?).ok()
}

/// The keys of suites that authenticate only.
pub(crate) enum MacKey {
    Blake3(Zeroizing<[u8; 32]>),
    HmacSha256(Box<hmac::Key>),
}

impl MacKey {
    pub(crate) fn tag(&self, nonce: [u8; 12], plain: &[u8]) -> [u8; 32] {
        match self {
            Self::Blake3(key) => {
                let mut hasher = blake3::Hasher::new_keyed(key);
                hasher.update(plain).update(&nonce).finalize().into()
            }
            Self::HmacSha256(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(plain);
                context.update(&nonce);
                let mut tag = [0; 32];
                tag.copy_from_slice(context.sign().as_ref());
                tag
            }
        }
    }
}
