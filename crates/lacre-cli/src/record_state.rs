//! The states of records in words: the same in every command, in tables, summaries and JSON.

use crate::exit::Exit;
use crate::suite_option::SuiteOption;
use lacre::{RecordState, StateCounts};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The `state` of an entry in JSON.
pub(crate) const fn name(state: RecordState) -> &'static str {
    STATES[state.index()].name
}

/// The mark in a column of a table.
pub(crate) const fn mark(state: RecordState) -> &'static str {
    STATES[state.index()].mark
}

/// The words for a state.
struct Words {
    name: &'static str,
    mark: &'static str,
    /// The field of a summary in JSON.
    field: &'static str,
    /// The words after a count.
    counted: &'static str,
}

const fn words(name: &'static str, mark: &'static str, field: &'static str, counted: &'static str) -> Words {
    Words { name, mark, field, counted }
}

/// In the order of [`RecordState::index`].
const STATES: [Words; RecordState::COUNT] = [
    words("good", "GOOD", "good", "good"),
    words("bad", "BAD", "bad", "bad"),
    words("no-key", "NO KEY", "no_key", "without their key"),
    words("other-suite", "SUITE", "other_suite", "of another suite"),
    words("other-namespace", "NAMESPACE", "other_namespace", "of another namespace"),
    words("unsupported", "UNSUPPORTED", "unsupported", "unsupported"),
    words("expired", "EXPIRED", "expired", "expired"),
    words("revoked", "REVOKED", "revoked", "revoked"),
];

/// The counts for programs.
pub(crate) fn to_json(counts: &StateCounts) -> Map<String, Value> {
    let mut object = Map::from_iter([("entries".to_owned(), counts.entries().into())]);
    let states = STATES.iter().zip(counts.by_state());
    object.extend(states.map(|(words, count)| (words.field.to_owned(), count.into())));
    object.insert("index_records".to_owned(), counts.index_records().into());
    object
}

/// The counts of all states but `good`, such as `1 bad, 2 revoked`.
pub(crate) fn exceptions(counts: &StateCounts) -> String {
    let each = STATES.iter().zip(counts.by_state()).skip(1).filter(|(_, count)| *count > 0);
    each.map(|(words, count)| format!("{count} {}", words.counted)).collect::<Vec<_>>().join(", ")
}

/// Why entries that are not bad cannot be opened, as exit code, reasons and hint. `None` if there
/// are none.
pub(crate) fn unopened(counts: &StateCounts) -> Option<(Exit, String, String)> {
    let mut reasons = Vec::new();
    let mut hints = Vec::new();
    let mut exit = Exit::KeyUnavailable;
    let suites: BTreeSet<_> =
        counts.other_suites().iter().map(|suite| SuiteOption::of(*suite).name()).collect();
    let quoted = suites.iter().map(|suite| format!("`{suite}`")).collect::<Vec<_>>().join(" and ");
    let flags = suites.iter().map(|suite| format!("--suite {suite}")).collect::<Vec<_>>().join(" or ");
    let [_, _, no_key, other_suite, other_namespace, unsupported, ..] = counts.by_state();
    if other_suite > 0 {
        reasons.push(format!("{other_suite} sealed with {quoted}"));
        hints.push(format!("pass {flags}"));
    }
    if other_namespace > 0 {
        reasons.push(format!("{other_namespace} sealed in another namespace"));
        hints.push("name it with --namespace".to_owned());
    }
    if no_key > 0 {
        reasons.push(format!("{no_key} sealed with keys that are not in the keyring"));
        hints.push("name the keyring that has them with --key".to_owned());
    }
    if unsupported > 0 {
        if reasons.is_empty() {
            exit = Exit::Store;
        }
        reasons.push(format!("{unsupported} in a format that this program does not support"));
        hints.push("use the release or the program that wrote them".to_owned());
    }
    if reasons.is_empty() {
        return None;
    }
    Some((exit, reasons.join(", "), hints.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacre::{RecordKind, Suite};

    #[test]
    fn summary_has_every_state_and_their_sum() {
        let mut counts = StateCounts::default();
        let other_suite = RecordState::SuiteMismatch(Suite::Blake3);
        for state in
            [RecordState::Good, RecordState::Bad, RecordState::NoKey, other_suite, RecordState::Revoked]
        {
            counts.count(RecordKind::Entry, state);
            counts.count(RecordKind::Index, state);
        }
        let object = to_json(&counts);
        let sum: u64 = STATES.iter().map(|words| object[words.field].as_u64().unwrap()).sum();
        assert_eq!(
            (Value::from(sum), Value::from(4)),
            (object["entries"].clone(), object["index_records"].clone())
        );
        assert_eq!(exceptions(&counts), "2 bad, 1 without their key, 1 of another suite, 1 revoked");
    }

    #[test]
    fn wrong_setting_is_named_with_its_flag() {
        let mut counts = StateCounts::default();
        assert!(unopened(&counts).is_none());
        counts.count(RecordKind::Entry, RecordState::SuiteMismatch(Suite::Blake3));
        let (exit, message, hint) = unopened(&counts).unwrap();
        assert_eq!((exit, hint.as_str()), (Exit::KeyUnavailable, "pass --suite signed"));
        assert_eq!(message, "1 sealed with `signed`");
        let mut counts = StateCounts::default();
        counts.count(RecordKind::Entry, RecordState::Unsupported);
        assert_eq!(unopened(&counts).unwrap().0, Exit::Store);
    }
}
