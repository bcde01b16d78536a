//! Sealing and opening envelopes: bytes are bound to their place and lifetime (docs/format.md §1
//! and §2).
//!
//! A reader checks in the order of §2 and stops at the first failure. It decrypts nothing before
//! the commitment is verified.

use std::sync::Arc;

use crate::buffer_pool::{BufferPool, JoinedBuffer};
use crate::derive::{self, EnvelopeKeys};
use crate::derived_keys::{DerivedKey, DerivedKeyCache};
use crate::header::{EnvelopeStart, Header, RawEnvelope, SealInfo};
use crate::segment::{Part, SegmentKey};
use crate::time::{Lifetime, UnixMillis};
use crate::{Authentic, Context, Fault, FaultKind, Keyring, Purpose, Suite, secret};

/// The binary logarithm of the segment size in new envelopes.
const SEGMENT_LOG2: u8 = 16;

/// Seals with the primary key of a ring and one suite. Opens envelopes of every key in the ring and
/// every accepted suite.
#[derive(Clone, Debug)]
pub struct Sealer {
    keyring: Arc<Keyring>,
    suite: Suite,
    /// The sealing suite and further accepted suites.
    accepted: Vec<Suite>,
    derived_keys: Arc<DerivedKeyCache>,
    pool: Arc<BufferPool>,
    /// Whether envelopes of revoked epochs open.
    opens_revoked: bool,
}

/// An opened envelope.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Metadata about the body.
    pub head: Authentic,
    /// The body. May be empty.
    pub body: Authentic,
    /// The key, suite, time and lifetime of the seal.
    pub seal: SealInfo,
}

impl Sealer {
    /// Creates a sealer that accepts only its own suite, so that readable content cannot replace
    /// encrypted content.
    #[must_use]
    pub fn new(keyring: Arc<Keyring>, suite: Suite) -> Self {
        Self {
            keyring,
            suite,
            accepted: vec![suite],
            derived_keys: Arc::default(),
            pool: Arc::default(),
            opens_revoked: false,
        }
    }

    /// Accepts envelopes of another suite as well, for a store that changes its suite.
    #[must_use]
    pub fn also_accept(mut self, suite: Suite) -> Self {
        if !self.accepted.contains(&suite) {
            self.accepted.push(suite);
        }
        self
    }

    /// Seals with `suite` from now on. Keys and accepted suites stay.
    #[must_use]
    pub fn sealing_with(self, suite: Suite) -> Self {
        Self { suite, ..self.also_accept(suite) }
    }

    /// Opens envelopes of revoked epochs as well. An attacker with a lost key may have made them,
    /// so use them only as hints.
    #[must_use]
    pub fn danger_open_revoked(self) -> Self {
        Self { opens_revoked: true, ..self }
    }

    /// The keyring.
    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// The suite that seals.
    #[must_use]
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Seals a head of at most 1 MiB and a body of at most 8 MiB for the place `at`.
    ///
    /// # Errors
    /// [`TooLarge`](FaultKind::TooLarge), or [`Random`](FaultKind::Random) if the operating system
    /// has no random bytes.
    pub fn seal(&self, at: &Context<'_>, life: Lifetime, head: &[u8], body: &[u8]) -> Result<Vec<u8>, Fault> {
        let salt = hedged_salt(at, life, head, body)?;
        self.seal_with(&salt, SEGMENT_LOG2, at, life, head, body)
    }

    /// Opens the head and body of an envelope that was found at `at`.
    ///
    /// # Errors
    /// The first rule of docs/format.md §2 that fails. See [`FaultKind`].
    pub fn open(&self, at: &Context<'_>, sealed: &[u8], now: UnixMillis) -> Result<Opened, Fault> {
        let envelope = self.unlock(at, sealed, now)?;
        let Header { seal, head_len, body_len, .. } = envelope.header;
        let mut plain = self.pool.buffer(head_len + body_len);
        let (head, body) = plain.bytes().split_at_mut(head_len);
        envelope.open_head(head)?;
        envelope.open_body(body)?;
        let mut head = plain.freeze();
        let body = Authentic::opened(head.split_off(head_len));
        Ok(Opened { head: Authentic::opened(head), body, seal })
    }

    /// Takes a buffer for the bodies of several envelopes, `length` bytes together.
    #[must_use]
    pub fn joined_buffer(&self, length: usize) -> JoinedBuffer {
        JoinedBuffer::new(self.pool.buffer(length))
    }

    /// Opens an envelope like [`open`](Self::open) and appends its body to `joined`. The body is no
    /// longer marked as authentic.
    ///
    /// # Errors
    /// Like [`open`](Self::open). [`Malformed`](FaultKind::Malformed) if the body exceeds the
    /// capacity. Bodies that were joined before stay.
    pub fn open_append(
        &self,
        at: &Context<'_>,
        sealed: &[u8],
        now: UnixMillis,
        joined: &mut JoinedBuffer,
    ) -> Result<SealInfo, Fault> {
        let envelope = self.unlock(at, sealed, now)?;
        let Header { seal, head_len, body_len, .. } = envelope.header;
        envelope.open_head(&mut vec![0; head_len])?;
        envelope.open_body(joined.unfilled(body_len).ok_or(FaultKind::Malformed("length"))?)?;
        joined.advance(body_len);
        Ok(seal)
    }

