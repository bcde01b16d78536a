//! Whatever stands in a key file: reading it never panics, and a ring that was read survives its own text.
#![no_main]

use lacre_seal::Keyring;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(ring) = Keyring::parse(text) {
        let text = ring.to_text();
        let again = Keyring::parse(&text).expect("a ring reads its own text");
        assert_eq!(again.to_text(), text);
        assert!(again.key_ids().eq(ring.key_ids()));
    }
});
