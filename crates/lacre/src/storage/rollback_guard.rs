//! A memory of each row's versions, so that an older record which was put back is refused. Such a
//! record is genuine and was sealed for this very place, so its seal alone cannot tell.
//!
//! Two rules, and neither raises an alarm where writers race:
//! - A version that this cache knows to have been replaced never comes back. No two envelopes have
//!   the same commitment.
//! - No version is older than the newest known one by more than [`MAX_SKEW`].
//!
//! A read is compared with the history as it was before the store was asked, so that a write which
//! overtakes the read raises no alarm. The memory is bounded, and ends with the process.

use crate::{Error, ErrorKind};
use hashlink::LruCache;
use lacre_core::Key;
use lacre_seal::{Header, UnixMillis};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// By how many milliseconds writers may disagree: the difference of their clocks, and the delay
/// between sealing a record and writing it.
pub(crate) const MAX_SKEW: u64 = 10_000;

/// How many rows are remembered, in all shards. The least recently used are forgotten first.
const MAX_ROWS: usize = 1 << 16;
const SHARDS: usize = 16;

/// The versions seen, by row.
pub(crate) struct RollbackGuard([Mutex<LruCache<Key, History>>; SHARDS]);

/// An opened envelope's creation time and tag, which tell it from others of the same row.
#[derive(Clone, Copy)]
pub(crate) struct Version {
    created: UnixMillis,
    tag: Tag,
}

/// The first bytes of a commitment. Taken only from envelopes that opened, so that nobody can
/// choose one to match another's.
type Tag = [u8; 8];

/// The known versions of a row.
#[derive(Clone, Copy)]
pub(crate) struct History {
    /// The creation time of the newest version.
    since: UnixMillis,
    /// The version read or written last; `None` after a removal.
    tag: Option<Tag>,
    /// Versions that were certainly replaced or removed, newest first.
    past: [Option<Tag>; 3],
}

impl Version {
    /// The version of an envelope that opened, or that was just sealed.
    pub(crate) fn of(sealed: &[u8], created: UnixMillis) -> Self {
        Self { created, tag: tag(sealed) }
    }

    /// Whether `sealed`, which need not open, claims to be the same envelope.
    pub(crate) fn matches(self, sealed: &[u8]) -> bool {
        self.tag == tag(sealed)
    }
}

fn tag(sealed: &[u8]) -> Tag {
    let commitment = Header::peek_commitment_unverified(sealed).unwrap_or_default();
    let mut tag = Tag::default();
    tag.copy_from_slice(&commitment[..8]);
    tag
}

impl Default for RollbackGuard {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(LruCache::new(MAX_ROWS / SHARDS))))
    }
}

impl RollbackGuard {
    /// The history of a row. Take it before the store is asked.
    pub(crate) fn history(&self, key: &Key) -> Option<History> {
        self.shard(key).get(key).copied()
    }

    /// Records a version that was read.
    ///
    /// # Errors
    /// The version had been replaced by a newer one before the store was asked.
    pub(crate) fn check_read(
        &self,
        key: &Key,
        before: Option<History>,
        version: Version,
    ) -> Result<(), Error> {
        if let Some(history) = before {
            if history.tag == Some(version.tag) {
                return Ok(());
            }
            if history.past.contains(&Some(version.tag))
                || version.created.as_millis().saturating_add(MAX_SKEW) < history.since.as_millis()
            {
                return Err(rolled_back());
            }
        }
        self.update(key, before, Some(version.tag), |since| since.max(version.created));
        Ok(())
    }

    /// Records a version that was written. It is the newest whatever its time, since clocks are set
    /// back.
    pub(crate) fn record_write(&self, key: &Key, before: Option<History>, version: Version) {
        self.update(key, before, Some(version.tag), |_| version.created);
    }

    /// Records the removal of a row.
    pub(crate) fn record_removal(&self, key: &Key, before: Option<History>, now: UnixMillis) {
        self.update(key, before, None, |_| now);
    }

    fn update(
        &self,
        key: &Key,
        before: Option<History>,
        tag: Option<Tag>,
        since: impl FnOnce(UnixMillis) -> UnixMillis,
    ) {
        let mut shard = self.shard(key);
        let current = shard.get(key).copied();
        // After a concurrent update it is not certain which of the two came last.
        let certain = current.is_none_or(|current| before.is_some_and(|before| before.tag == current.tag));
        let mut history = current.or(before).unwrap_or_default();
        history.since = since(history.since);
        if certain && history.tag != tag {
            history.past = history.with_current_as_past();
            history.tag = tag;
        }
        shard.insert(*key, history);
    }

