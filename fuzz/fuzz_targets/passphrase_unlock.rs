//! Unlocks arbitrary text as a passphrase-protected keyring.
//!
//! Unlocking never panics. Text that unlocks is the keyring of the corpus.
#![no_main]

use lacre_seal::Passphrase;
use libfuzzer_sys::{Corpus, fuzz_target};

/// The passphrase and the keyring of the valid files in the corpus (`vectors/passphrase.json`).
/// They protect nothing.
const PASSPHRASE: &str = "correct horse battery";
const RING: &str = include_str!("../corpus/passphrase_unlock/ring");
/// The cost of the valid files: KiB times passes.
const MAX_COST: u64 = 2 * 19_456;

fuzz_target!(|text: &str| -> Corpus {
    if text.lines().filter_map(cost).any(|cost| cost > MAX_COST) {
        // Deriving the key would take too long here. Tests cover the limits.
        return Corpus::Reject;
    }
    let passphrase = Passphrase::new(PASSPHRASE.to_owned().into()).expect("the passphrase is strong enough");
    if let Ok(ring) = passphrase.unlock(text) {
        assert_eq!(*ring.to_text(), RING);
    }
    Corpus::Keep
});

/// The cost that a line asks for.
fn cost(line: &str) -> Option<u64> {
    let mut numbers = line.strip_prefix("argon2id ")?.split(' ').map(str::parse::<u64>);
    let (memory, passes) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(memory.saturating_mul(passes))
}
