//! Opens arbitrary bytes as a sealed value of the Python package.
//!
//! Opening never panics. Bytes that were not sealed do not open. Arbitrary content that was sealed
//! with the key is either refused, or opens to the same value after it is sealed again.
//!
//! The first byte of the input selects the form of the rest: 0 for stored bytes, another for
//! content to be sealed in that many pieces.
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
        assert!(values.open(&PLACE, content, NOW).is_err(), "unsealed bytes do not open");
        return;
    }
    let sealed = sealed(content, usize::from(*pieces));
    let Ok(value) = values.open(&PLACE, &sealed, NOW) else { return };
    let again = values.seal(&PLACE, &value, NOW).expect("an opened value can be sealed");
    let again = values.open(&PLACE, &again, NOW).expect("a sealed value opens");
    // Compared as text, because NaN is not equal to itself.
    assert_eq!(format!("{again:?}"), format!("{value:?}"));
});

/// A sealed value (docs/format.md §14) in this many pieces.
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