    fn shard(&self, key: &Key) -> MutexGuard<'_, LruCache<Key, History>> {
        let shard = usize::from(key.as_bytes()[31]) % SHARDS;
        // No foreign code runs under the lock, so a panic cannot leave a shard half changed.
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for History {
    fn default() -> Self {
        Self { since: UnixMillis::from_millis(0), tag: None, past: [None; 3] }
    }
}

impl History {
    /// The past versions, once the current one is past too.
    fn with_current_as_past(self) -> [Option<Tag>; 3] {
        let [first, second, _] = self.past;
        if self.tag.is_some() { [self.tag, first, second] } else { self.past }
    }
}

impl std::fmt::Debug for RollbackGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RollbackGuard").finish_non_exhaustive()
    }
}

fn rolled_back() -> Error {
    Error::new(ErrorKind::Tampered, "an older record was put back in place of a newer one; remove the record")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = Key::from_bytes([1; 32]);

    fn version(tag: u8, created: u64) -> Version {
        Version { created: UnixMillis::from_millis(created), tag: [tag; 8] }
    }

    /// A read with nothing in between.
    fn finds(guard: &RollbackGuard, version: Version) -> bool {
        guard.check_read(&KEY, guard.history(&KEY), version).is_ok()
    }

    fn writes(guard: &RollbackGuard, version: Version) {
        guard.record_write(&KEY, guard.history(&KEY), version);
    }

    #[test]
    fn a_replaced_version_is_refused_however_young() {
        let guard = RollbackGuard::default();
        assert!(finds(&guard, version(1, 100)));
        writes(&guard, version(2, 100));
        assert!(!finds(&guard, version(1, 100)));
        assert!(finds(&guard, version(2, 100)) && finds(&guard, version(3, 101)));
        assert!(!finds(&guard, version(2, 100)) && !finds(&guard, version(1, 100)));
        assert!(finds(&guard, version(3, 101)));
    }

    #[test]
    fn a_version_older_than_the_skew_is_refused_though_never_seen() {
        let guard = RollbackGuard::default();
        writes(&guard, version(1, 100_000));
        assert!(!finds(&guard, version(2, 100_000 - MAX_SKEW - 1)));
        assert!(finds(&guard, version(3, 100_000 - MAX_SKEW)));
    }

    #[test]
    fn a_removed_version_is_refused() {
        let guard = RollbackGuard::default();
        writes(&guard, version(1, 100));
        guard.record_removal(&KEY, guard.history(&KEY), UnixMillis::from_millis(100_000));
        assert!(!finds(&guard, version(1, 100)));
        assert!(!finds(&guard, version(2, 200)));
        assert!(finds(&guard, version(3, 100_000)));
    }

    #[test]
    fn a_write_that_overtakes_a_read_raises_no_alarm() {
        let guard = RollbackGuard::default();
        assert!(finds(&guard, version(1, 100)));
        let before = guard.history(&KEY);
        writes(&guard, version(2, 100_000));
        assert!(guard.check_read(&KEY, before, version(1, 100)).is_ok(), "it was there when it was read");
        assert!(finds(&guard, version(2, 100_000)), "and takes nothing from what came after");
        assert!(!finds(&guard, version(1, 100)));
    }

    #[test]
    fn either_of_two_concurrent_writes_may_be_the_last() {
        let guard = RollbackGuard::default();
        let before = guard.history(&KEY);
        guard.record_write(&KEY, before, version(1, 100));
        guard.record_write(&KEY, before, version(2, 101));
        assert!(finds(&guard, version(2, 101)));
        let guard = RollbackGuard::default();
        guard.record_write(&KEY, before, version(1, 100));
        guard.record_write(&KEY, before, version(2, 101));
        assert!(finds(&guard, version(1, 100)));
    }

    #[test]
    fn a_writer_whose_clock_was_set_back_raises_no_alarm() {
        let guard = RollbackGuard::default();
        writes(&guard, version(1, 1_000_000));
        writes(&guard, version(2, 500));
        assert!(finds(&guard, version(2, 500)));
    }

    #[test]
    fn the_memory_is_bounded() {
        let guard = RollbackGuard::default();
        for n in 0..100_000_u32 {
            let mut key = [0; 32];
            key[..4].copy_from_slice(&n.to_be_bytes());
            key[31] = n as u8;
            guard.record_write(&Key::from_bytes(key), None, version(1, 1));
        }
        let held: usize = guard.0.iter().map(|shard| shard.lock().unwrap().len()).sum();
        assert_eq!(held, MAX_ROWS);
    }
}
