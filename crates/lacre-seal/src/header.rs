//! The header of an envelope: 112 bytes. None of its values is trustworthy until the commitment is
//! verified (docs/format.md §1).

use crate::segment::Segmentation;
use crate::{Fault, FaultKind, KeyId, Suite, UnixMillis};

const MAGIC: [u8; 4] = *b"\x89LAC";
const VERSION: u8 = 1;
/// The length of the fields before the salt.
const FIELDS: usize = 48;
/// The length of everything before the segments: fields, salt and commitment.
const LEN: usize = FIELDS + 32 + 32;
const MAX_HEAD_LEN: usize = 1 << 20;
const MAX_BODY_LEN: usize = 8 << 20;

/// The header fields of an envelope.
#[derive(Clone, Copy, Debug)]
pub struct Header {
    /// The key, suite, time and lifetime of the seal.
    pub seal: SealInfo,
    /// The length of the plaintext head.
    pub head_len: usize,
    /// The length of the plaintext body.
    pub body_len: usize,
    pub(crate) segment_log2: u8,
}

/// The key, suite, time and lifetime of a seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SealInfo {
    /// The id of the master key.
    pub key_id: KeyId,
    /// The suite.
    pub suite: Suite,
    /// The time of sealing.
    pub created: UnixMillis,
    /// The last time at which the envelope opens.
    pub not_after: UnixMillis,
    /// The keyring's epoch at the time of sealing.
    pub epoch: u64,
}

impl Header {
    /// Reads a header for display or for finding records. Nothing is verified: an attacker with
    /// write access to the store may have written it.
    ///
    /// # Errors
    /// [`NotAnEnvelope`](FaultKind::NotAnEnvelope), [`UnknownVersion`](FaultKind::UnknownVersion),
    /// [`Malformed`](FaultKind::Malformed), or [`WrongSuite`](FaultKind::WrongSuite) for an unknown
    /// suite.
    pub fn peek_unverified(sealed: &[u8]) -> Result<Self, Fault> {
        Ok(RawEnvelope::of(sealed, &Suite::ALL)?.header)
    }

    /// Reads the commitment, which is unique to an envelope. Nothing is verified until the envelope
    /// is opened. `None` if the bytes are too short.
    #[must_use]
    pub fn peek_commitment_unverified(sealed: &[u8]) -> Option<[u8; 32]> {
        sealed.get(FIELDS + 32..)?.first_chunk().copied()
    }

    fn read(fields: &[u8; FIELDS], accepted: &[Suite]) -> Result<Self, FaultKind> {
        let mut fields = Fields(fields);
        let [_, _, _, _, _, suite, flags, segment_log2] = fields.take();
        if flags != 0 {
            return Err(FaultKind::Malformed("flags"));
        }
        let suite = Suite::from_id(suite).filter(|suite| accepted.contains(suite));
        let suite = suite.ok_or(FaultKind::WrongSuite)?;
        if !(12..=24).contains(&segment_log2) {
            return Err(FaultKind::Malformed("segment size"));
        }
        let key_id = KeyId::from_bytes(fields.take());
        let epoch = u64::from_be_bytes(fields.take());
        let [created, not_after] =
            [fields.take(), fields.take()].map(|millis| UnixMillis::from_millis(u64::from_be_bytes(millis)));
        let [head_len, body_len] =
            [fields.take(), fields.take()].map(|length| u32::from_be_bytes(length) as usize);
        let seal = SealInfo { key_id, suite, created, not_after, epoch };
        let header = Self { seal, head_len, body_len, segment_log2 };
        if header.is_within_caps() { Ok(header) } else { Err(FaultKind::Malformed("head or body length")) }
    }

