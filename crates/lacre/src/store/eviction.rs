//! Second-chance (CLOCK) eviction over a random sample, and pauses between searches for orphans.
//! All of it is in memory: a hit writes nothing to the store.

use lacre_core::{Key, Timestamp};
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Marks of recently read records: a fixed number of bits. Two records may share a bit; then both
/// are spared once.
pub(super) struct RecentReads(Box<[AtomicU64]>);

/// 2^20 marks, 128 KiB.
const WORDS: usize = 1 << 14;

impl RecentReads {
    /// Creates a set without marks.
    pub(super) fn new() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Marks the record under `key` as read.
    pub(super) fn mark(&self, key: &Key) {
        // Only an unmarked record is written to, so that threads that read one record share its
        // cache line.
        if !self.is_marked(key) {
            let (word, bit) = self.place(key);
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// The records of a sample that may be evicted: expired ones, and those not read since the last
    /// sample. If all were read, the first is evicted and the marks of the others are cleared.
    pub(super) fn victims(&self, sample: &[EvictionCandidate]) -> Vec<Key> {
        let unread = |candidate: &&EvictionCandidate| candidate.expired || !self.is_marked(&candidate.key);
        let victims: Vec<Key> = sample.iter().filter(unread).map(|candidate| candidate.key).collect();
        if victims.is_empty() {
            sample.iter().for_each(|candidate| self.unmark(&candidate.key));
            return sample.iter().take(1).map(|candidate| candidate.key).collect();
        }
        victims
    }

    fn is_marked(&self, key: &Key) -> bool {
        let (word, bit) = self.place(key);
        word.load(Ordering::Relaxed) & bit != 0
    }

    fn unmark(&self, key: &Key) {
        let (word, bit) = self.place(key);
        word.fetch_and(!bit, Ordering::Relaxed);
    }

    /// Keys are digests. Some stores know only their first eight bytes, of which the last four
    /// differ between neighbours in a store.
    fn place(&self, key: &Key) -> (&AtomicU64, u64) {
        let [_, _, _, _, a, b, c, d, ..] = *key.as_bytes();
        let number = u32::from_be_bytes([a, b, c, d]);
        (&self.0[(number / 64) as usize % WORDS], 1 << (number % 64))
    }
}

impl fmt::Debug for RecentReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RecentReads")
    }
}

/// A record of the sample.
pub(super) struct EvictionCandidate {
    pub(super) key: Key,
    pub(super) expired: bool,
}

/// When the last search for orphans found none. A search looks at every chunk, so the next one
/// waits for [`PAUSE`].
#[derive(Debug)]
pub(super) struct OrphanSearch(AtomicI64);

const PAUSE: Duration = Duration::from_secs(60);

impl OrphanSearch {
    pub(super) fn never() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    pub(super) fn note_no_orphans(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }

    /// Whether it is too early for another search.
    pub(super) fn is_too_early(&self, now: Timestamp) -> bool {
        let searched = Timestamp::from_millis(self.0.load(Ordering::Relaxed));
        now < searched.plus(PAUSE) && now >= searched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(n: u8, expired: bool) -> EvictionCandidate {
        EvictionCandidate { key: Key::from_bytes([n; 32]), expired }
    }

    fn victims(recent: &RecentReads, sample: &[EvictionCandidate]) -> Vec<u8> {
        recent.victims(sample).iter().map(|key| key.as_bytes()[0]).collect()
    }

    #[test]
    fn read_records_are_spared_unless_they_expired() {
        let recent = RecentReads::new();
        [1, 2, 4].iter().for_each(|n| recent.mark(&Key::from_bytes([*n; 32])));
        let sample = [
            candidate(1, true),
            candidate(2, false),
            candidate(3, false),
            candidate(4, false),
            candidate(5, false),
        ];
        assert_eq!(victims(&recent, &sample), [1, 3, 5]);
        assert_eq!(victims(&recent, &sample), [1, 3, 5], "for as long as there are others");
    }

    #[test]
    fn second_chance_is_given_once() {
        let recent = RecentReads::new();
        let sample = [candidate(1, false), candidate(2, false), candidate(3, false)];
        sample.iter().for_each(|candidate| recent.mark(&candidate.key));
        assert_eq!(victims(&recent, &sample), [1]);
        recent.mark(&sample[1].key);
        assert_eq!(victims(&recent, &sample), [1, 3]);
        assert!(victims(&recent, &[]).is_empty());
    }
}