    /// Opens the head only. The body is neither read nor verified.
    ///
    /// # Errors
    /// Like [`open`](Self::open), except for faults in the segments of the body.
    pub fn open_head(
        &self,
        at: &Context<'_>,
        sealed: &[u8],
        now: UnixMillis,
    ) -> Result<(Authentic, SealInfo), Fault> {
        let envelope = self.unlock(at, sealed, now)?;
        let mut head = vec![0; envelope.header.head_len];
        envelope.open_head(&mut head)?;
        Ok((Authentic::opened(head.into()), envelope.header.seal))
    }

    /// Opens the head of an envelope whose body is not in memory, for listings. Its keys are not
    /// cached.
    ///
    /// # Errors
    /// Like [`open_head`](Self::open_head).
    pub fn open_head_from_start(
        &self,
        at: &Context<'_>,
        start: &EnvelopeStart,
        now: UnixMillis,
    ) -> Result<(Authentic, SealInfo), Fault> {
        let parts = RawEnvelope::from_start(&start.bytes, start.length, &self.accepted)?;
        let envelope = self.unlock_parts(at, parts, None, now)?;
        let mut head = vec![0; envelope.header.head_len];
        envelope.open_head(&mut head)?;
        Ok((Authentic::opened(head.into()), envelope.header.seal))
    }

    /// All steps of §2 before the segments.
    fn unlock<'a>(&self, at: &Context<'_>, sealed: &'a [u8], now: UnixMillis) -> Result<Unlocked<'a>, Fault> {
        let parts = RawEnvelope::of(sealed, &self.accepted)?;
        // Only the first piece is cached. Each further chunk of a large body is opened once and
        // must not replace the key of a hot record.
        let is_first = matches!(at.purpose, Purpose::Slot | Purpose::Value { index: 0, .. });
        self.unlock_parts(at, parts, is_first.then_some(&*self.derived_keys), now)
    }

    fn unlock_parts<'a>(
        &self,
        at: &Context<'_>,
        parts: RawEnvelope<'a>,
        derived_keys: Option<&DerivedKeyCache>,
        now: UnixMillis,
    ) -> Result<Unlocked<'a>, Fault> {
        let RawEnvelope { header, fields, salt, commitment, head, body } = parts;
        let SealInfo { key_id, suite, not_after, epoch, .. } = header.seal;
        let master = self.keyring.master(key_id)?;
        let info = derive::info(fields, at)?;
        let keys = match derived_keys.and_then(|derived_keys| derived_keys.get(salt, &info)) {
            Some(keys) => keys.verify_commitment(commitment)?,
            None => {
                let derived = EnvelopeKeys::derive(master, salt, &info)?;
                let key = SegmentKey::new(suite, derived.segment_key())?;
                let keys =
                    DerivedKey::new(*salt, info, *derived.commitment(), key).verify_commitment(commitment)?;
                if let Some(derived_keys) = derived_keys {
                    derived_keys.put(&keys);
                }
                keys
            }
        };
        if epoch < self.keyring.epoch() && !self.opens_revoked {
            return Err(FaultKind::Revoked(epoch).into());
        }
        if now > not_after {
            return Err(FaultKind::Expired(not_after).into());
        }
        Ok(Unlocked { header, keys, head, body })
    }

    /// Seals with a given salt, deterministically. A salt must never be used for two envelopes.
    pub(crate) fn seal_with(
        &self,
        salt: &[u8; 32],
        segment_log2: u8,
        at: &Context<'_>,
        life: Lifetime,
        head: &[u8],
        body: &[u8],
    ) -> Result<Vec<u8>, Fault> {
        let seal = SealInfo {
            key_id: self.keyring.primary(),
            suite: self.suite,
            created: life.created,
            not_after: life.not_after,
            epoch: self.keyring.epoch(),
        };
        let header = Header { seal, head_len: head.len(), body_len: body.len(), segment_log2 };
        let fields = header.encode()?;
        let info = derive::info(&fields, at)?;
        let keys = EnvelopeKeys::derive(self.keyring.master(seal.key_id)?, salt, &info)?;
        let key = SegmentKey::new(self.suite, keys.segment_key())?;

        let mut sealed = Vec::with_capacity(header.envelope_len());
        sealed.extend_from_slice(&fields);
        sealed.extend_from_slice(salt);
        sealed.extend_from_slice(keys.commitment());
        let segments = sealed.len();
        sealed.resize(header.envelope_len(), 0);
        let (head_out, body_out) = sealed[segments..].split_at_mut(header.sealed_lens().0);
        header.segmentation().seal(&key, Part::Head, head, head_out)?;
        header.segmentation().seal(&key, Part::Body, body, body_out)?;
        Ok(sealed)
    }
}

/// An envelope with a verified commitment, a valid epoch and an unexpired seal.
struct Unlocked<'a> {
    header: Header,
    keys: DerivedKey,
    head: &'a [u8],
    body: &'a [u8],
}

impl Unlocked<'_> {
    fn open_head(&self, out: &mut [u8]) -> Result<(), Fault> {
        self.header.segmentation().open(self.keys.key(), Part::Head, self.head, out)
    }

    fn open_body(&self, out: &mut [u8]) -> Result<(), Fault> {
        self.header.segmentation().open(self.keys.key(), Part::Body, self.body, out)
    }
}

/// Generates a salt. It stays unique if a restored machine repeats its random state (§2).
fn hedged_salt(at: &Context<'_>, life: Lifetime, head: &[u8], body: &[u8]) -> Result<[u8; 32], Fault> {
    let mut hasher = blake3::Hasher::new_keyed(&secret::random()?);
    hasher.update(&life.created.as_millis().to_be_bytes());
    at.feed(|piece| {
        hasher.update(piece);
    })?;
    Ok(hasher.update(head).update(body).finalize().into())
}
