//! Checks that the things which texts name exist: files of this repository, anchors behind links,
//! commands of `cargo xtask` and `lacre`, and decisions by their number. The texts are documents,
//! comments, messages and hints.

use crate::Failure;
use std::fs;
use std::path::{Path, PathBuf};

/// Top-level folders whose files are named by their path from the root.
const TOP: [&str; 8] = [".ci", "benches", "crates", "docs", "fuzz", "python", "vectors", "xtask"];

/// Folders and files with texts.
const READ: [&str; 16] = [
    ".ci",
    ".config",
    "CHANGELOG.md",
    "Cargo.toml",
    "clippy.toml",
    "deny.toml",
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

/// Folders with built or fetched files.
const SKIPPED: [&str; 6] = ["target", "node_modules", "__pycache__", ".venv", "corpus", "samples"];

/// Files whose tests invent names.
const INVENTING: [&str; 3] = ["xtask/src/named_files.rs", "xtask/src/layers.rs", "xtask/src/circles.rs"];

/// Names that look like files of the repository but are not, with the reason.
const NO_FILE: [(&str, &str); 5] = [
    ("fuzz/artifacts", "made by a fuzzer that found something"),
    ("fuzz/corpus-run", "made by a run of a fuzzer"),
    ("python/name", "a tag of YAML"),
    ("python/object/apply", "a tag of YAML"),
    ("vectors/requests_cache_keys.json", "test data that is not part of the repository"),
];

/// Fails where a text names something that does not exist.
///
/// # Errors
/// There is such a name, or a file cannot be read.
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let known = Known::read(root)?;
    let mut complaints = Vec::new();
    let mut read = 0;
    for file in files(root)? {
        // The tests of these files invent names.
        if INVENTING.iter().any(|name| file.ends_with(name)) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&file) else { continue };
        read += 1;
        let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let mut missing: Vec<_> =
            named(&text).into_iter().filter(|(_, name)| !exists(root, &file, name)).collect();
        let is_document = shown.ends_with(".md");
        if is_document || shown.ends_with(".rs") {
            // In Rust, a link may also be part of a document that the code writes.
            let written = root.join("docs/written.md");
            let is_lost = |link: &str| {
                let leads = |from| leads_somewhere(from, &text, link);
                !leads(&file) && (is_document || !leads(&written))
            };
            missing.extend(links(&text, is_document).into_iter().filter(|(_, link)| is_lost(link)));
        }
        missing.extend(known.unknown(&text));
        complaints
            .extend(missing.into_iter().map(|(line, name)| format!("{shown}:{line}: there is no {name}")));
    }
    for complaint in &complaints {
        eprintln!("{complaint}");
    }
    match complaints.len() {
        0 => {
            println!(
                "named files: {read} texts; each file, anchor, command and decision that they name exists"
            );
            Ok(())
        }
        some => {
            Err(format!("{some} names of files, anchors, commands or decisions that do not exist").into())
        }
    }
}

/// The commands and decisions that texts may name.
struct Known {
    xtask: Vec<String>,
    lacre: Vec<String>,
    decisions: Vec<String>,
}

impl Known {
    fn read(root: &Path) -> Result<Self, Failure> {
        // A test of lacre-cli holds this document to the program.
        let reference = fs::read_to_string(root.join("docs/reference.md"))?;
        let lacre = reference.lines().filter_map(|line| line.strip_prefix("### lacre ")?.split(' ').next());
        let xtask = crate::HELP.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
        let notes = fs::read_dir(root.join("docs/decisions"))?.collect::<Result<Vec<_>, _>>()?;
        let number = |name: String| name.split('-').next().map(str::to_owned);
        Ok(Self {
            xtask: xtask.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            lacre: lacre.map(str::to_owned).collect(),
            decisions: notes
                .iter()
                .filter_map(|note| number(note.file_name().to_string_lossy().into_owned()))
                .collect(),
        })
    }

    /// `cargo xtask NAME`, `` `lacre NAME `` and `decision N` in a text, where there is no such
    /// thing.
    fn unknown(&self, text: &str) -> Vec<(usize, String)> {
        let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let mut found = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let mut check = |mark: &str, is_known: &dyn Fn(&str) -> bool| {
                for rest in line.split(mark).skip(1) {
                    let name = rest.split(|c| !is_name(c)).next().unwrap_or_default();
                    if !name.trim_matches('-').is_empty() && !is_known(name) {
                        found.push((number + 1, format!("`{}{name}`", mark.trim_start_matches('`'))));
                    }
                }
            };
            check("cargo xtask ", &|name| self.xtask.iter().any(|known| known == name));
            check("`lacre ", &|name| name.starts_with('-') || self.lacre.iter().any(|known| known == name));
            check("decision ", &|name| {
                name.parse::<u16>().is_err() || self.decisions.contains(&format!("{name:0>4}"))
            });
        }
        found
    }
}

