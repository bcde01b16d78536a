//! What became of stored entries, counted: the same words and numbers in every command.
//!
//! An *entry* is a stored response. *Index records* lead to entries (to the variants of a response, or to another row); they are counted
//! apart. A record that does not open counts as what the store has it for; one that was tampered with always counts as an entry.

use crate::exit::Exit;
use crate::suite_option::SuiteOption;
use lacre::{Error, ErrorKind, FaultKind, RecordKind, Suite};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Whether a record opens, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordState {
    Good,
    /// Tampered with, moved, replayed or damaged: it fails under its own suite and key.
    Bad,
    /// Its key is not in the keyring.
    NoKey,
    /// Genuine, and of a suite that was not asked for.
    SuiteMismatch(Suite),
    /// Genuine, and of another namespace.
    NamespaceMismatch,
    /// It needs a newer release, or a format or stage that this program lacks.
    Unsupported,
    /// Its time is over.
    Expired,
    /// It was sealed before `lacre key revoke-all`.
    Revoked,
}

impl RecordState {
    pub(crate) fn of(error: &Error) -> Self {
        let kind = error.fault().map(lacre::Fault::kind);
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

    /// For programs: the `state` of an entry.
    pub(crate) const fn name(self) -> &'static str {
        STATES[self.index()].0
    }

    /// In a column of a table, in capitals.
    pub(crate) const fn mark(self) -> &'static str {
        match self {
            Self::Good => "GOOD",
            Self::Bad => "BAD",
            Self::NoKey => "NO KEY",
            Self::SuiteMismatch(_) => "SUITE",
            Self::NamespaceMismatch => "NAMESPACE",
            Self::Unsupported => "UNSUPPORTED",
            Self::Expired => "EXPIRED",
            Self::Revoked => "REVOKED",
        }
    }

    const fn index(self) -> usize {
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

/// The name of each state, its field in a summary, and how many of them are called.
const STATES: [(&str, &str, &str); 8] = [
    ("good", "good", "good"),
    ("bad", "bad", "bad"),
    ("no-key", "no_key", "without their key"),
    ("other-suite", "other_suite", "of another suite"),
    ("other-namespace", "other_namespace", "of another namespace"),
    ("unsupported", "unsupported", "unsupported"),
    ("expired", "expired", "expired"),
    ("revoked", "revoked", "revoked"),
];

/// How many records are in which state.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateCounts {
    counts: [usize; STATES.len()],
    index_records: usize,
    /// The suites that were met and not asked for, by the names of `--suite`.
    suites: BTreeSet<&'static str>,
}

impl StateCounts {
    pub(crate) fn count(&mut self, kind: RecordKind, state: RecordState) {
        if kind == RecordKind::Index && state != RecordState::Bad {
            self.index_records += 1;
        } else {
            self.counts[state.index()] += 1;
        }
        if let RecordState::SuiteMismatch(suite) = state {
            self.suites.insert(SuiteOption::of(suite).name());
        }
    }

    pub(crate) fn entries(&self) -> usize {
        self.counts.iter().sum()
    }

    pub(crate) fn index_records(&self) -> usize {
        self.index_records
    }

    /// How many entries are in this state; of another suite, whichever it is.
    pub(crate) fn of(&self, state: RecordState) -> usize {
        self.counts[state.index()]
    }

    /// The same for programs.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::from_iter([("entries".to_owned(), self.entries().into())]);
        object.extend(
            STATES.iter().zip(self.counts).map(|((_, field, _), count)| ((*field).to_owned(), count.into())),
        );
        object.insert("index_records".to_owned(), self.index_records.into());
        object
    }

    /// `1 bad, 2 revoked`: what is not good, without what is nil.
    pub(crate) fn exceptions(&self) -> String {
        let each = STATES.iter().zip(self.counts).skip(1).filter(|(_, count)| *count > 0);
        each.map(|((_, _, words), count)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
    }

    /// What keeps entries from being opened here that are not bad, and what would open them; `None`: nothing.
    pub(crate) fn unopened(&self) -> Option<(Exit, String, String)> {
        let mut reasons = Vec::new();
        let mut hints = Vec::new();
        let mut exit = Exit::KeyUnavailable;
        let suites = self.suites.iter().map(|suite| format!("`{suite}`")).collect::<Vec<_>>().join(" and ");
        let flags =
            self.suites.iter().map(|suite| format!("--suite {suite}")).collect::<Vec<_>>().join(" or ");
        if self.counts[3] > 0 {
            reasons.push(format!("{} sealed with {suites}", self.counts[3]));
            hints.push(format!("pass {flags}"));
        }
        if self.counts[4] > 0 {
            reasons.push(format!("{} sealed in another namespace", self.counts[4]));
            hints.push("name it with --namespace".to_owned());
        }
        if self.counts[2] > 0 {
            reasons.push(format!("{} sealed with keys that are not in the keyring", self.counts[2]));
            hints.push("name the keyring that has them with --key".to_owned());
        }
        if self.counts[5] > 0 {
            if reasons.is_empty() {
                exit = Exit::Store;
            }
            reasons.push(format!("{} made with what this program does not support", self.counts[5]));
            hints.push("use the release or the program that wrote them".to_owned());
        }
        if reasons.is_empty() {
            return None;
        }
        Some((exit, reasons.join(", "), hints.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_in_one_state_and_index_records_are_apart() {
        let mut tally = StateCounts::default();
        for state in [
            RecordState::Good,
            RecordState::Bad,
            RecordState::NoKey,
            RecordState::SuiteMismatch(Suite::Blake3),
            RecordState::Revoked,
        ] {
            tally.count(RecordKind::Entry, state);
            tally.count(RecordKind::Index, state);
        }
        // One that was tampered with is never only an index record.
        assert_eq!((tally.entries(), tally.index_records(), tally.of(RecordState::Bad)), (6, 4, 2));
        let object = tally.to_json();
        let sum: u64 = STATES.iter().map(|(_, field, _)| object[*field].as_u64().unwrap()).sum();
        assert_eq!(
            (Value::from(sum), Value::from(4)),
            (object["entries"].clone(), object["index_records"].clone())
        );
        assert_eq!(tally.exceptions(), "2 bad, 1 without their key, 1 of another suite, 1 revoked");
    }

    #[test]
    fn a_setting_is_named_with_the_flag_that_changes_it() {
        let mut tally = StateCounts::default();
        assert!(tally.unopened().is_none());
        tally.count(RecordKind::Entry, RecordState::SuiteMismatch(Suite::Blake3));
        let (exit, message, hint) = tally.unopened().unwrap();
        assert_eq!((exit, hint.as_str()), (Exit::KeyUnavailable, "pass --suite signed"));
        assert_eq!(message, "1 sealed with `signed`");
        let mut tally = StateCounts::default();
        tally.count(RecordKind::Entry, RecordState::Unsupported);
        assert_eq!(tally.unopened().unwrap().0, Exit::Store);
    }
}
