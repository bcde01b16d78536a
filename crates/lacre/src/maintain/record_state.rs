//! The state of each record in a listing, and the counts by state.
//!
//! An *entry* is a stored response. An *index record* leads to entries: to the variants of a
//! response, or to another row. Index records are counted apart. A record that does not open counts
//! as the kind that the store names; one that was tampered with counts as an entry. A wrong setting
//! is not tampering ([decision
//! 21](../../../../docs/decisions/0021-configuration-mismatch-is-not-tampering.md)).

use crate::storage::RecordKind;
use crate::{Error, ErrorKind};
use lacre_seal::{Fault, FaultKind, Suite};

/// The state of a record: good, or the reason why it does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// It opens.
    Good,
    /// Tampered with, moved, replayed or damaged: verification fails with its own suite and key.
    Bad,
    /// The keyring lacks its key.
    NoKey,
    /// Genuine, but sealed with a suite that the cache does not accept.
    SuiteMismatch(Suite),
    /// Genuine, but sealed in another namespace.
    NamespaceMismatch,
    /// It needs a newer release, or a format or stage that this cache lacks.
    Unsupported,
    /// The seal has expired.
    Expired,
    /// The seal is older than the epoch of the keyring: it was revoked.
    Revoked,
}

impl RecordState {
    /// The number of states. Suites are not told apart.
    pub const COUNT: usize = 8;

    /// The state of a record whose opening failed with `error`.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let kind = error.fault().map(Fault::kind);
        match error.kind() {
            ErrorKind::KeyUnavailable => Self::NoKey,
            ErrorKind::SuiteMismatch(suite) => Self::SuiteMismatch(suite),
            ErrorKind::NamespaceMismatch => Self::NamespaceMismatch,
            ErrorKind::Unsupported => Self::Unsupported,
            ErrorKind::Lapsed if matches!(kind, Some(FaultKind::Revoked(_))) => Self::Revoked,
            ErrorKind::Lapsed => Self::Expired,
            _ => Self::Bad,
        }
    }

    /// The position of the state in the order of declaration, below [`COUNT`](Self::COUNT).
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Good => 0,
            Self::Bad => 1,
            Self::NoKey => 2,
            Self::SuiteMismatch(_) => 3,
            Self::NamespaceMismatch => 4,
            Self::Unsupported => 5,
            Self::Expired => 6,
            Self::Revoked => 7,
        }
    }
}

/// The number of records in each state.
#[derive(Clone, Debug, Default)]
pub struct StateCounts {
    counts: [usize; RecordState::COUNT],
    index_records: usize,
    suites: Vec<Suite>,
}

impl StateCounts {
    /// Counts a record.
    pub fn count(&mut self, kind: RecordKind, state: RecordState) {
        if kind == RecordKind::Index && state != RecordState::Bad {
            self.index_records += 1;
        } else {
            self.counts[state.index()] += 1;
        }
        if let RecordState::SuiteMismatch(suite) = state
            && !self.suites.contains(&suite)
        {
            self.suites.push(suite);
        }
    }

    /// The number of entries.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The number of index records.
    #[must_use]
    pub fn index_records(&self) -> usize {
        self.index_records
    }

    /// The number of entries in this state. [`SuiteMismatch`](RecordState::SuiteMismatch) counts
    /// every other suite.
    #[must_use]
    pub fn of(&self, state: RecordState) -> usize {
        self.counts[state.index()]
    }

    /// The number of entries in each state, by [`RecordState::index`].
    #[must_use]
    pub fn by_state(&self) -> [usize; RecordState::COUNT] {
        self.counts
    }

    /// The suites of records in the state [`SuiteMismatch`](RecordState::SuiteMismatch).
    #[must_use]
    pub fn other_suites(&self) -> &[Suite] {
        &self.suites
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_one_state_and_index_records_are_counted_apart() {
        let mut counts = StateCounts::default();
        let other_suite = RecordState::SuiteMismatch(Suite::Blake3);
        let states =
            [RecordState::Good, RecordState::Bad, RecordState::NoKey, other_suite, RecordState::Revoked];
        for state in states {
            counts.count(RecordKind::Entry, state);
            counts.count(RecordKind::Index, state);
        }
        // A record that was tampered with counts as an entry.
        assert_eq!((counts.entries(), counts.index_records(), counts.of(RecordState::Bad)), (6, 4, 2));
        assert_eq!(counts.by_state().iter().sum::<usize>(), counts.entries());
        assert_eq!(counts.other_suites(), [Suite::Blake3]);
    }
}
