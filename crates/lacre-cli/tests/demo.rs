//! `lacre demo`: its steps, its JSON, and its output in the README.

#![expect(clippy::unwrap_used, reason = "a failed test panics")]

#[path = "../src/demo/secrets.rs"]
mod secrets;

use serde_json::Value;
use std::fs;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

const STEPS: [&str; 9] = ["miss", "hit", "secrecy", "tamper", "heal", "swap", "rotate", "retire", "done"];

/// Runs the demo in a home that must stay empty, with an environment that names a proxy which does
/// not exist.
fn demo(arguments: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lacre"))
        .arg("demo")
        .args(arguments)
        .env_clear()
        .env("HOME", home.path())
        .env("TMPDIR", home.path())
        .env("http_proxy", "http://127.0.0.1:1")
        .output()
        .unwrap();
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "a file is left behind");
    output
}

/// The output of a successful demo.
fn printed(arguments: &[&str]) -> String {
    let output = demo(arguments);
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
    assert_eq!(output.status.code(), Some(0));
    String::from_utf8(output.stdout).unwrap()
}

fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_step_is_printed_in_order_within_five_seconds() {
    let start = Instant::now();
    let text = printed(&[]);
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    let steps: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert_eq!(steps, STEPS);
    assert!(!text.contains('\x1b'), "colour is for terminals");
}

#[test]
fn json_has_an_object_for_each_step() {
    let printed_steps = objects(&printed(&["--json"]));
    let steps: Vec<&str> = printed_steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(steps, STEPS);
    assert!(printed_steps.iter().all(|step| step["schema"] == "lacre/demo/v1"));
    for (step, start) in printed_steps.iter().zip([
        "lacre; fwd=uri-miss; fwd-status=200; ttl=3600; stored",
        "lacre; hit; ttl=",
        "",
        "",
        "lacre; fwd=uri-miss; fwd-status=200; ttl=3600; stored; detail=tampered",
        "",
        "lacre; hit; ttl=",
        "lacre; fwd=uri-miss; fwd-status=200; ttl=3600; stored",
    ]) {
        let status = step["cache_status"].as_str();
        assert!(
            status.unwrap_or_default().starts_with(start) && status.is_some() != start.is_empty(),
            "{step}"
        );
    }
    for step in ["tamper", "swap"] {
        let refused = printed_steps.iter().find(|printed| printed["step"] == step).unwrap();
        assert!(refused["error"].as_str().unwrap().starts_with("BadSignature: "), "{refused}");
    }
}

#[test]
fn no_secret_is_printed() {
    for arguments in [&[][..], &["--json"]] {
        let text = printed(arguments);
        for secret in [secrets::TOKEN, secrets::AUTHORIZATION, secrets::ACCOUNT, secrets::FIGURES] {
            assert!(!text.contains(secret));
        }
    }
}

#[test]
fn readme_shows_the_output() {
    let readme = include_str!("../../../README.md");
    let (_, shown) = readme.split_once("$ cargo run --quiet -p lacre-cli -- demo\n").unwrap();
    let (shown, _) = shown.split_once("```").unwrap();
    assert_eq!(without_numbers(shown), without_numbers(&printed(&[])));
}

/// Replaces times, sizes, offsets and ids, which differ from run to run.
fn without_numbers(text: &str) -> String {
    let is_id = |word: &str| word.len() >= 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let words = text.split_inclusive([' ', '-', ':']).map(|word| {
        let bare = word.trim_end_matches([' ', '-', ':']);
        if is_id(bare) { word.replace(bare, "0") } else { word.to_owned() }
    });
    let text: String = words.collect();
    text.split(|c: char| c.is_ascii_digit()).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
}
