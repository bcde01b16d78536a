//! The SQLite store between processes: what one writes another sees, a new file is made once, and
//! every file is private.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use lacre::store::{Fs, Sqlite, Store};
use lacre::wait;
use records::{get, key, put};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

#[path = "helper/records.rs"]
mod records;

/// The program of the other processes.
const PROGRAM: &str = env!("CARGO_BIN_EXE_lacre-test-process");

fn open(file: impl AsRef<Path>) -> Sqlite {
    Sqlite::open(file).unwrap()
}

fn command(program: &Path, role: &str, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["store", role]).arg(file).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn helper() -> PathBuf {
    PROGRAM.into()
}

fn output(mut command: Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

struct Other {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Other {
    fn start(file: &Path) -> Self {
        let mut child = command(&helper(), "serve", file).spawn().unwrap();
        let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut other = Self { child, to, from };
        assert_eq!(other.line(), "ready");
        other
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "the other process ended");
        line.trim_end().to_owned()
    }

    fn ask(&mut self, request: &str) -> String {
        writeln!(self.to, "{request}").unwrap();
        self.line()
    }
}

#[test]
fn processes_see_each_others_writes_at_once() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("cache.sqlite");
    let store = open(&file);
    let mut other = Other::start(&file);
    for n in 0..20 {
        assert_eq!(other.ask(&format!("get {n}")), "nothing");
        put(&store, key(0, n), &format!("first {n}"));
        assert_eq!(other.ask(&format!("get {n}")), format!("first {n}"));
        assert_eq!(other.ask(&format!("put {n}")), "done");
        assert_eq!(get(&store, key(0, n)).unwrap(), "from the other");
        assert!(wait(store.remove(&key(0, n))).unwrap());
        assert_eq!(other.ask(&format!("get {n}")), "nothing");
    }
    drop(other.to);
    assert!(other.child.wait().unwrap().success());
}

#[test]
fn processes_that_race_to_make_a_store_share_one_and_lose_no_write() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("made/cache.sqlite");
    let racing: Vec<Child> =
        (0..6).map(|_| command(&helper(), "write-many", &file).spawn().unwrap()).collect();
    let ids: Vec<u32> = racing.iter().map(Child::id).collect();
    for child in racing {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    let store = open(&file);
    for id in ids {
        assert!((0..50).all(|n| get(&store, key(id, n)).is_some()), "process {id}");
    }
}

#[test]
fn p20_files_and_directories_of_a_store_are_private_under_any_umask() {
    for role in ["umask-000", "umask-777"] {
        let root = tempfile::tempdir().unwrap();
        let said = output(command(&helper(), role, &root.path().join("a/b/cache.sqlite")));
        let modes: Vec<_> =
            said.lines().filter_map(|line| line.split_once("mode ")).map(|(_, mode)| mode).collect();
        assert_eq!(modes, ["700", "600", "600", "600"], "{role}");
    }
}

#[test]
fn unreadable_store_is_reported_as_permission_denied() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("store");
    let file = directory.join("cache.sqlite");
    put(&open(&file), key(0, 0), "kept");
    drop(Fs::open(directory.join("dir")).unwrap());
    // Root may read whatever a mode says, so another user has to look.
    let mut program = helper();
    let somebody = rustix::process::geteuid().is_root().then_some(65_534);
    if somebody.is_some() {
        program = root.path().join("program");
        fs::copy(helper(), &program).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    }
    for (mode_of_directory, mode_of_file) in [(0o755, 0o000), (0o000, 0o600)] {
        fs::set_permissions(&file, fs::Permissions::from_mode(mode_of_file)).unwrap();
        fs::set_permissions(directory.join("dir"), fs::Permissions::from_mode(mode_of_file)).unwrap();
        fs::set_permissions(&directory, fs::Permissions::from_mode(mode_of_directory)).unwrap();
        let mut command = command(&program, "denied", &file);
        if let Some(id) = somebody {
            command.uid(id).gid(id);
        }
        let said = output(command);
        assert_eq!(said.matches("Store(Denied): ").count(), 4, "{said}");
        assert_eq!(said.matches("ermission denied").count(), 4, "{said}");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::set_permissions(directory.join("dir"), fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn unwritable_store_is_still_read() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("store");
    let file = directory.join("cache.sqlite");
    put(&open(&file), key(0, 0), "kept");
    // Root may write whatever a mode says, so another user has to look.
    let mut program = helper();
    let somebody = rustix::process::geteuid().is_root().then_some(65_534);
    if let Some(id) = somebody {
        program = root.path().join("program");
        fs::copy(helper(), &program).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(&file, Some(id), Some(id)).unwrap();
        chown(&directory, Some(id), Some(id)).unwrap();
    }
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o500)).unwrap();
    let mut command = command(&program, "read-only", &file);
    if let Some(id) = somebody {
        command.uid(id).gid(id);
    }
    let said = output(command);
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(said.contains("kept") && said.contains("refused"), "{said}");
}
