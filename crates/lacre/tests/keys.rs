//! Key sources against what only another process can show: a race for the first key, and the umask.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use lacre::Keyring;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const FIRST_USE: &str = "first-use";
const FIRST_USE_UMASK_000: &str = "first-use-umask-000";
const FIRST_USE_UMASK_777: &str = "first-use-umask-777";
const VARIABLES: &str = "variables";

fn start(role: &str, home: &Path) -> Child {
    command(role, home).spawn().unwrap()
}

fn command(role: &str, home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacre-test-process"));
    command.args(["keys", role]).env_clear().env("HOME", home).stdout(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    assert!(output.status.success());
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn processes_that_race_for_the_first_key_get_the_same_one() {
    let home = tempfile::tempdir().unwrap();
    let racing: Vec<Child> = (0..8).map(|_| start(FIRST_USE, home.path())).collect();
    let said: Vec<String> =
        racing.into_iter().map(|child| said(&child.wait_with_output().unwrap())).collect();
    let primary = |text: &str| text.split_once("primary ").unwrap().1.lines().next().unwrap().to_owned();
    for text in &said {
        assert_eq!(primary(text), primary(&said[0]));
    }
    assert_eq!(
        said.iter().filter(|text| text.contains("made")).count(),
        1,
        "one makes it, the others load it"
    );
}

#[test]
fn p20_files_and_directories_of_keys_are_private_under_any_umask() {
    for role in [FIRST_USE_UMASK_000, FIRST_USE_UMASK_777] {
        let home = tempfile::tempdir().unwrap();
        said(&start(role, home.path()).wait_with_output().unwrap());
        let mode = |path: &str| fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(".config"), 0o700);
        assert_eq!(mode(".config/lacre"), 0o700);
        assert_eq!(mode(".config/lacre/keyring"), 0o600);
        assert_eq!(mode(".cache/lacre"), 0o700);
    }
}

#[test]
fn environment_variables_apply_to_programs() {
    let home = tempfile::tempdir().unwrap();
    let text = Keyring::generate().unwrap().to_text();
    let primary = Keyring::parse(&text).unwrap().primary().to_string();
    let with = |key: &str, store: &str| {
        let mut command = command(VARIABLES, home.path());
        let output =
            command.env("LACRE_KEY", key).env("LACRE_STORE", store).env("A_KEY", &*text).output().unwrap();
        said(&output)
    };
    let text = with("env:A_KEY", "memory:");
    assert!(text.contains(&primary) && text.contains("store memory:"), "{text}");
    let text = with("", "");
    assert!(text.contains("file:") && text.contains("cache.sqlite"), "an empty one says nothing: {text}");
    let text = with("Env:A_KEY", "sqlit:x");
    assert!(text.contains("LACRE_KEY: ") && text.contains("LACRE_STORE: "), "{text}");
    assert!(!home.path().join(".config").exists(), "nothing was made");
}
