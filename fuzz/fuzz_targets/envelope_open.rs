//! Opens arbitrary bytes as an envelope.
//!
//! Opening never panics. An envelope that opens has the lengths in its header, and its head opens
//! to the same on its own.
#![no_main]

use std::sync::{Arc, LazyLock};

use lacre_seal::{Context, Header, Keyring, Purpose, Sealer, StoreId, Suite, UnixMillis};
use libfuzzer_sys::fuzz_target;

/// The keyring of the valid envelopes in the corpus (`vectors/envelope.json`). It protects nothing.
const RING: &str = include_str!("../corpus/keyring_parse/ring");
const STORE: StoreId =
    StoreId::from_bytes(*b"\x5c\xfb\x5b\x21\x29\x1d\xa6\x63\x20\x18\x0d\x0c\xa0\x59\x13\xbc");
const KEY: [u8; 32] = *b"\xb4\xeb\x3a\xc3\x25\xae\xa3\x13\x5b\xa5\xaa\x58\x38\x3f\x69\x98\
                         \x8e\x89\x0f\xe8\xa3\xba\x2b\xc3\xbd\x67\xaa\xe1\x38\x4c\x35\x93";
const NOW: UnixMillis = UnixMillis::from_millis(1_700_000_001_000);

static SEALER: LazyLock<Sealer> = LazyLock::new(|| {
    let ring = Keyring::parse(RING).expect("the keyring of the corpus parses");
    let sealer = Sealer::new(Arc::new(ring), Suite::default());
    Suite::ALL.into_iter().fold(sealer, Sealer::also_accept)
});

fuzz_target!(|sealed: &[u8]| {
    let at = Context { purpose: Purpose::Slot, store: &STORE, namespace: "app", key: &KEY };
    let peeked = Header::peek_unverified(sealed);
    if let Ok(opened) = SEALER.open(&at, sealed, NOW) {
        let header = peeked.expect("an envelope that opens has a header");
        assert_eq!((opened.head.len(), opened.body.len()), (header.head_len, header.body_len));
        let (head, seal) = SEALER.open_head(&at, sealed, NOW).expect("an envelope that opens has a head");
        assert_eq!((head, seal), (opened.head, header.seal));
    }
});
