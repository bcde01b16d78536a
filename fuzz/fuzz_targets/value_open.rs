//! Whatever stands where the Python package had a value: opening it never panics, nothing opens that was not sealed there, and what somebody
//! with the key sealed is read as what it says when it is sealed again, or refused.
//!
//! The first byte of an input tells what the rest is: 0 the stored bytes, another the content of a seal, in as many pieces.
#![no_main]

use std::sync::{Arc, LazyLock};

use blake2b_simd::Params;
use lacre::Timestamp;
use lacre::interchange::requests_cache::{Place, SealedValues};
use lacre_seal::{BodyId, Context, Keyring, Lifetime, Position, Purpose, Sealer, StoreId, Suite, UnixMillis};
use libfuzzer_sys::fuzz_target;

const STORE: StoreId = StoreId::from_bytes([7; 16]);
const PLACE: Place<'static> = Place { store: &STORE, table: "responses", key: "0123456789abcdef" };
const NOW: Timestamp = Timestamp::from_millis(1_700_000_001_000);

static WORLD: LazyLock<(SealedValues, Sealer)> = LazyLock::new(|| {
    let ring = Arc::new(Keyring::generate().expect("a ring"));
    (SealedValues::new([ring.clone()]).expect("a key"), Sealer::new(ring, Suite::Aes256Gcm))
});

fuzz_target!(|input: &[u8]| {
    let Some((pieces, content)) = input.split_first() else { return };
    let (values, _) = &*WORLD;
    if *pieces == 0 {
        assert!(values.open(&PLACE, content, NOW).is_err(), "what nobody sealed was opened");
        return;
    }
    let sealed = sealed(content, usize::from(*pieces));
    let Ok(value) = values.open(&PLACE, &sealed, NOW) else { return };
    let again = values.seal(&PLACE, &value, NOW).expect("what was read can be sealed");
    let again = values.open(&PLACE, &again, NOW).expect("what was sealed opens");
    // A float that is no number is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{value:?}"));
});

/// As docs/format.md §14 has it, in pieces of any length.
fn sealed(content: &[u8], pieces: usize) -> Vec<u8> {
    let hash = Params::new().hash_length(32).personal(b"lacre/v1/row").hash(PLACE.key.as_bytes());
    let key = hash.as_bytes().try_into().expect("32 bytes");
    let id = BodyId::from_bytes([9; 16]);
    let life = Lifetime::unbounded(UnixMillis::from_millis(1_700_000_000_000));
    let mut sealed = id.as_bytes().to_vec();
    let length = content.len().div_ceil(pieces).max(1);
    let cuts: Vec<_> = if content.is_empty() { vec![content] } else { content.chunks(length).collect() };
    for (index, piece) in cuts.iter().enumerate() {
        let position = if index + 1 == cuts.len() { Position::Last } else { Position::Inner };
        let purpose = Purpose::Value { value: id, index: index as u32, position };
        let at = Context { purpose, store: &STORE, namespace: PLACE.table, key: &key };
        let envelope = WORLD.1.seal(&at, life, &[], piece).expect("a piece");
        sealed.extend_from_slice(&(envelope.len() as u32).to_be_bytes());
        sealed.extend(envelope);
    }
    sealed
}
