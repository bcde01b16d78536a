//! What a cache remembers of each row, so that an older record which comes back is refused: it is genuine, and was sealed for this
//! very place, so its seal alone cannot tell.
//!
//! Two rules, neither of which raises an alarm where writers race. A record that this cache knows to have been replaced never comes back,
//! since no two envelopes have the same commitment. And no record is older than the newest by more than [`SKEW`]. What is compared was
//! known before the store was asked: a read that a write overtakes is none of this. The memory is bounded, and ends with the process.

use crate::{Error, ErrorKind};
use hashlink::LruCache;
use lacre_core::Key;
use lacre_seal::{Header, UnixMillis};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By how many milliseconds writers may disagree: their clocks, and the time from sealing a record to its turn to be written.
pub(super) const SKEW: u64 = 10_000;

/// Keys remembered, in all shards; the least recently used are forgotten first.
const MOST: usize = 1 << 16;
const SHARDS: usize = 16;

/// The newest records seen, by row.
pub(super) struct Newest([Mutex<LruCache<Key, Known>>; SHARDS]);

/// What tells one opened envelope from another of the same row.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    created: UnixMillis,
    tag: Tag,
}

/// The start of a commitment. Only of envelopes that opened: nobody can choose one to fit another's.
type Tag = [u8; 8];

/// What is known of a row.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// No older record is to come.
    since: UnixMillis,
    /// What was found or written last; absent where it was removed.
    tag: Option<Tag>,
    /// What is certain to have been replaced or removed, newest first.
    past: [Option<Tag>; 3],
}

impl Mark {
    /// Of an envelope that opened, or that was just sealed.
    pub(super) fn of(sealed: &[u8], created: UnixMillis) -> Self {
        Self { created, tag: tag(sealed) }
    }

    /// Whether `sealed`, which need not open, passes for the same envelope.
    pub(super) fn is_of(self, sealed: &[u8]) -> bool {
        self.tag == tag(sealed)
    }
}

fn tag(sealed: &[u8]) -> Tag {
    let commitment = Header::peek_commitment_unverified(sealed).unwrap_or_default();
    let mut tag = Tag::default();
    tag.copy_from_slice(&commitment[..8]);
    tag
}

impl Default for Newest {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(LruCache::new(MOST / SHARDS))))
    }
}

impl Newest {
    /// What is known of `key`: to be asked for before the store is.
    pub(super) fn known(&self, key: &Key) -> Option<Known> {
        self.shard(key).get(key).copied()
    }

    /// Takes note of a record that was found.
    ///
    /// # Errors
    /// It had been replaced by a newer one when the store was asked.
    pub(super) fn found(&self, key: &Key, before: Option<Known>, mark: Mark) -> Result<(), Error> {
        if let Some(known) = before {
            if known.tag == Some(mark.tag) {
                return Ok(());
            }
            if known.past.contains(&Some(mark.tag))
                || mark.created.as_millis().saturating_add(SKEW) < known.since.as_millis()
            {
                return Err(rolled_back());
            }
        }
        self.note(key, before, Some(mark.tag), |since| since.max(mark.created));
        Ok(())
    }

    /// Takes note of a record that was written. It is the newest whatever its time: clocks are set back, too.
    pub(super) fn wrote(&self, key: &Key, before: Option<Known>, mark: Mark) {
        self.note(key, before, Some(mark.tag), |_| mark.created);
    }

    /// Takes note that the row was removed.
    pub(super) fn removed(&self, key: &Key, before: Option<Known>, now: UnixMillis) {
        self.note(key, before, None, |_| now);
    }

