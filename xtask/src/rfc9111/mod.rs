//! Generates docs/rfc9111.md: each rule of HTTP caching with its section and the tests that show
//! it, the scores in the public suite, and the differences.
//!
//! The text is in `rules`, and the scores are those that the conformance test enforces. Every test
//! that is named must exist.

mod rules;

use crate::{Failure, test_names};
use rules::{NOT_DONE, RULES, Rule, SERVED};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

const DOCUMENT: &str = "docs/rfc9111.md";
const SCORES: &str = "crates/lacre/tests/conformance/score.json";

/// Writes the document.
///
/// # Errors
/// A file cannot be read or written, or a test does not exist.
pub(crate) fn write(root: &Path) -> Result<(), Failure> {
    Ok(fs::write(root.join(DOCUMENT), document(root)?)?)
}

/// Fails if the document is not the one that [`write`] would write.
///
/// # Errors
/// The document is out of date, or an error of [`write`].
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let text = document(root)?;
    if fs::read_to_string(root.join(DOCUMENT)).is_ok_and(|written| written == text) {
        return Ok(());
    }
    Err(format!("{DOCUMENT} is out of date; run cargo xtask rfc9111").into())
}

fn document(root: &Path) -> Result<String, Failure> {
    let tests = test_names::find(root)?;
    let scores: Value = serde_json::from_slice(&fs::read(root.join(SCORES))?)?;
    let mut text = String::from(
        "<!-- Written by cargo xtask rfc9111 from xtask/src/rfc9111/rules.rs and the conformance test's score.json. -->\n\
         # HTTP caching, rule by rule\n\n",
    );
    text.push_str(&suite(&scores)?);
    text.push_str("\n## Rules\n\n| section | rule | shown by |\n|---|---|---|\n");
    for rule in RULES {
        text.push_str(&row(rule, &tests)?);
    }
    text.push_str("\n## Differences from the specifications\n\n");
    for item in NOT_DONE {
        writeln!(text, "- {item}")?;
    }
    Ok(text)
}

/// The section of the public suite's scores.
fn suite(scores: &Value) -> Result<String, Failure> {
    let mut text = format!(
        "## The public suite\n\nhttp-tests/cache-tests, {} tests, run in process with a simulated clock, with the defaults unless \
         an option is named. A test fails if a count goes down.\n\n{COUNTED}",
        scores["tests"].as_u64().ok_or_else(wrong)?
    );
    for (edition, count) in [
        ("private", "private"),
        ("shared", "shared"),
        ("shared, --danger-share-across-credentials", "shared_across_credentials"),
    ] {
        let scope = edition.split(',').next().unwrap_or(edition);
        text.push_str(&counts(edition, &scores[count], &scores[format!("{scope}_of")])?);
    }
    let sockets = ids(&scores["needs_sockets"])?;
    write!(
        text,
        "\nNot run in process, because interim responses need a connection: {sockets}.\n\nThrough `lacre serve`, by the suite's \
         own client and origin:\n\n{COUNTED}"
    )?;
    for (edition, served) in scores["served"].as_object().ok_or_else(wrong)? {
        let scope = edition.split(',').next().unwrap_or(edition);
        text.push_str(&counts(edition, served, &scores[format!("{scope}_of")])?);
    }
    writeln!(text, "\n{SERVED}\n\nPassed only with an option, not with the defaults of a shared cache:\n")?;
    for lost in scores["lost_to_a_default"].as_array().ok_or_else(wrong)? {
        let (ids, option) = (ids(&lost["ids"])?, lost["option"].as_str().ok_or_else(wrong)?);
        writeln!(text, "- {ids}: {} The option is {option}.", lost["why"].as_str().ok_or_else(wrong)?)?;
    }
    writeln!(text, "\nNot passed:\n")?;
    for reason in scores["not_passed"].as_array().ok_or_else(wrong)? {
        writeln!(text, "- {}: {}", ids(&reason["ids"])?, reason["why"].as_str().ok_or_else(wrong)?)?;
    }
    Ok(text)
}

const COUNTED: &str = "| edition | required | optimal | checks answered with yes |\n|---|---|---|---|\n";

/// A row of counts.
fn counts(edition: &str, passed: &Value, of: &Value) -> Result<String, Failure> {
    let mut row = format!("| {edition} |");
    for kind in ["required", "optimal", "check"] {
        let (passed, of) = (passed[kind].as_u64().ok_or_else(wrong)?, of[kind].as_u64().ok_or_else(wrong)?);
        write!(row, " {passed} of {of} |")?;
    }
    row.push('\n');
    Ok(row)
}

/// The ids of a list of tests, as text.
fn ids(list: &Value) -> Result<String, Failure> {
    let ids = list.as_array().ok_or_else(wrong)?.iter();
    Ok(ids.filter_map(Value::as_str).map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", "))
}

fn wrong() -> Failure {
    format!("{SCORES} lacks an expected field").into()
}

fn row(rule: &Rule, tests: &BTreeMap<String, Vec<String>>) -> Result<String, Failure> {
    let shown = rule.tests.iter().map(|test| match tests.get(*test).map(Vec::as_slice) {
        Some([file]) => Ok(format!("[`{test}`](../{file})")),
        Some(files) => Err(format!("{}: the test {test} exists {} times", rule.section, files.len())),
        None => Err(format!(
            "{}: there is no test {test}; name another in xtask/src/rfc9111/rules.rs",
            rule.section
        )),
    });
    let shown = shown.collect::<Result<Vec<_>, _>>()?;
    Ok(format!("| {} | {} | {} |\n", rule.section, rule.text, shown.join("<br>")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_test_of_a_rule_must_exist_exactly_once() {
        let rule = Rule { section: "§1", text: "It holds.", tests: &["it_holds"] };
        let found = |files: &[&str]| {
            let files = files.iter().map(ToString::to_string).collect();
            row(&rule, &BTreeMap::from([("it_holds".to_owned(), files)]))
        };
        assert_eq!(found(&["a.rs"]).unwrap(), "| §1 | It holds. | [`it_holds`](../a.rs) |\n");
        assert!(found(&["a.rs", "b.rs"]).is_err());
        assert!(row(&rule, &BTreeMap::new()).is_err());
    }
}
