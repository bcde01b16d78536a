//! Seals values of the Python package and binds them to their place (docs/format.md §14). Values
//! without a valid seal are never parsed.

use super::error::Malformed;
use super::{Value, cbor};
use crate::{Error, ErrorKind, Timestamp};
use blake2b_simd::Params;
use lacre_seal::{
    BodyId, Context, Fault, JoinedBuffer, Keyring, Lifetime, MasterKey, Position, Purpose, Sealer, StoreId,
    Suite, UnixMillis,
};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The length of the part of a value in one envelope.
const PIECE: usize = 4 << 20;
/// An upper bound for an envelope's header, commitment and length prefix.
const OVERHEAD: usize = 256;
/// The minimum length of a secret, in bytes.
const MIN_SECRET: usize = 32;
/// The minimum number of distinct bytes in a secret.
const MIN_DIFFERENT: usize = 8;

/// The place of a value. It does not open in another place.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The random id of the store.
    pub store: &'a StoreId,
    /// The table, hash or folder in the store.
    pub table: &'a str,
    /// The key in the table.
    pub key: &'a str,
}

/// Seals and opens values. Sealed values are encrypted.
#[derive(Clone, Debug)]
pub struct SealedValues {
    /// Newest first: the first seals, and all open.
    sealers: Vec<Sealer>,
}

impl SealedValues {
    /// A sealer whose last keyring seals and whose keyrings all open: the order of itsdangerous.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: there is none.
    pub fn new(oldest_first: impl IntoIterator<Item = Arc<Keyring>>) -> Result<Self, Error> {
        let mut sealers: Vec<_> =
            oldest_first.into_iter().map(|ring| Sealer::new(ring, Suite::Aes256Gcm)).collect();
        sealers.reverse();
        if sealers.is_empty() {
            return Err(Error::new(ErrorKind::Config, "there is no key to seal with").with_hint("name one"));
        }
        Ok(Self { sealers })
    }

    /// Seals `value` for storage.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: it has a number of more than 64 bits. [`ErrorKind::Broken`]: no random bytes can be had.
    pub fn seal(&self, place: &Place<'_>, value: &Value, now: Timestamp) -> Result<Vec<u8>, Error> {
        let malformed = |malformed: Malformed| malformed.into_error("value");
        let plain = cbor::write(value).map_err(malformed)?;
        let id = BodyId::generate()?;
        let life = Lifetime::unbounded(moment(now));
        let count = plain.len().div_ceil(PIECE);
        let mut sealed = Vec::with_capacity(plain.len() + plain.len() / 1024 + (count + 1) * OVERHEAD);
        sealed.extend_from_slice(id.as_bytes());
        for (index, piece) in plain.chunks(PIECE).enumerate() {
            let position = if index + 1 == count { Position::Last } else { Position::Inner };
            let envelope =
                place.with(id, index, position, |at| self.sealers[0].seal(at, life, &[], piece))?;
            // Shorter than 8 MiB, like every envelope.
            sealed.extend_from_slice(&(envelope.len() as u32).to_be_bytes());
            sealed.extend_from_slice(&envelope);
        }
        Ok(sealed)
    }

    /// A buffer for a stored value in several pieces, from a pool.
    #[must_use]
    pub fn room(&self, length: usize) -> JoinedBuffer {
        self.sealers[0].joined_buffer(length)
    }

    /// Opens the stored bytes `sealed`.
    ///
    /// # Errors
    /// [`ErrorKind::Tampered`]: it is not sealed, not sealed for this place, or was changed.
    /// [`ErrorKind::KeyUnavailable`]: its key is not available. [`ErrorKind::Lapsed`]: it was
    /// revoked.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8], now: Timestamp) -> Result<Value, Error> {
        let (id, rest) = sealed.split_first_chunk().ok_or_else(unsealed)?;
        let id = BodyId::from_bytes(*id);
        let (envelope, mut rest) = split_piece(rest)?;
        let position = |rest: &[u8]| if rest.is_empty() { Position::Last } else { Position::Inner };
        let first = self.with_its_key(|sealer| {
            place.with(id, 0, position(rest), |at| sealer.open(at, envelope, moment(now)))
        })?;
        let mut plain = first.body.into_bytes();
        if !rest.is_empty() {
            // The seal is valid now. The plaintext is shorter than the sealed bytes.
            let mut joined = self.room(plain.len() + rest.len());
            joined.push(&plain).then_some(()).ok_or_else(unsealed)?;
            for index in 1.. {
                let (envelope, behind) = split_piece(rest)?;
                self.with_its_key(|sealer| {
                    place.with(id, index, position(behind), |at| {
                        sealer.open_append(at, envelope, moment(now), &mut joined)
                    })
                })?;
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            plain = joined.into_bytes();
        }
        cbor::read(&plain).map_err(|malformed| malformed.into_error("value"))
    }