    /// Encodes the fields before the salt.
    ///
    /// # Errors
    /// [`TooLarge`](FaultKind::TooLarge) if the head or body is over its limit.
    pub(crate) fn encode(&self) -> Result<[u8; FIELDS], FaultKind> {
        if !self.is_within_caps() {
            return Err(FaultKind::TooLarge);
        }
        let mut out = [0; FIELDS];
        out[..4].copy_from_slice(&MAGIC);
        out[4..8].copy_from_slice(&[VERSION, self.seal.suite.id(), 0, self.segment_log2]);
        out[8..16].copy_from_slice(self.seal.key_id.as_bytes());
        out[16..24].copy_from_slice(&self.seal.epoch.to_be_bytes());
        out[24..32].copy_from_slice(&self.seal.created.as_millis().to_be_bytes());
        out[32..40].copy_from_slice(&self.seal.not_after.as_millis().to_be_bytes());
        // Both lengths are within their limits, so they fit.
        out[40..44].copy_from_slice(&(self.head_len as u32).to_be_bytes());
        out[44..].copy_from_slice(&(self.body_len as u32).to_be_bytes());
        Ok(out)
    }

    pub(crate) const fn segmentation(&self) -> Segmentation {
        Segmentation::new(self.seal.suite, self.segment_log2)
    }

    /// The length of the envelope.
    pub(crate) const fn envelope_len(&self) -> usize {
        let (head, body) = self.sealed_lens();
        LEN + head + body
    }

    /// The lengths of the sealed head and the sealed body.
    pub(crate) const fn sealed_lens(&self) -> (usize, usize) {
        (self.segmentation().sealed_len(self.head_len), self.segmentation().sealed_len(self.body_len))
    }

    const fn is_within_caps(&self) -> bool {
        self.head_len <= MAX_HEAD_LEN && self.body_len <= MAX_BODY_LEN
    }
}

/// The parts of an envelope. Nothing is verified.
#[derive(Clone, Copy)]
pub(crate) struct RawEnvelope<'a> {
    pub(crate) header: Header,
    pub(crate) fields: &'a [u8; FIELDS],
    pub(crate) salt: &'a [u8; 32],
    pub(crate) commitment: &'a [u8; 32],
    /// The segments of the head.
    pub(crate) head: &'a [u8],
    /// The segments of the body.
    pub(crate) body: &'a [u8],
}

impl<'a> RawEnvelope<'a> {
    /// Splits an envelope and checks everything that needs no key, in the order of §2.
    pub(crate) fn of(sealed: &'a [u8], accepted: &[Suite]) -> Result<Self, FaultKind> {
        Self::from_start(sealed, sealed.len(), accepted)
    }

    /// The same for an envelope of `length` bytes of which only the start is in memory: the
    /// complete head, and any part of the body.
    pub(crate) fn from_start(sealed: &'a [u8], length: usize, accepted: &[Suite]) -> Result<Self, FaultKind> {
        const BAD_LENGTH: FaultKind = FaultKind::Malformed("length");
        if !sealed.starts_with(&MAGIC) {
            return Err(FaultKind::NotAnEnvelope);
        }
        match sealed.get(MAGIC.len()) {
            Some(&VERSION) => {}
            Some(&other) => return Err(FaultKind::UnknownVersion(other)),
            None => return Err(BAD_LENGTH),
        }
        let (fields, rest) = sealed.split_first_chunk().ok_or(BAD_LENGTH)?;
        let (salt, rest) = rest.split_first_chunk().ok_or(BAD_LENGTH)?;
        let (commitment, segments) = rest.split_first_chunk().ok_or(BAD_LENGTH)?;
        let header = Header::read(fields, accepted)?;
        if length != header.envelope_len() {
            return Err(BAD_LENGTH);
        }
        let (head, body) = segments.split_at_checked(header.sealed_lens().0).ok_or(BAD_LENGTH)?;
        Ok(Self { header, fields, salt, commitment, head, body })
    }
}

/// The start of an envelope: header and sealed head. Nothing is verified.
#[derive(Clone, Debug)]
pub struct EnvelopeStart {
    pub(crate) bytes: Vec<u8>,
    pub(crate) length: usize,
}

impl EnvelopeStart {
    /// Copies the start of an envelope. `None` if the bytes are not an envelope.
    #[must_use]
    pub fn of(sealed: &[u8]) -> Option<Self> {
        let head = RawEnvelope::of(sealed, &Suite::ALL).ok()?.header.sealed_lens().0;
        Some(Self { bytes: sealed[..LEN + head].to_vec(), length: sealed.len() })
    }
}

/// A cursor over header fields.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let (field, rest) = self.0.split_at(N);
        out.copy_from_slice(field);
        self.0 = rest;
        out
    }
}
