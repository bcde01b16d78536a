//! What a full store knows besides what it holds: which records were read lately, and where it is no use to look. All of it in memory:
//! a hit writes nothing anywhere.

use lacre_core::{Key, Timestamp};
use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Which records were read lately. Marks for them, a fixed number of bits. Records may share one: then both are spared once.
pub(super) struct RecentReads(Box<[AtomicU64]>);

/// 2^20 marks, 128 KiB.
const WORDS: usize = 1 << 14;

impl RecentReads {
    /// No record is marked.
    pub(super) fn new() -> Self {
        Self((0..WORDS).map(|_| AtomicU64::new(0)).collect())
    }

    /// The record under `key` was read.
    pub(super) fn mark(&self, key: &Key) {
        // Hits of many threads on one record share the line in their caches as long as nobody writes to it.
        if !self.is_marked(key) {
            let (word, bit) = self.place(key);
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// Those of a sample, best to go first, that a full store can do without: what expired, and what was not read since it was last told
    /// apart like this. Where all of it was read, its first is not spared, and the others not the next time.
    pub(super) fn victims(&self, sample: &[EvictionCandidate]) -> Vec<Key> {
        let unread = |old: &&EvictionCandidate| old.expired || !self.is_marked(&old.key);
        let victims: Vec<Key> = sample.iter().filter(unread).map(|old| old.key).collect();
        if victims.is_empty() {
            sample.iter().for_each(|old| self.unmark(&old.key));
            return sample.iter().take(1).map(|old| old.key).collect();
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

    /// Keys are digests. Of their first eight bytes, which are all that some stores know, the last differ between neighbours.
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

/// A record that may have to make room.
pub(super) struct EvictionCandidate {
    pub(super) key: Key,
    pub(super) expired: bool,
}

/// When orphans were last searched for in vain: since that means looking at everything, it is not done again before [`PAUSE`] has passed.
#[derive(Debug)]
pub(super) struct OrphanSearch(AtomicI64);

const PAUSE: Duration = Duration::from_secs(60);

impl OrphanSearch {
    pub(super) fn never() -> Self {
        Self(AtomicI64::new(i64::MIN))
    }

    pub(super) fn in_vain(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }

    /// Whether it is too early to search again.
    pub(super) fn lately(&self, now: Timestamp) -> bool {
        let searched = Timestamp::from_millis(self.0.load(Ordering::Relaxed));
        now < searched.plus(PAUSE) && now >= searched
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old(n: u8, expired: bool) -> EvictionCandidate {
        EvictionCandidate { key: Key::from_bytes([n; 32]), expired }
    }

    fn victims(recent: &RecentReads, sample: &[EvictionCandidate]) -> Vec<u8> {
        recent.victims(sample).iter().map(|key| key.as_bytes()[0]).collect()
    }

    #[test]
    fn what_was_read_is_spared_unless_it_expired() {
        let recent = RecentReads::new();
        [1, 2, 4].iter().for_each(|n| recent.mark(&Key::from_bytes([*n; 32])));
        let sample = [old(1, true), old(2, false), old(3, false), old(4, false), old(5, false)];
        assert_eq!(victims(&recent, &sample), [1, 3, 5]);
        assert_eq!(victims(&recent, &sample), [1, 3, 5], "for as long as there are others");
    }

    #[test]
    fn where_all_was_read_nothing_is_spared_twice() {
        let recent = RecentReads::new();
        let sample = [old(1, false), old(2, false), old(3, false)];
        sample.iter().for_each(|old| recent.mark(&old.key));
        assert_eq!(victims(&recent, &sample), [1]);
        recent.mark(&sample[1].key);
        assert_eq!(victims(&recent, &sample), [1, 3]);
        assert!(victims(&recent, &[]).is_empty());
    }
}
