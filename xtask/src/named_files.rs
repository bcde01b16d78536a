//! Every file of this repository that a text names exists: in documents, comments, messages and hints, and behind the links of documents.

use crate::Failure;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders at the top of the repository whose files are named in full.
const TOP: [&str; 8] = [".ci", "benches", "crates", "docs", "fuzz", "python", "vectors", "xtask"];

/// Where texts are.
const READ: [&str; 11] = [
    ".ci",
    "benches",
    "crates",
    "docs",
    "fuzz",
    "python",
    "vectors",
    "xtask",
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
];

/// What is built or fetched, and holds texts of others.
const SKIPPED: [&str; 6] = ["target", "node_modules", "__pycache__", ".venv", "corpus", "samples"];

/// What looks like a file and is none, or is made when something runs.
const NO_FILE: [(&str, &str); 5] = [
    ("fuzz/artifacts", "made by a fuzzer that found something"),
    ("fuzz/corpus-run", "made by a run of a fuzzer"),
    ("python/name", "a tag of YAML"),
    ("python/object/apply", "a tag of YAML"),
    ("vectors/requests_cache_keys.json", "test data that is not part of the repository"),
];

/// Fails where a text names a file that does not exist.
///
/// # Errors
/// That, or a file that cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let mut complaints = Vec::new();
    let mut read = 0;
    for file in files(root)? {
        // The tests here and in `layers` make names up.
        if file.ends_with("xtask/src/named_files.rs") || file.ends_with("xtask/src/layers.rs") {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        read += 1;
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let links = if shown.ends_with(".md") { links(&text) } else { Vec::new() };
        let lost = named(&text).into_iter().filter(|(_, name)| !exists(root, &file, name));
        let broken = links.into_iter().filter(|(_, link)| !beside(&file, link).exists());
        complaints
            .extend(lost.chain(broken).map(|(line, name)| format!("{shown}:{line}: there is no {name}")));
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    match complaints.len() {
        0 => {
            println!("named files: {read} texts, each file that they name exists");
            Ok(())
        }
        some => Err(format!("{some} names of files that do not exist").into()),
    }
}

fn files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> =
        READ.iter().map(|name| root.join(name)).filter(|path| path.exists()).collect();
    while let Some(path) = left.pop() {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if SKIPPED.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            for entry in fs::read_dir(&path)? {
                left.push(entry?.path());
            }
        } else if [".rs", ".md", ".py", ".pyi", ".toml", "run"].iter().any(|end| name.ends_with(end)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// The files that a text names by their path from the top, each with its line.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
        for word in line.split(|c: char| !is_part(c) && c != '*' && c != '{' && c != '<' && c != '$') {
            let Some((top, rest)) = word.split_once('/') else { continue };
            let name = word.trim_end_matches(['.', '/', '-']);
            // A placeholder, or a pattern of several.
            let is_pattern = name.contains(['*', '{', '<', '$']) || name.split('/').any(is_placeholder);
            if TOP.contains(&top) && !rest.is_empty() && !is_pattern {
                found.push((number + 1, name.to_owned()));
            }
        }
    }
    found
}

/// `NAME`, `NNNN-title.md`, `X.json`.
fn is_placeholder(part: &str) -> bool {
    let start = part.split(['-', '.', '_']).next().unwrap_or_default();
    !start.is_empty()
        && start.bytes().all(|byte| byte.is_ascii_uppercase())
        && !["README", "CHANGELOG", "CONTRIBUTING", "SECURITY", "LICENSE"].contains(&start)
}

/// The relative targets of the links in a document, without anchors.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        for behind in line.split("](").skip(1) {
            let Some((target, _)) = behind.split_once(')') else { continue };
            let target = target.split(['#', ' ']).next().unwrap_or_default();
            if !target.is_empty() && !target.contains(':') && !target.starts_with('/') {
                found.push((number + 1, target.to_owned()));
            }
        }
    }
    found
}

/// From the top, or from a folder that the text lies in.
fn exists(root: &Path, file: &Path, name: &str) -> bool {
    if NO_FILE.iter().any(|(known, _)| name.starts_with(known)) {
        return true;
    }
    file.ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(root))
        .any(|folder| folder.join(name).exists())
}

fn beside(file: &Path, link: &str) -> PathBuf {
    file.parent().unwrap_or(file).join(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_in_prose_code_and_hints() {
        let text = "see docs/format.md, section 3.\nhint(\"docs/no-such-page.md says what\")\n`vectors/make.py`: crates/lacre-*/src \
                    docs/decisions/NNNN-title.md /docs/elsewhere ../docs/up https://h/docs/x crates/lacre/";
        let names: Vec<_> = named(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
        assert_eq!(
            names,
            ["1 docs/format.md", "2 docs/no-such-page.md", "3 vectors/make.py", "3 crates/lacre"]
        );
    }

    #[test]
    fn links_of_a_document_are_followed_from_where_it_lies() {
        let text =
            "[a](format.md#x) [b](https://h/p.md) [c](../README.md)\n```\n[d](code.md)\n```\n[e](#here)\n";
        assert_eq!(links(text), [(1, "format.md".to_owned()), (1, "../README.md".to_owned())]);
    }

    #[test]
    fn a_name_is_looked_for_from_the_top_and_from_where_the_text_lies() {
        let root = crate::root();
        let text = root.join("docs/format.md");
        assert!(exists(&root, &text, "docs/keys.md"));
        assert!(!exists(&root, &text, "docs/no-such-page.md"));
    }
}
