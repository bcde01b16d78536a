//! Undoes a stage on arbitrary bytes.
//!
//! Undoing never panics and never exceeds the limit. Its output is equal after the stage is applied
//! and undone.
#![no_main]

use lacre::Authentic;
use lacre::stage::{Brotli, Gzip, Lz4, Stage, Zstd};
use libfuzzer_sys::fuzz_target;

const STAGES: [&dyn Stage; 4] = [&Zstd, &Gzip, &Lz4, &Brotli];

fuzz_target!(|input: &[u8]| {
    let [stage, scale, staged @ ..] = input else { return };
    let stage = STAGES[usize::from(*stage) % STAGES.len()];
    let limit = 1 << (scale % 20);
    let Ok(plain) = stage.back(Authentic::danger_assume(staged.to_vec()), limit) else { return };
    assert!(plain.len() <= limit);
    let again = stage.forward(plain.as_bytes()).expect("a stage accepts any bytes");
    let back =
        stage.back(Authentic::danger_assume(again), plain.len()).expect("the stage undoes its own output");
    assert_eq!(back, plain);
});
