//! Key sources against what only another process can show: a race for the first key, and the umask.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use lacre::keys::{self, KeySource};
use lacre::{Event, Observer, config};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Set in a process that this test starts from its own program: what that process is to do.
const ROLE: &str = "LACRE_TEST_ROLE";
const FIRST_USE: &str = "first-use";
const FIRST_USE_UMASK_000: &str = "first-use-umask-000";

#[derive(Debug)]
struct Announce;

impl Observer for Announce {
    fn notice(&self, event: Event<'_>) {
        if let Event::KeyMade { .. } = event {
            println!("made");
        }
    }
}

/// Not a test by itself: what the started processes run.
#[test]
fn role() {
    let Ok(role) = std::env::var(ROLE) else { return };
    if role == FIRST_USE_UMASK_000 {
        rustix::process::umask(rustix::fs::Mode::empty());
        config::make_cache_directory(config::store_path().unwrap().parent().unwrap()).unwrap();
    }
    let ring = keys::user(&Announce).unwrap().load().unwrap();
    println!("primary {}", ring.primary());
}

fn start(role: &str, home: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "role", "--nocapture", "--test-threads", "1"])
        .env_clear()
        .env(ROLE, role)
        .env("HOME", home)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
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
    let home = tempfile::tempdir().unwrap();
    said(&start(FIRST_USE_UMASK_000, home.path()).wait_with_output().unwrap());
    let mode = |path: &str| fs::metadata(home.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(".config"), 0o700);
    assert_eq!(mode(".config/lacre"), 0o700);
    assert_eq!(mode(".config/lacre/keyring"), 0o600);
    assert_eq!(mode(".cache/lacre"), 0o700);
}
