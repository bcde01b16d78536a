//! The states of stored records, and their counts, with the same words in every command.
//!
//! An *entry* is a stored response. An *index record* leads to entries: to the variants of a
//! response, or to another row. Index records are counted apart. A record that does not open counts
//! as the kind that the store names; one that was tampered with counts as an entry.

use crate::exit::Exit;
use crate::suite_option::SuiteOption;
use lacre::{Error, ErrorKind, FaultKind, RecordKind, Suite};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The state of a record: good, or the reason why it does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecordState {
    Good,
    /// Tampered with, moved, replayed or damaged: verification fails with its own suite and key.
    Bad,
    /// The keyring lacks its key.
    NoKey,
    /// Genuine, but sealed with another suite than `--suite`.
    SuiteMismatch(Suite),
    /// Genuine, but sealed in another namespace.
    NamespaceMismatch,
    /// It needs a newer release, or a format or stage that this program lacks.
    Unsupported,
    /// The seal has expired.
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

    /// The `state` of an entry in JSON.
    pub(crate) const fn name(self) -> &'static str {
        STATES[self.index()].0
    }

    /// The mark in a column of a table.
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

/// For each state: its name, its field in a summary, and the words after a count.
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

/// The number of records in each state.
#[derive(Clone, Debug, Default)]
pub(crate) struct StateCounts {
    counts: [usize; STATES.len()],
    index_records: usize,
    /// The other suites that were found, as values of `--suite`.
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

    /// The number of entries in this state. `SuiteMismatch` counts every other suite.
    pub(crate) fn of(&self, state: RecordState) -> usize {
        self.counts[state.index()]
    }

    /// The counts for programs.
    pub(crate) fn to_json(&self) -> Map<String, Value> {
        let mut object = Map::from_iter([("entries".to_owned(), self.entries().into())]);
        object.extend(
            STATES.iter().zip(self.counts).map(|((_, field, _), count)| ((*field).to_owned(), count.into())),
        );
        object.insert("index_records".to_owned(), self.index_records.into());
        object
    }

    /// The counts of all states but `good`, such as `1 bad, 2 revoked`.
    pub(crate) fn exceptions(&self) -> String {
        let each = STATES.iter().zip(self.counts).skip(1).filter(|(_, count)| *count > 0);
        each.map(|((_, _, words), count)| format!("{count} {words}")).collect::<Vec<_>>().join(", ")
    }

    /// Why entries that are not bad cannot be opened, as exit code, reasons and hint. `None` if
    /// there are none.
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
            reasons.push(format!("{} in a format that this program does not support", self.counts[5]));
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
    fn every_entry_has_one_state_and_index_records_are_counted_apart() {
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
        // A record that was tampered with counts as an entry.
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
    fn wrong_setting_is_named_with_its_flag() {
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
