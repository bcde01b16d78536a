//! Whatever stands in a file that a passphrase locks: reading it never panics, and what opens is the ring of the corpus.
#![no_main]

use lacre_seal::Passphrase;
use libfuzzer_sys::{Corpus, fuzz_target};

/// What locked the genuine files of the corpus (`vectors/passphrase.json`), and what is in them; they protect nothing.
const PASSPHRASE: &str = "correct horse battery";
const RING: &str = include_str!("../corpus/passphrase_unlock/ring");
/// KiB times passes: what the genuine files ask for.
const AFFORDABLE: u64 = 2 * 19_456;

fuzz_target!(|text: &str| -> Corpus {
    if text.lines().filter_map(price).any(|price| price > AFFORDABLE) {
        // It would be paid for, or be refused by its number alone: a test's concern.
        return Corpus::Reject;
    }
    let passphrase = Passphrase::new(PASSPHRASE.to_owned().into()).expect("a passphrase that is not weak");
    if let Ok(ring) = passphrase.unlock(text) {
        assert_eq!(*ring.to_text(), RING);
    }
    Corpus::Keep
});

fn price(line: &str) -> Option<u64> {
    let mut numbers = line.strip_prefix("argon2id ")?.split(' ').map(str::parse::<u64>);
    let (memory, passes) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    Some(memory.saturating_mul(passes))
}
