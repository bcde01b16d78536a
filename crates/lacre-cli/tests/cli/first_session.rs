//! A first session with every command, in a new home, against an origin on loopback. `--no-capture`
//! prints it.

use crate::sandbox::{Origin, RunResult, Sandbox, response, unreachable_url};
use crate::tls::{Authority, TlsOrigin};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const STALE: &str = "etag: \"1\"\r\ncache-control: max-age=0, stale-if-error=600\r\n";

/// A session that prints each command, its output and its exit code.
struct Session {
    sandbox: Sandbox,
}

impl Session {
    fn run(&self, args: &[&str]) -> RunResult {
        let result = self.sandbox.run(args);
        println!(
            "$ lacre {}\n{}{}[{}]",
            args.join(" "),
            String::from_utf8_lossy(&result.out),
            result.err,
            result.code
        );
        result
    }

    /// Runs a command, which must exit with `code` and print `text`.
    #[track_caller]
    fn expect(&self, args: &[&str], code: i32, text: &str) -> RunResult {
        let result = self.run(args);
        assert_eq!(result.code, code, "{args:?}: {}", result.err);
        let printed = format!("{}{}", String::from_utf8_lossy(&result.out), result.err);
        assert!(printed.contains(text), "{args:?}: {printed}");
        result
    }
}

#[test]
fn first_session_works_from_fetch_to_recovery() {
    let session = Session { sandbox: Sandbox::new() };
    let failing = Arc::new(AtomicBool::new(false));
    let fails = Arc::clone(&failing);
    let origin = Origin::start(move |request| match request.split(' ').nth(1).unwrap_or_default() {
        _ if fails.load(Ordering::Relaxed) => response("503 Service Unavailable", "", b"busy\n"),
        "/stale" => response("200 OK", STALE, b"an older answer\n"),
        _ => response("200 OK", "cache-control: max-age=3600\r\ncontent-type: text/plain\r\n", b"hello\n"),
    });
    let (hello, stale) = (origin.url("/hello"), origin.url("/stale"));
    let sandbox = &session.sandbox;

    session.expect(&["ls"], 0, "");
    assert!(!sandbox.path(".config").exists(), "reading creates no key");
    session.expect(&["ls", "--json"], 0, "");
    session.expect(&["verify"], 0, "every seal is valid: 0 entries");
    session.expect(&["get", &hello], 0, "MISS 200");
    session.expect(&["get", &hello], 0, "HIT 200");
    session.expect(&["ls"], 0, &format!("GET {hello}"));
    session.expect(&["explain", &hello], 0, "max-age=3600 (response)");
    session.expect(&["show", &hello], 0, "cache-control: max-age=3600");

    println!("# one byte of the stored response is changed");
    let whole = fs::read(sandbox.store()).unwrap();
    sandbox.tamper(|_| true);
    session.expect(&["verify"], 10, "1 of 1 entry failed verification");
    session.expect(&["show", &hello], 10, "tampered with");
    println!("# and changed back");
    fs::write(sandbox.store(), whole).unwrap();
    session.expect(&["verify"], 0, "every seal is valid: 1 entry");

    session.expect(&["key", "rotate"], 0, "rotated: ");
    session.expect(&["verify"], 0, "old: lacre reseal replaces it");
    let resealed = session.expect(&["reseal"], 0, "resealed: 1 of 1 entry");
    let retire = resealed.text().lines().last().unwrap().split("lacre ").nth(1).unwrap().to_owned();
    let retire: Vec<&str> = retire.split(' ').collect();
    session.expect(&retire, 13, "0 of 1 entry in this store will no longer open");
    session.expect(&[&retire[..], &["--yes"]].concat(), 0, "retired k-");
    session.expect(&["get", &hello], 0, "HIT 200");

    println!("# the wrong suite");
    session.expect(&["reseal", "--suite", "signed"], 0, "already current: 1");
    session.expect(&["get", "--suite", "signed", &stale], 0, "MISS 200");
    session.expect(&["verify"], 11, "pass --suite signed");
    session.expect(&["rm", "--bad", "--yes"], 0, "0 entries removed");
    session.expect(&["verify", "--suite", "signed"], 0, "every seal is valid: 2 entries");

    println!("# the wrong key");
    let other = format!("file:{}", sandbox.path("other-keyring").display());
    session.expect(&["key", "new", &other], 0, "created file:");
    session.expect(&["verify", "--key", &other], 11, "name the keyring that has them with --key");
    session.expect(&["ls", "--key", &other], 0, "NO KEY");

    println!("# the keyring is lost, and found again");
    let (ring, aside) = (sandbox.path(".config/lacre/keyring"), sandbox.path("keyring.bak"));
    fs::rename(&ring, &aside).unwrap();
    session.expect(&["ls"], 11, "does not exist");
    session.expect(&["key", "show"], 11, "does not exist");
    session.expect(&["key", "import", &format!("file:{}", aside.display())], 0, "copied to file:");
    session.expect(&["get", &hello], 0, "HIT 200");

    read_only(&session, &hello);

    println!("# the origin fails");
    failing.store(true, Ordering::Relaxed);
    let signed = ["get", "--suite", "signed"];
    session.expect(&[&signed[..], &[&stale]].concat(), 0, "(the origin answered 503 Service Unavailable)");
    session.expect(&[&signed[..], &["--fail", &stale]].concat(), 5, "503");
    session.expect(&["get", "--fail", &origin.url("/other")], 5, "503");
    let dead = unreachable_url();
    session.expect(&["get", &dead], 6, "does not answer");
    session.expect(&["get", "--offline", &dead], 3, "not stored");
    session.expect(&["get", "http://lacre.invalid/"], 6, "cannot resolve lacre.invalid");

    println!("# the certificate is from an unknown authority");
    let authority = Authority::new();
    let secure = TlsOrigin::start(&authority, "cache-control: max-age=60\r\n", "secret\n");
    let issuer = sandbox.file("issuer.pem", authority.pem());
    session.expect(&["get", &secure.url("/")], 6, "the certificate of 127.0.0.1:");
    session.expect(&["get", "--cacert", &issuer, &secure.url("/")], 0, "MISS 200");
    session.expect(&["get", &secure.url("/")], 6, "--cacert FILE");
}

