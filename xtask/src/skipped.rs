//! What `cargo xtask test` did not run, with the reason of each, for its last lines.
//!
//! A step without its tool calls [`note`]. A Rust test that cannot run prints one line, `SKIPPED:
//! reason`, to stderr and passes; nextest writes that into its report (`.config/nextest.toml`),
//! where [`note_tests`] finds it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// Where nextest writes its report.
const REPORT: &str = "target/nextest/default/junit.xml";
const MARK: &str = "SKIPPED: ";

static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Keeps `what` for [`print`].
pub(crate) fn note(what: &str) {
    NOTES.lock().unwrap_or_else(PoisonError::into_inner).push(what.to_owned());
}

/// Removes the report of an earlier run.
pub(crate) fn forget_tests(root: &Path) {
    // There is none before the first run.
    let _ = fs::remove_file(root.join(REPORT));
}

/// Keeps the tests of the last run that skipped themselves for [`print`].
pub(crate) fn note_tests(root: &Path) {
    for (reason, tests) in in_report(&fs::read_to_string(root.join(REPORT)).unwrap_or_default()) {
        note(&format!("{reason}: {}", tests.join(", ")));
    }
}

/// Prints everything that was skipped.
pub(crate) fn print() {
    let notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    if notes.is_empty() {
        println!("\nnothing was skipped");
        return;
    }
    println!("\nskipped:");
    for note in notes.iter() {
        println!("  {note}");
    }
}

/// The tests of a JUnit report that print [`MARK`], by their reason.
fn in_report(report: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for case in report.split("<testcase ").skip(1) {
        let attribute =
            |name: &str| case.split_once(&format!("{name}=\""))?.1.split_once('"').map(|(value, _)| value);
        let test = format!(
            "{} {}",
            attribute("classname").unwrap_or_default(),
            attribute(" name").or(attribute("name")).unwrap_or_default()
        );
        let reason = case.lines().find_map(|line| line.split_once(MARK)).map(|(_, reason)| reason);
        if let Some(reason) = reason {
            let reason = reason.split("</system-").next().unwrap_or(reason).trim_end_matches([' ', '*']);
            found.entry(unescaped(reason)).or_default().push(test);
        }
    }
    found
}

fn unescaped(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_that_skip_themselves_are_found_by_their_reason() {
        let report = "<testsuite name=\"a\">\n<testcase name=\"m::one\" classname=\"a::b\" time=\"1\">\n<system-out>ok\n</system-out>\n\
                      <system-err>SKIPPED: set X &amp; Y\n</system-err></testcase>\n\
                      <testcase name=\"two\" classname=\"a\"><system-err>\n*** SKIPPED: set X &amp; Y ***\n</system-err></testcase>\n\
                      <testcase name=\"three\" classname=\"a\"><system-err>fine</system-err></testcase>";
        let found: Vec<_> = in_report(report).into_iter().collect();
        assert_eq!(found, [("set X & Y".to_owned(), vec!["a::b m::one".to_owned(), "a two".to_owned()])]);
    }

    #[test]
    fn the_report_lies_where_nextest_is_told_to_write_it() {
        let settings = fs::read_to_string(crate::root().join(".config/nextest.toml")).unwrap();
        assert!(settings.contains("path = \"junit.xml\"\nstore-success-output = true"), "{settings}");
        assert!(settings.contains("terminate-after"), "{settings}");
    }
}
