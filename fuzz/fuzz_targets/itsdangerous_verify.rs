//! Whatever claims to be signed: verifying it never panics, and what verifies is what signing makes of its value.
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
    // Past the signature: any bytes, rightly signed.
    if let Ok(stamped) = TIMESTAMP_SIGNER.verify(&SIGNER.sign(signed)) {
        assert_eq!(TIMESTAMP_SIGNER.sign(stamped.value.as_bytes(), stamped.signed_at), SIGNER.sign(signed));
    }
});