pub(crate) fn files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
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

/// The files that a text names by their path from the root, each with its line.
fn named(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let is_part = |c: char| c.is_ascii_alphanumeric() || "._/-".contains(c);
        for word in line.split(|c: char| !is_part(c) && c != '*' && c != '{' && c != '<' && c != '$') {
            let Some((top, rest)) = word.split_once('/') else { continue };
            let name = word.trim_end_matches(['.', '/', '-']);
            // A placeholder, or a pattern for several files.
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

/// The relative targets of a text's links, with their anchors. In Rust, only those to documents:
/// others are rustdoc's.
fn links(text: &str, is_document: bool) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_code = false;
    for (number, line) in text.lines().enumerate() {
        in_code ^= is_document && line.trim_start().starts_with("```");
        if in_code {
            continue;
        }
        for rest in line.split("](").skip(1) {
            let Some((target, _)) = rest.split_once(')') else { continue };
            let target = target.split(' ').next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            let is_ours = is_document || path.ends_with(".md");
            if is_ours && !target.is_empty() && !target.contains(':') && !target.starts_with('/') {
                found.push((number + 1, target.to_owned()));
            }
        }
    }
    found
}

/// Whether a link's file exists beside the text, and its anchor in that file.
fn leads_somewhere(file: &Path, text: &str, link: &str) -> bool {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = file.parent().unwrap_or(file).join(path);
    if !path.is_empty() && !target.exists() {
        return false;
    }
    let is_document = path.is_empty() || path.ends_with(".md");
    if anchor.is_empty() || !is_document {
        return true;
    }
    let other =
        if path.is_empty() { text.to_owned() } else { fs::read_to_string(target).unwrap_or_default() };
    anchors(&other).iter().any(|known| known == anchor)
}

/// The anchors of a document's headings, as GitHub names them.
fn anchors(document: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut in_code = false;
    for line in document.lines() {
        in_code ^= line.starts_with("```");
        let heading = line.trim_start_matches('#');
        if in_code || heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect();
        let earlier = found.iter().filter(|known| **known == slug).count();
        found.push(if earlier == 0 { slug } else { format!("{slug}-{earlier}") });
    }
    found
}

/// Whether a file exists, from the root or from a folder above the text.
fn exists(root: &Path, file: &Path, name: &str) -> bool {
    if NO_FILE.iter().any(|(known, _)| name.starts_with(known)) {
        return true;
    }
    file.ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(root))
        .any(|folder| folder.join(name).exists())
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
    fn links_of_a_document_are_found_and_code_is_skipped() {
        let text =
            "[a](format.md#x) [b](https://h/p.md) [c](../README.md)\n```\n[d](code.md)\n```\n[e](#here)\n";
        let found = [(1, "format.md#x"), (1, "../README.md"), (5, "#here")];
        assert_eq!(links(text, true), found.map(|(line, link)| (line, link.to_owned())));
        assert_eq!(links("//! [a](../b.md) [c](crate::d)", false), [(1, "../b.md".to_owned())]);
    }

    #[test]
    fn a_link_needs_its_file_and_its_anchor() {
        let root = crate::root();
        let text = "# One title\n## It's `this`, twice\n## It's `this`, twice\n```\n# code\n```\n";
        assert_eq!(anchors(text), ["one-title", "its-this-twice", "its-this-twice-1"]);
        for (link, leads) in [
            ("#one-title", true),
            ("#two", false),
            ("LICENSE-MIT", true),
            ("docs/no-such-page.md", false),
            ("README.md#the-crates", true),
            ("README.md#no-such-heading", false),
        ] {
            assert_eq!(leads_somewhere(&root.join("CONTRIBUTING.md"), text, link), leads, "{link}");
        }
    }

    #[test]
    fn commands_and_decisions_that_do_not_exist_are_found() {
        let known = Known::read(&crate::root()).unwrap();
        let text = "run `cargo xtask test`, `lacre ls`, `lacre --help` or `lacre key show` (decision 1)\n\
                    run `cargo xtask tset`, `lacre lss` (decision 9999)\nthe decision of lacre lss";
        let names: Vec<_> =
            known.unknown(text).into_iter().map(|(line, name)| format!("{line} {name}")).collect();
        assert_eq!(names, ["2 `cargo xtask tset`", "2 `lacre lss`", "2 `decision 9999`"]);
    }

    #[test]
    fn a_name_is_resolved_from_the_root_and_from_the_folder_of_the_text() {
        let root = crate::root();
        let text = root.join("docs/format.md");
        assert!(exists(&root, &text, "docs/keys.md"));
        assert!(!exists(&root, &text, "docs/no-such-page.md"));
    }
}