    /// Opens with the current key, or with an earlier one if needed.
    fn with_its_key<T>(&self, mut open: impl FnMut(&Sealer) -> Result<T, Fault>) -> Result<T, Error> {
        let mut opened = open(&self.sealers[0]);
        for sealer in &self.sealers[1..] {
            if opened.as_ref().is_err_and(Fault::is_key_missing) {
                opened = open(sealer);
            }
        }
        opened.map_err(refused)
    }
}

/// Splits the first length-prefixed envelope off the others.
fn split_piece(sealed: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let (length, behind) = sealed.split_first_chunk().ok_or_else(unsealed)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    behind.split_at_checked(length).ok_or_else(unsealed)
}

impl Place<'_> {
    fn with<T>(
        &self,
        value: BodyId,
        index: usize,
        position: Position,
        act: impl FnOnce(&Context<'_>) -> T,
    ) -> T {
        let key = digest(b"lacre/v1/row", self.key.as_bytes());
        // More pieces than `u32` can count do not fit into memory.
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let purpose = Purpose::Value { value, index, position };
        act(&Context { purpose, store: self.store, namespace: self.table, key: &key })
    }
}

/// The keyring for a secret: the text of a keyring, a bare key (docs/format.md §3), or at least 32
/// other bytes, from which a key is derived (§14). The bytes must be random, because the derivation
/// is fast.
///
/// # Errors
/// [`ErrorKind::Config`]: it is too short, or not random.
pub fn keyring_of_secret(secret: &[u8]) -> Result<Keyring, Error> {
    if let Some(Ok(keyring)) = str::from_utf8(secret).ok().map(|text| Keyring::parse(text.trim())) {
        return Ok(keyring);
    }
    let mut seen = [false; 256];
    secret.iter().for_each(|byte| seen[usize::from(*byte)] = true);
    let different = seen.iter().filter(|seen| **seen).count();
    if secret.len() < MIN_SECRET || different < MIN_DIFFERENT {
        return Err(Error::new(ErrorKind::Config, "this secret is too weak to seal with").with_hint(
            "take one of at least 32 random bytes, such as secrets.token_hex(32) makes, or a reference to one (keyring:SERVICE/USER)",
        ));
    }
    let master = Zeroizing::new(digest(b"lacre/v1/secret", secret));
    let text = master.iter().fold(Zeroizing::new(String::with_capacity(64)), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
        text
    });
    Ok(Keyring::from_master(MasterKey::parse(&text)?)?)
}

fn digest(person: &[u8], bytes: &[u8]) -> [u8; 32] {
    let hash = Params::new().hash_length(32).personal(person).hash(bytes);
    let mut digest = [0; 32];
    digest.copy_from_slice(hash.as_bytes());
    digest
}

fn moment(time: Timestamp) -> UnixMillis {
    UnixMillis::from_millis(u64::try_from(time.as_millis()).unwrap_or(0))
}

/// Every value without a valid seal is an error, whatever its form.
fn refused(fault: Fault) -> Error {
    if fault.is_broken() {
        return unsealed().with_source(fault);
    }
    fault.into()
}

