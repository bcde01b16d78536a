//! Checks docs/threat-model.md: every property has a test with its number, and every such test is
//! named there.

use crate::{Failure, test_names};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOCUMENT: &str = "docs/threat-model.md";
const PROPERTIES: usize = 42;

/// Fails if the document and the tests disagree.
///
/// # Errors
/// They disagree, or a file cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let document = fs::read_to_string(root.join(DOCUMENT))?;
    let tests = test_names::find(root)?;
    let complaints = compare(&document, tests.keys().map(String::as_str));
    if complaints.is_empty() { Ok(()) } else { Err(format!("{DOCUMENT}: {}", complaints.join("; ")).into()) }
}

fn compare<'a>(document: &'a str, tests: impl Iterator<Item = &'a str>) -> Vec<String> {
    let promised: BTreeSet<&str> = document.split('`').filter(|word| number(word).is_some()).collect();
    let shown: BTreeSet<&str> = tests.filter(|name| number(name).is_some()).collect();
    let mut complaints: Vec<String> = Vec::new();
    complaints.extend(promised.difference(&shown).map(|name| format!("there is no test {name}")));
    complaints.extend(shown.difference(&promised).map(|name| format!("it does not name the test {name}")));
    let numbers: BTreeSet<usize> = promised.iter().filter_map(|name| number(name)).collect();
    let missing = (1..=PROPERTIES).filter(|number| !numbers.contains(number));
    complaints.extend(missing.map(|number| format!("it leaves out property {number}")));
    complaints
}

/// The number of the property that a test of this name checks: 7 for `p07_…`.
fn number(name: &str) -> Option<usize> {
    let (number, rest) = name.strip_prefix('p')?.split_once('_')?;
    let is_name = rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (number.len() == 2 && is_name).then(|| number.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_without_tests_and_tests_without_properties_are_found() {
        let all: Vec<String> = (1..=PROPERTIES).map(|number| format!("p{number:02}_holds")).collect();
        let document: String = all.iter().map(|name| format!("| `{name}` |\n")).collect();
        assert_eq!(compare(&document, all.iter().map(String::as_str).chain(["other"])), [""; 0]);
        assert_eq!(compare(&document, all[1..].iter().map(String::as_str)), ["there is no test p01_holds"]);
        let more = all.iter().map(String::as_str).chain(["p01_holds_twice"]);
        assert_eq!(compare(&document, more), ["it does not name the test p01_holds_twice"]);
        assert_eq!(compare("", [].into_iter()).len(), PROPERTIES);
    }
}
