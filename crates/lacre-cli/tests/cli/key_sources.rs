//! `lacre key` with every key source but files. Another program owns each source, so another
//! program also reads or writes it here.
//!
//! `cargo xtask test` starts keyrings and sets `LACRE_SECRET_SERVICE`, `LACRE_KEYCTL` and
//! `LACRE_KEYRING_PYTHON`; `cargo xtask keyrings` does so for one test.

use crate::sandbox::{Origin, RunResult, Sandbox};
use std::fs;
use std::process::{Command, Stdio};

const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// A variable that xtask sets. Without it, the test prints a note and passes.
fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok();
    if value.is_none() {
        eprintln!(
            "SKIPPED: {name} is not set; `cargo xtask keyrings` starts keyrings and prints the variables"
        );
    }
    value
}

impl Sandbox {
    /// Runs with the variables `set`, and checks that the output shows no key.
    fn run_with(&self, args: &[&str], set: &[(&str, &str)]) -> RunResult {
        let mut command = self.command(args);
        // Child programs are found through PATH.
        command.env("PATH", std::env::var_os("PATH").unwrap());
        let result = RunResult::from(command.envs(set.iter().copied()).output().unwrap());
        let printed = String::from_utf8_lossy(&result.out).into_owned() + &result.err;
        assert!(!printed.contains(KEY), "{args:?} shows a key");
        for (name, value) in set.iter().filter(|(name, _)| name.ends_with("PASSPHRASE")) {
            assert!(!printed.contains(value), "{args:?} shows {name}");
        }
        result
    }

    fn ok_with(&self, args: &[&str], set: &[(&str, &str)]) -> RunResult {
        let result = self.run_with(args, set);
        assert_eq!(result.code, 0, "{args:?}: {}", result.err);
        result
    }

    /// The id of the primary key.
    fn primary(&self, reference: &str, set: &[(&str, &str)]) -> String {
        let shown = self.ok_with(&["key", "show", "--json", "--key", reference], set).objects();
        shown[0]["primary"].as_str().unwrap().to_owned()
    }
}

/// The id of the bare key `KEY`.
fn primary_of_bare(sandbox: &Sandbox) -> String {
    sandbox.primary("env:SOME_KEY", &[("SOME_KEY", KEY)])
}