fn unsealed() -> Error {
    Error::new(ErrorKind::Tampered, "this is not sealed, or was cut")
        .with_hint("open a cache of requests-cache with the name of its serializer, or clear this one")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);
    const SECRET: &[u8] = b"a secret of at least 32 random bytes";

    fn store(id: u8) -> StoreId {
        StoreId::from_bytes([id; 16])
    }

    fn values(secrets: &[&[u8]]) -> SealedValues {
        SealedValues::new(secrets.iter().map(|secret| Arc::new(keyring_of_secret(secret).unwrap()))).unwrap()
    }

    fn value() -> Value {
        Value::Dict(vec![("_content".into(), Value::Bytes(b"hello".to_vec().into()))])
    }

    fn kind(opened: Result<Value, Error>) -> ErrorKind {
        opened.unwrap_err().kind()
    }

    #[test]
    fn a_value_opens_where_it_was_sealed_and_nowhere_else() {
        let (here, elsewhere) = (store(1), store(2));
        let place = Place { store: &here, table: "responses", key: "a" };
        let values = values(&[SECRET]);
        let sealed = values.seal(&place, &value(), NOW).unwrap();
        assert_eq!(values.open(&place, &sealed, NOW).unwrap(), value());
        for other in [
            Place { store: &elsewhere, ..place },
            Place { table: "redirects", ..place },
            Place { key: "b", ..place },
        ] {
            assert_eq!(kind(values.open(&other, &sealed, NOW)), ErrorKind::Tampered);
        }
    }

    #[test]
    fn no_byte_can_be_changed_cut_or_added() {
        let here = store(1);
        let place = Place { store: &here, table: "responses", key: "a" };
        let values = values(&[SECRET]);
        let sealed = values.seal(&place, &value(), NOW).unwrap();
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(matches!(
                kind(values.open(&place, &changed, NOW)),
                ErrorKind::Tampered | ErrorKind::KeyUnavailable
            ));
            assert_eq!(kind(values.open(&place, &sealed[..at], NOW)), ErrorKind::Tampered);
        }
        assert_eq!(kind(values.open(&place, &[&sealed[..], b"."].concat(), NOW)), ErrorKind::Tampered);
    }

    #[test]
    fn what_has_no_seal_is_refused_before_it_is_read() {
        let here = store(1);
        let place = Place { store: &here, table: "responses", key: "a" };
        let unsealed = [value().to_pickle(), cbor::write(&value()).unwrap(), b"{}".to_vec(), vec![]];
        for unsealed in unsealed {
            assert_eq!(kind(values(&[SECRET]).open(&place, &unsealed, NOW)), ErrorKind::Tampered);
        }
    }

    #[test]
    fn of_several_keys_the_last_seals_and_all_open() {
        let here = store(1);
        let place = Place { store: &here, table: "responses", key: "a" };
        let new = &b"another secret, also of 32 random bytes"[..];
        let (before, during, after) = (values(&[SECRET]), values(&[SECRET, new]), values(&[new]));
        let sealed = before.seal(&place, &value(), NOW).unwrap();
        assert_eq!(during.open(&place, &sealed, NOW).unwrap(), value());
        assert_eq!(kind(after.open(&place, &sealed, NOW)), ErrorKind::KeyUnavailable);
        let sealed = during.seal(&place, &value(), NOW).unwrap();
        assert_eq!(after.open(&place, &sealed, NOW).unwrap(), value());
    }

    #[test]
    fn a_long_value_lies_in_pieces_that_keep_their_order() {
        let here = store(1);
        let place = Place { store: &here, table: "responses", key: "a" };
        let values = values(&[SECRET]);
        let value = Value::Bytes(vec![7; 2 * PIECE + 1].into());
        let sealed = values.seal(&place, &value, NOW).unwrap();
        assert_eq!(values.open(&place, &sealed, NOW).unwrap(), value);
        let (id, pieces) = sealed.split_at(16);
        let length = 4 + u32::from_be_bytes(*pieces.first_chunk().unwrap()) as usize;
        let (first, rest) = pieces.split_at(length);
        let (second, last) = rest.split_at(length);
        for changed in [&[id, second, first, last][..], &[id, first, second], &[id, first, last]] {
            assert_eq!(kind(values.open(&place, &changed.concat(), NOW)), ErrorKind::Tampered);
        }
    }

    #[test]
    fn a_secret_that_can_be_guessed_is_refused() {
        for weak in [&b""[..], b"a different key", &[b'a'; 64]] {
            assert_eq!(keyring_of_secret(weak).unwrap_err().kind(), ErrorKind::Config);
        }
    }
}
