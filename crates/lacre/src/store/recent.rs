//! Which records were read lately, so that a full store spares them. A mark in memory for each: a hit writes nothing anywhere.

use lacre_core::Key;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// Marks for records, a fixed number of bits. Records may share one: then both are spared once.
pub(super) struct Recent(Box<[AtomicU64]>);

/// 2^20 marks, 128 KiB.
const WORDS: usize = 1 << 14;

impl Recent {
    /// No record is marked.
    pub(super) fn new() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// The record under `key` was read.
    pub(super) fn mark(&self, key: &Key) {
        let (word, bit) = self.place(key);
        // Hits of many threads on one record share the line in their caches as long as nobody writes to it.
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Takes the mark off the record under `key`; whether it had one.
    pub(super) fn unmark(&self, key: &Key) -> bool {
        let (word, bit) = self.place(key);
        word.fetch_and(!bit, Ordering::Relaxed) & bit != 0
    }

    /// Keys are digests. Of their first eight bytes, which are all that some stores know, the last differ between neighbours.
    fn place(&self, key: &Key) -> (&AtomicU64, u64) {
        let [_, _, _, _, a, b, c, d, ..] = *key.as_bytes();
        let number = u32::from_be_bytes([a, b, c, d]);
        (&self.0[(number / 64) as usize % WORDS], 1 << (number % 64))
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_taken_off_once() {
        let recent = Recent::new();
        let (one, other) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        recent.mark(&one);
        recent.mark(&one);
        assert!(!recent.unmark(&other));
        assert!(recent.unmark(&one));
        assert!(!recent.unmark(&one));
    }
}
