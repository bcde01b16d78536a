//! Parses arbitrary text as a keyring.
//!
//! Parsing never panics. A keyring that parses is equal after it is written and parsed again.
#![no_main]

use lacre_seal::Keyring;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(ring) = Keyring::parse(text) {
        let text = ring.to_text();
        let again = Keyring::parse(&text).expect("the text of a keyring parses");
        assert_eq!(again.to_text(), text);
        assert!(again.key_ids().eq(ring.key_ids()));
    }
});
