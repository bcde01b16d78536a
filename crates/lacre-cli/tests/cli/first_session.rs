//! The session that one would show a newcomer, in a fresh home against an origin on loopback. `--no-capture` prints it as it was typed.

use crate::sandbox::{Origin, RunResult, Sandbox, response, unreachable_url};
use crate::tls::{Authority, TlsOrigin};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const STALE: &str = "etag: \"1\"\r\ncache-control: max-age=0, stale-if-error=600\r\n";

/// What was typed, what was said, and how it ended.
struct Session {
    sandbox: Sandbox,
}

impl Session {
    fn types(&self, args: &[&str]) -> RunResult {
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

    /// It ends with `code` and says `text` somewhere.
    #[track_caller]
    fn ends(&self, args: &[&str], code: i32, text: &str) -> RunResult {
        let result = self.types(args);
        assert_eq!(result.code, code, "{args:?}: {}", result.err);
        let said = format!("{}{}", String::from_utf8_lossy(&result.out), result.err);
        assert!(said.contains(text), "{args:?}: {said}");
        result
    }
}

#[test]
fn a_newcomers_session_ends_as_one_expects() {
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

    session.ends(&["ls"], 0, "");
    assert!(!sandbox.path(".config").exists(), "looking makes no key");
    session.ends(&["ls", "--json"], 0, "");
    session.ends(&["verify"], 0, "every seal holds: 0 entries");
    session.ends(&["get", &hello], 0, "MISS 200");
    session.ends(&["get", &hello], 0, "HIT 200");
    session.ends(&["ls"], 0, &format!("GET {hello}"));
    session.ends(&["explain", &hello], 0, "max-age=3600 (response)");
    session.ends(&["show", &hello], 0, "cache-control: max-age=3600");

    println!("# one byte of the stored response is changed");
    let whole = fs::read(sandbox.store()).unwrap();
    sandbox.tamper(|_| true);
    session.ends(&["verify"], 10, "1 of 1 entry failed verification");
    session.ends(&["show", &hello], 10, "tampered with");
    println!("# and changed back");
    fs::write(sandbox.store(), whole).unwrap();
    session.ends(&["verify"], 0, "every seal holds: 1 entry");

    session.ends(&["key", "rotate"], 0, "rotated: ");
    session.ends(&["verify"], 0, "lacre reseal frees it");
    let resealed = session.ends(&["reseal"], 0, "sealed anew: 1 of 1 entry");
    let retire = resealed.text().lines().last().unwrap().split("lacre ").nth(1).unwrap().to_owned();
    let retire: Vec<&str> = retire.split(' ').collect();
    session.ends(&retire, 13, "0 of 1 entry here will be a miss");
    session.ends(&[&retire[..], &["--yes"]].concat(), 0, "retired k-");
    session.ends(&["get", &hello], 0, "HIT 200");

    println!("# the wrong suite");
    session.ends(&["reseal", "--suite", "signed"], 0, "right already: 1");
    session.ends(&["get", "--suite", "signed", &stale], 0, "MISS 200");
    session.ends(&["verify"], 11, "pass --suite signed");
    session.ends(&["rm", "--bad", "--yes"], 0, "0 entries removed");
    session.ends(&["verify", "--suite", "signed"], 0, "every seal holds: 2 entries");

    println!("# the wrong key");
    let other = format!("file:{}", sandbox.path("other-keyring").display());
    session.ends(&["key", "new", &other], 0, "made file:");
    session.ends(&["verify", "--key", &other], 11, "name the keyring that has them with --key");
    session.ends(&["ls", "--key", &other], 0, "NO KEY");

    println!("# the keyring is lost, and found again");
    let (ring, aside) = (sandbox.path(".config/lacre/keyring"), sandbox.path("keyring.bak"));
    fs::rename(&ring, &aside).unwrap();
    session.ends(&["ls"], 11, "does not exist");
    session.ends(&["key", "show"], 11, "does not exist");
    session.ends(&["key", "import", &format!("file:{}", aside.display())], 0, "copied to file:");
    session.ends(&["get", &hello], 0, "HIT 200");

    read_only(&session, &hello);

    println!("# the origin is dead");
    failing.store(true, Ordering::Relaxed);
    let signed = ["get", "--suite", "signed"];
    session.ends(&[&signed[..], &[&stale]].concat(), 0, "(the origin answered 503 Service Unavailable)");
    session.ends(&[&signed[..], &["--fail", &stale]].concat(), 5, "503");
    session.ends(&["get", "--fail", &origin.url("/other")], 5, "503");
    let dead = unreachable_url();
    session.ends(&["get", &dead], 6, "does not answer");
    session.ends(&["get", "--offline", &dead], 3, "not stored");
    session.ends(&["get", "http://lacre.invalid/"], 6, "the name lacre.invalid cannot be resolved");

    println!("# the certificate is of an authority that nobody here knows");
    let authority = Authority::new();
    let secure = TlsOrigin::start(&authority, "cache-control: max-age=60\r\n", "secret\n");
    let issuer = sandbox.file("issuer.pem", authority.pem());
    session.ends(&["get", &secure.url("/")], 6, "the certificate of 127.0.0.1:");
    session.ends(&["get", "--cacert", &issuer, &secure.url("/")], 0, "MISS 200");
    session.ends(&["get", &secure.url("/")], 6, "--cacert FILE");
}

#[test]
fn a_stale_answer_says_what_it_stands_in_for_and_fail_counts_it() {
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
    session.ends(&["get", url], 0, "HIT 200");
    session.ends(&["ls"], 0, "/hello");
    session.ends(&["verify", "--suite", "signed"], 0, "every seal holds: 2 entries");
    chmod(0o700);
}

#[cfg(not(unix))]
fn read_only(_: &Session, _: &str) {}