#[test]
fn stale_response_names_the_failure_that_it_hides_and_fail_counts_it() {
    let sandbox = Sandbox::new();
    let dying = Arc::new(AtomicBool::new(false));
    let dead = Arc::clone(&dying);
    let origin = Origin::start(move |_| match dead.load(Ordering::Relaxed) {
        true => Vec::new(),
        false => response("200 OK", STALE, b"kept\n"),
    });
    let url = origin.url("/?token=hunter2");
    sandbox.ok(&["get", &url]);
    dying.store(true, Ordering::Relaxed);
    let stale = sandbox.ok(&["get", &url]);
    assert_eq!((stale.text(), stale.cache_result()), ("kept\n", "STALE"), "{}", stale.err);
    assert!(stale.err.contains("127.0.0.1:") && stale.err.contains("does not answer"), "{}", stale.err);
    assert!(!stale.err.contains("hunter2"), "{}", stale.err);
    let json: serde_json::Value = serde_json::from_str(&sandbox.ok(&["get", "--json", &url]).err).unwrap();
    assert!(json["stands_in_for"]["fault"].is_string(), "{json}");
    let fails = sandbox.run(&["get", "--fail", &url]);
    assert_eq!((fails.code, fails.text()), (6, "kept\n"), "{}", fails.err);
    assert!(fails.err.contains("hint: "), "{}", fails.err);
}

#[cfg(unix)]
fn read_only(session: &Session, url: &str) {
    use std::os::unix::fs::PermissionsExt;
    println!("# the folder of the cache is read-only");
    let folder = session.sandbox.path(".cache/lacre");
    let chmod = |mode| fs::set_permissions(&folder, PermissionsExt::from_mode(mode)).unwrap();
    chmod(0o500);
    session.expect(&["get", url], 0, "HIT 200");
    session.expect(&["ls"], 0, "/hello");
    session.expect(&["verify", "--suite", "signed"], 0, "every seal is valid: 2 entries");
    chmod(0o700);
}

#[cfg(not(unix))]
fn read_only(_: &Session, _: &str) {}