    fn note(
        &self,
        key: &Key,
        before: Option<Known>,
        tag: Option<Tag>,
        since: impl FnOnce(UnixMillis) -> UnixMillis,
    ) {
        let mut shard = self.shard(key);
        let there = shard.get(key).copied();
        // Where somebody else took note meanwhile, which of the two came last is not certain.
        let certain = there.is_none_or(|there| before.is_some_and(|before| before.tag == there.tag));
        let mut known = there.or(before).unwrap_or_default();
        known.since = since(known.since);
        if certain && known.tag != tag {
            known.past = known.all_past();
            known.tag = tag;
        }
        shard.insert(*key, known);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, LruCache<Key, Known>> {
        let shard = usize::from(key.as_bytes()[31]) % SHARDS;
        // A panic cannot leave a shard half changed: nothing foreign runs under the lock.
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { since: UnixMillis::from_millis(0), tag: None, past: [None; 3] }
    }
}

impl Known {
    /// Its past once what is here now is past, too.
    fn all_past(self) -> [Option<Tag>; 3] {
        let [first, second, _] = self.past;
        if self.tag.is_some() { [self.tag, first, second] } else { self.past }
    }
}

impl std::fmt::Debug for Newest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Newest").finish_non_exhaustive()
    }
}

fn rolled_back() -> Error {
    Error::new(ErrorKind::Tampered, "an older record was put back in place of a newer one; remove the record")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::from_bytes([1; 32]);

    fn mark(tag: u8, created: u64) -> Mark {
        Mark { created: UnixMillis::from_millis(created), tag: [tag; 8] }
    }

    /// A read with nothing in between.
    fn finds(newest: &Newest, mark: Mark) -> bool {
        newest.found(&KEY, newest.known(&KEY), mark).is_ok()
    }

    fn writes(newest: &Newest, mark: Mark) {
        newest.wrote(&KEY, newest.known(&KEY), mark);
    }

    #[test]
    fn what_was_replaced_never_comes_back_however_young() {
        let newest = Newest::default();
        assert!(finds(&newest, mark(1, 100)));
        writes(&newest, mark(2, 100));
        assert!(!finds(&newest, mark(1, 100)));
        assert!(finds(&newest, mark(2, 100)) && finds(&newest, mark(3, 101)));
        assert!(!finds(&newest, mark(2, 100)) && !finds(&newest, mark(1, 100)));
        assert!(finds(&newest, mark(3, 101)));
    }

    #[test]
    fn what_is_older_than_writers_may_disagree_is_refused_though_never_seen() {
        let newest = Newest::default();
        writes(&newest, mark(1, 100_000));
        assert!(!finds(&newest, mark(2, 100_000 - SKEW - 1)));
        assert!(finds(&newest, mark(3, 100_000 - SKEW)));
    }

    #[test]
    fn what_was_removed_stays_away() {
        let newest = Newest::default();
        writes(&newest, mark(1, 100));
        newest.removed(&KEY, newest.known(&KEY), UnixMillis::from_millis(100_000));
        assert!(!finds(&newest, mark(1, 100)));
        assert!(!finds(&newest, mark(2, 200)));
        assert!(finds(&newest, mark(3, 100_000)));
    }

    #[test]
    fn a_read_that_a_write_overtakes_is_no_alarm() {
        let newest = Newest::default();
        assert!(finds(&newest, mark(1, 100)));
        let before = newest.known(&KEY);
        writes(&newest, mark(2, 100_000));
        assert!(newest.found(&KEY, before, mark(1, 100)).is_ok(), "it was there when it was read");
        assert!(finds(&newest, mark(2, 100_000)), "and takes nothing from what came after");
        assert!(!finds(&newest, mark(1, 100)));
    }

    #[test]
    fn of_two_writes_at_a_time_either_may_be_the_last() {
        let newest = Newest::default();
        let before = newest.known(&KEY);
        newest.wrote(&KEY, before, mark(1, 100));
        newest.wrote(&KEY, before, mark(2, 101));
        assert!(finds(&newest, mark(2, 101)));
        let newest = Newest::default();
        newest.wrote(&KEY, before, mark(1, 100));
        newest.wrote(&KEY, before, mark(2, 101));
        assert!(finds(&newest, mark(1, 100)));
    }

    #[test]
    fn a_clock_that_was_set_back_is_no_alarm_for_who_writes() {
        let newest = Newest::default();
        writes(&newest, mark(1, 1_000_000));
        writes(&newest, mark(2, 500));
        assert!(finds(&newest, mark(2, 500)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let newest = Newest::default();
        for n in 0..100_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            key[31] = n as u8;
            newest.wrote(&Key::from_bytes(key), None, mark(1, 1));
        }
        let held: usize = newest.0.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert_eq!(held, MOST);
    }
}
