//! Whatever a head may be, in any format: reading it never panics, and what is read survives being written in every format.
#![no_main]

use lacre::codec::{self, Bson, Cbor, Format, Json, MessagePack, Yaml};
use lacre::{Authentic, Slot};
use libfuzzer_sys::fuzz_target;

const FORMATS: [&dyn Format; 5] = [&Cbor, &Json, &Yaml, &MessagePack, &Bson];

fuzz_target!(|head: &[u8]| {
    let Ok(slot) = codec::decode(&Authentic::danger_assume(head.to_vec())) else { return };
    // BSON has no larger integers.
    let too_long = matches!(&slot, Slot::Entry(entry) if i64::try_from(entry.body.length).is_err());
    for format in FORMATS {
        let mut written = Vec::new();
        match format.encode(&slot, &mut written) {
            Ok(()) => {
                let again = format.decode(&Authentic::danger_assume(written));
                assert_eq!(again.expect("what was written is read"), slot, "{format:?}");
            }
            Err(error) => assert!(too_long && format.id() == Bson.id(), "{format:?}: {error}"),
        }
    }
});
