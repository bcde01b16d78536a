//! Runs every shell block of the documents in a new home, against an origin on loopback.
//!
//! Rust blocks are doctests; Python blocks run in `python/tests/test_documents.py`. A block that
//! cannot run here is listed with the reason. An unlisted block fails the test.

use crate::sandbox::{Origin, Sandbox};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A block, and how it runs.
struct Example {
    document: &'static str,
    /// The start of the block, which identifies it in its document.
    start: &'static str,
    run: Run,
}

enum Run {
    /// The block runs after `before`, with the first text of each pair replaced by the second.
    Shell { before: &'static str, with: &'static [(&'static str, &'static str)] },
    /// Another test covers the block, or it cannot run here, for this reason.
    Elsewhere(&'static str),
}

const fn shell(document: &'static str, start: &'static str, before: &'static str) -> Example {
    with(document, start, before, &[])
}

const fn with(
    document: &'static str,
    start: &'static str,
    before: &'static str,
    with: &'static [(&'static str, &'static str)],
) -> Example {
    Example { document, start, run: Run::Shell { before, with } }
}

const fn elsewhere(document: &'static str, start: &'static str, why: &'static str) -> Example {
    Example { document, start, run: Run::Elsewhere(why) }
}

/// Stores an entry.
const AN_ENTRY: &str = "lacre get https://example.com/";
/// Replaces the document's key id by that of a key that no longer seals.
const OLD_KEY: (&str, &str) = (
    "lacre key retire k-…",
    "lacre key retire --yes $(lacre key show --json | grep -o 'k-[0-9a-f]*' | tail -1)",
);

const EXAMPLES: &[Example] = &[
    elsewhere(
        "README.md",
        "cargo run -p lacre-cli -- demo",
        "tests/demo.rs runs the demo; the other is this very run",
    ),
    elsewhere("README.md", "$ cargo run --quiet -p lacre-cli -- demo", "tests/demo.rs compares it"),
    shell("README.md", "lacre get https://example.com/", ""),
    with("docs/keys.md", "lacre key list", "", &[("keyring:lacre/ana", "file:$HOME/keys/ana")]),
    with(
        "docs/keys.md",
        "lacre key new file:/safe/place/ci",
        "",
        &[
            ("/safe/place", "$HOME/safe"),
            (
                "LACRE_KEY=env:CACHE_KEY lacre verify",
                "CACHE_KEY=$(lacre key export --key file:$HOME/safe/ci) LACRE_KEY=env:CACHE_KEY lacre verify",
            ),
        ],
    ),
    with(
        "docs/keys.md",
        "lacre key new passphrase:",
        "export LACRE_PASSPHRASE='a fair number of letters'",
        &[("/home/ana/keys", "$HOME/keys")],
    ),
    with(
        "docs/keys.md",
        "lacre key show",
        AN_ENTRY,
        &[("lacre key retire k-7f3a09bc", OLD_KEY.1), ("lacre key revoke-all", "lacre key revoke-all --yes")],
    ),
    elsewhere(
        "docs/keys.md",
        "lacre key import kdbx:",
        "tests/cli/key_sources.rs reads a KeePassXC database",
    ),
    with("docs/rotation.md", "lacre key rotate          # 1.", AN_ENTRY, &[OLD_KEY]),
    with(
        "docs/rotation.md",
        "lacre key rotate          # if",
        AN_ENTRY,
        &[("lacre key revoke-all", "lacre key revoke-all --yes")],
    ),
    with(
        "docs/rotation.md",
        "lacre verify --quarantine",
        AN_ENTRY,
        &[("lacre rm --quarantined", "lacre rm --yes --quarantined")],
    ),
    elsewhere(
        "docs/migrate-from-requests-cache.md",
        "lacre migrate http_cache.sqlite --its",
        "tests/cli/migrate.rs migrates a cache of requests-cache",
    ),
    elsewhere(
        "docs/migrate-from-requests-cache.md",
        "$ lacre migrate",
        "tests/cli/migrate.rs compares the refusal of a planted pickle",
    ),
    elsewhere("docs/performance.md", "cargo run --release", "a benchmark, which is run by hand"),
    elsewhere("docs/python.md", "python3 -m venv", "cargo xtask test builds and installs the package so"),
    elsewhere(
        "python/README.md",
        "pip install lacre",
        "cargo xtask test installs the wheel into a clean environment",
    ),
    with(
        "docs/rotation.md",
        "lacre anchor write",
        AN_ENTRY,
        &[("/safe/place", "$HOME/safe"), ("lacre anchor write", "mkdir -p $HOME/safe && lacre anchor write")],
    ),
];

#[test]
fn every_shell_block_of_the_documents_runs() {
    let mut unlisted = Vec::new();
    let mut met = vec![false; EXAMPLES.len()];
    for document in documents() {
        for block in blocks(&document) {
            let name = document.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
            let found = EXAMPLES
                .iter()
                .position(|example| example.document == name && block.starts_with(example.start));
            match found {
                None => unlisted.push(format!("{name}: {}", block.lines().next().unwrap_or_default())),
                Some(index) => {
                    met[index] = true;
                    if let Run::Shell { before, with } = &EXAMPLES[index].run {
                        run(&name, before, &block, with);
                    }
                }
            }
        }
    }
    assert_eq!(unlisted, [""; 0], "add each block to EXAMPLES");
    let gone: Vec<_> =
        EXAMPLES.iter().zip(met).filter(|(_, met)| !met).map(|(example, _)| example.start).collect();
    assert_eq!(gone, [""; 0], "no document has these blocks any more");
}

#[test]
fn skipped_block_has_a_reason() {
    for example in EXAMPLES {
        if let Run::Elsewhere(why) = example.run {
            assert!(why.contains(' '), "{}: {}", example.document, example.start);
        }
    }
}

/// Runs a block with `set -e`: each of its commands must succeed.
fn run(document: &str, before: &str, block: &str, with: &[(&str, &str)]) {
    let sandbox = Sandbox::new();
    let origin = Origin::always("cache-control: max-age=3600\r\netag: \"1\"\r\n", "hello");
    let mut script = block.to_owned();
    for (from, to) in with {
        assert!(script.contains(from), "{document}: `{from}` is not in the block any more");
        script = script.replace(from, to);
    }
    let script =
        format!("set -euo pipefail\n{before}\n{script}").replace("https://example.com/", &origin.url("/"));
    let programs = sandbox.path("programs");
    fs::create_dir(&programs).unwrap();
    // A clipboard program that discards its input.
    fs::write(programs.join("xclip"), "#!/bin/sh\ncat > /dev/null\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt, symlink};
        fs::set_permissions(programs.join("xclip"), fs::Permissions::from_mode(0o755)).unwrap();
        symlink(env!("CARGO_BIN_EXE_lacre"), programs.join("lacre")).unwrap();
    }
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let ended = Command::new("bash")
        .args(["-c", &script])
        .env_clear()
        .envs([("HOME", sandbox.path("").to_str().unwrap()), ("PATH", &path)])
        .current_dir(sandbox.path(""))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{document}, {}:\n{script}\n---\n{printed}", ended.status);
}

/// The text of each fenced shell block.
fn blocks(document: &Path) -> Vec<String> {
    let text = fs::read_to_string(document).unwrap();
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.trim_start().strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|line| line.trim_start() != "```").collect();
        if matches!(language, "sh" | "bash" | "console" | "shell") {
            blocks.push(block.join("\n") + "\n");
        }
    }
    blocks
}

/// The documents for users.
fn documents() -> Vec<PathBuf> {
    let pages = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut documents: Vec<_> =
        pages.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    documents.sort();
    documents.extend(["README.md", "SECURITY.md", "python/README.md"].map(|name| root().join(name)));
    documents
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