fn output_of(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn lacre_and_python_keyring_read_each_others_desktop_keyring() {
    let (Some(bus), Some(python)) = (variable("LACRE_SECRET_SERVICE"), variable("LACRE_KEYRING_PYTHON"))
    else {
        return;
    };
    let sandbox = Sandbox::new();
    let set = [("DBUS_SESSION_BUS_ADDRESS", bus.as_str())];
    let keyring = |script: &str| {
        let mut command = Command::new(&python);
        command.env("DBUS_SESSION_BUS_ADDRESS", &bus).args(["-c", &format!("import keyring; {script}")]);
        output_of(&mut command)
    };
    // A long-running keyring keeps the keys of earlier runs.
    let (ours, theirs) = (format!("ours-{}", std::process::id()), format!("theirs-{}", std::process::id()));
    let key = &*format!("keyring:lacre-test/{ours}");
    sandbox.ok_with(&["key", "new", key], &set);
    assert_eq!(sandbox.run_with(&["key", "new", key], &set).code, 2, "the key exists already");
    let old = sandbox.primary(key, &set);
    sandbox.ok_with(&["key", "rotate", "--key", key], &set);
    let new = sandbox.primary(key, &set);
    assert_ne!(old, new);

    let text = keyring(&format!("print(keyring.get_password('lacre-test', '{ours}'), end='')"));
    assert!(text.starts_with("lacre-keyring-v1\n") && text.contains("\nverify "), "it reads as text");
    let file = sandbox.file("copy", text);
    let mut command = sandbox.command(&["key", "import", "-", &format!("file:{file}-2")]);
    assert!(command.stdin(fs::File::open(&file).unwrap()).status().unwrap().success());
    assert_eq!(sandbox.primary(&format!("file:{file}-2"), &[]), new);

    keyring(&format!("keyring.set_password('lacre-test', '{theirs}', '{KEY}')"));
    let key = &*format!("keyring:lacre-test/{theirs}");
    assert_eq!(sandbox.primary(key, &set), primary_of_bare(&sandbox));
    sandbox.ok_with(&["key", "rotate", "--key", key], &set);
    let rotated = keyring(&format!("print(keyring.get_password('lacre-test', '{theirs}'), end='')"));
    assert!(rotated.starts_with("lacre-keyring-v1\n"), "it is written back to the same place");

    let absent = sandbox.run_with(&["key", "show", "--key", "keyring:lacre-test/nobody"], &set);
    assert_eq!(absent.code, 11);
    assert!(absent.err.contains("hint: lacre key new keyring:lacre-test/nobody"), "{}", absent.err);
    let listed = sandbox.ok_with(&["key", "list", "--json"], &set).objects();
    let desktop = listed.iter().find(|form| form["reference"] == "keyring:SERVICE/USER").unwrap();
    assert_eq!(desktop["usable"], true);
}

#[test]
fn unreachable_desktop_keyring_is_reported_with_a_hint() {
    let sandbox = Sandbox::new();
    let set = [("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere/at-all")];
    let result = sandbox.run_with(&["key", "show", "--key", "keyring:lacre-test/ana"], &set);
    assert_eq!(result.code, 11);
    assert!(result.err.contains("cannot be reached") && result.err.contains("hint: "), "{}", result.err);
}

#[test]
fn concurrent_rotations_are_all_kept() {
    let Some(bus) = variable("LACRE_SECRET_SERVICE") else { return };
    let sandbox = Sandbox::new();
    let set = [("DBUS_SESSION_BUS_ADDRESS", bus.as_str())];
    let rotate = ["key", "rotate", "--key", &format!("keyring:lacre-test/racing-{}", std::process::id())];
    sandbox.ok_with(&["key", "new", rotate[3]], &set);
    let racing: Vec<_> = (0..6).map(|_| sandbox.command(&rotate).envs(set).spawn().unwrap()).collect();
    for child in racing {
        let result = RunResult::from(child.wait_with_output().unwrap());
        assert_eq!(result.code, 0, "{}", result.err);
    }
    let shown = sandbox.ok_with(&["key", "show", "--json", "--key", rotate[3]], &set).objects();
    assert_eq!(shown[0]["verify"].as_array().unwrap().len(), 6);
}

#[test]
fn kernel_keyring_keeps_and_rotates_a_key_for_its_session() {
    let Some(keyctl) = variable("LACRE_KEYCTL") else { return };
    let sandbox = Sandbox::new();
    // All commands share one session, and this user's persistent keyring stays empty.
    let script = r#"
        set -e
        "$LACRE" key new "$KEY"
        "$LACRE" key rotate --key "$KEY" >/dev/null
        "$LACRE" key show --key "$KEY"
        "$LACRE" key show --key "keyutils:lacre-test/nobody" && exit 1
        keyctl invalidate "$(keyctl search @s user "$NAME")"
    "#;
    let user = std::process::id();
    let result = Command::new(keyctl)
        .args(["session", "-", "sh", "-c", script])
        .env("HOME", sandbox.path(""))
        .env("LACRE", env!("CARGO_BIN_EXE_lacre"))
        .env("KEY", format!("keyutils:lacre-test/{user}"))
        .env("NAME", format!("keyring:{user}@lacre-test"))
        .stdin(Stdio::null())
        .output();
    let result = RunResult::from(result.unwrap());
    assert_eq!(result.code, 0, "{}", result.err);
    assert_eq!(result.text().matches("verify").count(), 1, "{}", result.text());
    assert!(result.err.contains("there is no keyutils:lacre-test/nobody"), "{}", result.err);
}

#[test]
fn keepass_key_seals_and_its_database_is_never_written() {
    let Some(python) = variable("LACRE_KEYRING_PYTHON") else { return };
    let (sandbox, origin) = (Sandbox::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    let path = sandbox.path("secrets.kdbx");
    let path = path.to_str().unwrap();
    let script = format!(
        "import pykeepass\n\
         database = pykeepass.create_database('{path}', password='open sesame, please')\n\
         group = database.add_group(database.root_group, 'Work')\n\
         database.add_entry(group, 'lacre', 'ana', '{KEY}')\n\
         database.save()"
    );
    output_of(Command::new(python).args(["-c", &script]));
    let written = fs::read(path).unwrap();
    let reference = format!("kdbx:{path}#Work/lacre");
    let set = [("LACRE_PASSPHRASE", "open sesame, please")];
    assert_eq!(sandbox.primary(&reference, &set), primary_of_bare(&sandbox));

    let get = ["get", &origin.url("/"), "--key", &reference];
    assert_eq!(sandbox.ok_with(&get, &set).cache_result(), "MISS");
    assert_eq!(sandbox.ok_with(&get, &set).cache_result(), "HIT");
    let rotated = sandbox.run_with(&["key", "rotate", "--key", &reference], &set);
    assert_eq!(rotated.code, 2);
    assert!(rotated.err.contains("hint: `lacre key import"), "{}", rotated.err);
    assert_eq!(fs::read(path).unwrap(), written);
    assert_eq!(sandbox.run_with(&get, &[("LACRE_PASSPHRASE", "another one, please")]).code, 11);
    assert_eq!(sandbox.run_with(&get, &[]).code, 11);
}

#[test]
fn passphrase_keyring_rotates_and_needs_its_passphrase() {
    let sandbox = Sandbox::new();
    let reference = format!("passphrase:{}", sandbox.path("keys/locked").display());
    let set = [("LACRE_PASSPHRASE", "correct horse battery")];
    let weak = sandbox.run_with(&["key", "new", &reference], &[("LACRE_PASSPHRASE", "hunter2")]);
    assert_eq!(weak.code, 11);
    assert!(weak.err.contains("twelve characters"), "{}", weak.err);
    assert!(!sandbox.path("keys/locked").exists());

    sandbox.ok_with(&["key", "new", &reference], &set);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(sandbox.path("keys/locked")).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let old = sandbox.primary(&reference, &set);
    sandbox.ok_with(&["key", "rotate", "--key", &reference], &set);
    assert_ne!(sandbox.primary(&reference, &set), old);
    let wrong =
        sandbox.run_with(&["key", "show", "--key", &reference], &[("LACRE_PASSPHRASE", "incorrect horse")]);
    assert_eq!(wrong.code, 11);
    let unknown = sandbox.run(&["key", "show", "--key", &reference]);
    assert_eq!(unknown.code, 11);
    assert!(unknown.err.contains("LACRE_PASSPHRASE_FROM"), "{}", unknown.err);

    // A reference may name the passphrase.
    let file = sandbox.file("phrase", "correct horse battery\n");
    restrict(&file);
    for from in [format!("file:{file}"), "cmd:printf 'correct horse battery'".to_owned()] {
        assert_ne!(sandbox.primary(&reference, &[("LACRE_PASSPHRASE_FROM", &from)]), old);
    }
    // An import into another file keeps the key.
    let opened = format!("file:{}", sandbox.path("keys/open").display());
    sandbox.ok_with(&["key", "import", &reference, &opened], &set);
    assert_eq!(sandbox.primary(&opened, &[]), sandbox.primary(&reference, &set));
}

/// Runs a program on a new terminal, types each line once echo is off, and prints the terminal's
/// text.
#[cfg(unix)]
const TYPE: &str = r"
import os, pty, select, sys, termios, time
lines, command = [line for line in sys.argv[1].split('|') if line], sys.argv[2:]
child, terminal = pty.fork()
if child == 0:
    os.execv(command[0], command)
shown, asked = b'', 0
while True:
    if lines and shown.count(b': ') > asked:
        while termios.tcgetattr(terminal)[3] & termios.ECHO:
            time.sleep(0.01)
        os.write(terminal, lines.pop(0).encode() + b'\n')
        asked += 1
    if not select.select([terminal], [], [], 20)[0]:
        sys.exit('it waits for more')
    try:
        more = os.read(terminal, 1024)
    except OSError:
        break
    if not more:
        break
    shown += more
sys.stdout.write(shown.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";

#[cfg(unix)]
#[test]
fn p39_passphrase_is_asked_for_on_a_terminal_without_echo() {
    let Some(python) = variable("LACRE_KEYRING_PYTHON") else { return };
    let sandbox = Sandbox::new();
    let reference = format!("passphrase:{}", sandbox.path("locked").display());
    let typed = |lines: &str, args: &[&str]| {
        let mut command = Command::new(&python);
        command.args(["-c", TYPE, lines, env!("CARGO_BIN_EXE_lacre")]).args(args);
        let result =
            RunResult::from(command.env("HOME", sandbox.path("")).stdin(Stdio::null()).output().unwrap());
        assert!(!result.text().contains("battery") && !result.err.contains("battery"), "{}", result.text());
        result
    };
    let new = ["key", "new", reference.as_str()];
    let differ = typed("correct horse battery|correct house battery", &new);
    assert_eq!(differ.code, 11, "{}", differ.text());
    assert!(
        differ.text().contains("passphrases differ") && !sandbox.path("locked").exists(),
        "{}",
        differ.text()
    );
    let made = typed("correct horse battery|correct horse battery", &new);
    assert_eq!(made.code, 0, "{}{}", made.text(), made.err);
    let set = [("LACRE_PASSPHRASE", "correct horse battery")];
    let old = sandbox.primary(&reference, &set);
    let rotated = typed("correct horse battery", &["key", "rotate", "--key", &reference]);
    assert_eq!(rotated.code, 0, "{}{}", rotated.text(), rotated.err);
    assert_ne!(sandbox.primary(&reference, &set), old);

    // A terminal shows no keys without the option.
    let exported = typed("", &["key", "export", "--key", &reference]);
    assert_eq!(exported.code, 2);
    assert!(exported.text().contains("not shown on a terminal"), "{}", exported.text());
    let exported =
        typed("correct horse battery", &["key", "export", "--key", &reference, "--danger-show-keys"]);
    assert!(exported.code == 0 && exported.text().contains("\nprimary "), "the option allows it");
}

#[test]
fn command_and_systemd_credential_hold_keys() {
    let sandbox = Sandbox::new();
    let expected = primary_of_bare(&sandbox);
    let file = sandbox.file("secret", KEY);
    assert_eq!(sandbox.primary(&format!("cmd:cat '{file}'"), &[]), expected);
    let failed = sandbox.run_with(&["key", "show", "--key", "cmd:cat /nowhere/at-all"], &[]);
    assert_eq!(failed.code, 11);
    assert!(!failed.err.contains("/nowhere/at-all"), "{}", failed.err);

    let directory = sandbox.path("");
    let set = [("CREDENTIALS_DIRECTORY", directory.to_str().unwrap())];
    assert_eq!(sandbox.primary("systemd:secret", &set), expected);
    let lost = sandbox.run_with(&["key", "show", "--key", "systemd:secret"], &[]);
    assert_eq!(lost.code, 11);
    assert!(lost.err.contains("LoadCredential="), "{}", lost.err);
    assert_eq!(sandbox.run_with(&["key", "rotate", "--key", "systemd:secret"], &set).code, 2);
}

/// Makes a file accessible only to its owner.
fn restrict(path: impl AsRef<std::path::Path>) {
    #[cfg(unix)]
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    #[cfg(not(unix))]
    let _ = path;
}

#[test]
fn p39_weak_key_is_refused_from_every_source_and_not_shown() {
    let sandbox = Sandbox::new();
    let zeros = "00".repeat(32);
    let ring = format!("lacre-keyring-v1\nindex {0}\nepoch 0\nprimary {0}\n", "A".repeat(43));
    for weak in [zeros.as_str(), "a password, not a key", &ring] {
        let file = sandbox.file("weak", weak);
        restrict(&file);
        let directory = sandbox.path("");
        let variables = [("SOME_KEY", weak), ("CREDENTIALS_DIRECTORY", directory.to_str().unwrap())];
        for source in [&format!("file:{file}"), "env:SOME_KEY", &format!("cmd:cat '{file}'"), "systemd:weak"]
        {
            for args in [
                &["key", "show", "--key", source][..],
                &["key", "import", source],
                &["get", "--key", source, "http://127.0.0.1:9/"],
            ] {
                let result = sandbox.run_with(args, &variables);
                assert_eq!(result.code, 11, "{args:?}: {}", result.err);
                let printed = format!("{}{}", result.text(), result.err);
                assert!(weak.lines().all(|line| !printed.contains(line)), "{args:?}: {printed}");
            }
        }
    }
    assert!(!sandbox.path(".config").exists(), "a weak key was kept");
}

#[test]
fn p39_key_on_the_command_line_is_refused_and_not_repeated() {
    let sandbox = Sandbox::new();
    for args in [
        &["key", "new", KEY][..],
        &["key", "import", KEY],
        &["key", "export", KEY],
        &["key", "retire", KEY],
        &["key", "show", "--key", KEY],
        &["get", "--key", KEY, "http://127.0.0.1:9/"],
    ] {
        // `run_with` searches the output for the key.
        let result = sandbox.run_with(args, &[]);
        assert_eq!(result.code, 2, "{args:?}: {}", result.err);
        let json = sandbox.run_with(&[args, &["--json"]].concat(), &[]);
        assert_eq!(json.code, 2, "{args:?}: {}", json.err);
    }
}

#[test]
fn p39_key_file_beside_the_store_is_refused() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("cache-control: max-age=60\r\n", "x"));
    sandbox.ok(&["get", &origin.url("/")]);
    let beside = |name: &str| sandbox.path(".cache/lacre").join(name).display().to_string();
    let set = [("LACRE_PASSPHRASE", "correct horse battery")];
    for reference in [format!("file:{}", beside("keys/ring")), format!("passphrase:{}", beside("locked"))] {
        for args in [["key", "new", &reference], ["key", "export", &reference]] {
            let result = sandbox.run_with(&args, &set);
            assert_eq!(result.code, 2, "{args:?}: {}", result.err);
            assert!(result.err.contains("protects nothing"), "{}", result.err);
        }
    }
    let (locked, moved) = (format!("passphrase:{}", sandbox.path("locked").display()), beside("locked"));
    sandbox.ok_with(&["key", "new", &locked], &set);
    fs::rename(sandbox.path("locked"), &moved).unwrap();
    for reference in [format!("passphrase:{moved}"), format!("kdbx:{moved}#lacre")] {
        let result = sandbox.run_with(&["get", "--key", &reference, &origin.url("/")], &set);
        assert_eq!(result.code, 2, "{reference}: {}", result.err);
    }
}
