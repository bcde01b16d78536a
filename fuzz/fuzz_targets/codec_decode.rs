//! Decodes arbitrary bytes as a head, in any format.
//!
//! Decoding never panics. A head that decodes is equal after it is encoded and decoded in every
//! format.
#![no_main]

use lacre::codec::{self, Bson, Cbor, Format, Json, MessagePack, Yaml};
use lacre::{Authentic, Slot};
use libfuzzer_sys::fuzz_target;

const FORMATS: [&dyn Format; 5] = [&Cbor, &Json, &Yaml, &MessagePack, &Bson];

fuzz_target!(|head: &[u8]| {
    let Ok(slot) = codec::decode(&Authentic::danger_assume(head.to_vec())) else { return };
    // BSON has no unsigned 64-bit integers.
    let too_long = matches!(&slot, Slot::Entry(entry) if i64::try_from(entry.body.length).is_err());
    for format in FORMATS {
        let mut written = Vec::new();
        match format.encode(&slot, &mut written) {
            Ok(()) => {
                let again = format.decode(&Authentic::danger_assume(written));
                assert_eq!(again.expect("an encoded head decodes"), slot, "{format:?}");
            }
            Err(error) => assert!(too_long && format.id() == Bson.id(), "{format:?}: {error}"),
        }
    }
});
