//! Verifies arbitrary bytes as a signed value of itsdangerous.
//!
//! Verifying never panics. A value that verifies is, byte for byte, what signing it produces.
#![no_main]

use std::sync::LazyLock;

use lacre_seal::itsdangerous::{Signer, TimestampSigner};
use libfuzzer_sys::fuzz_target;

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    Signer::builder().secret("lacre-test-key").salt("requests-cache").build().expect("usable settings")
});
static TIMESTAMP_SIGNER: LazyLock<TimestampSigner> = LazyLock::new(|| TimestampSigner::new(SIGNER.clone()));

fuzz_target!(|signed: &[u8]| {
    if let Ok(value) = SIGNER.verify(signed) {
        assert_eq!(SIGNER.sign(value.as_bytes()), signed);
    }
    if let Ok(stamped) = TIMESTAMP_SIGNER.verify(signed) {
        assert_eq!(TIMESTAMP_SIGNER.sign(stamped.value.as_bytes(), stamped.signed_at), signed);
    }
    // Arbitrary bytes with a valid signature.
    if let Ok(stamped) = TIMESTAMP_SIGNER.verify(&SIGNER.sign(signed)) {
        assert_eq!(TIMESTAMP_SIGNER.sign(stamped.value.as_bytes(), stamped.signed_at), SIGNER.sign(signed));
    }
});
