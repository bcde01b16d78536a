//! `lacre ls`, `show`, `explain` and `verify`.

use crate::sandbox::{Origin, Sandbox, response};

/// A sandbox with `/a` (JSON, 20 bytes), `/b/c` (stale) and `/a?token=…`.
fn filled() -> (Sandbox, Origin) {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| match request.starts_with("GET /b") {
        true => response("200 OK", "etag: \"1\"\r\ncache-control: max-age=0\r\n", b"stale"),
        false => {
            response("200 OK", "cache-control: max-age=3600\r\nvary: accept\r\n", b"{\"first\":1,\"next\":2}")
        }
    });
    for path in ["/a", "/b/c", "/a?token=hunter2"] {
        sandbox.ok(&["get", &origin.url(path)]);
    }
    (sandbox, origin)
}

fn urls(sandbox: &Sandbox, args: &[&str]) -> Vec<String> {
    let rows = sandbox.ok(&[&["ls", "--json"], args].concat()).objects();
    rows.iter().map(|row| row["url"].as_str().unwrap_or("bad").to_owned()).collect()
}

#[test]
fn ls_prints_one_line_per_entry_and_no_secret() {
    let (sandbox, origin) = filled();
    let list = sandbox.ok(&["ls", "--sort", "url"]);
    let lines: Vec<&str> = list.text().lines().collect();
    assert_eq!(lines.len(), 4);
    let columns: Vec<&str> = lines[0].split_whitespace().collect();
    assert_eq!(columns, ["KEY", "ST", "SIZE", "AGE", "FRESH", "SEAL", "URL"]);
    let first: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!((first[1], first[2], first[4]), ("200", "20", "59m"));
    assert!(first[5].starts_with("k-") && first[6..] == ["GET", &origin.url("/a")], "{first:?}");
    assert!(lines[2].ends_with("/a?token=REDACTED") && lines[3].contains("stale 0s"), "{}", list.text());
    assert!(!list.text().contains("hunter2") && !list.text().contains('\x1b'));
}

#[test]
fn ls_selects_and_sorts() {
    let (sandbox, origin) = filled();
    let (a, b, secret) = (origin.url("/a"), origin.url("/b/c"), origin.url("/a?token=REDACTED"));
    assert_eq!(urls(&sandbox, &["--sort", "url"]), [a.as_str(), &secret, &b]);
    assert_eq!(urls(&sandbox, &["--sort", "age"]), [secret.as_str(), &b, &a]);
    assert_eq!(urls(&sandbox, &["--sort", "size"])[2], b);
    assert_eq!(urls(&sandbox, &["--stale"]), [b.as_str()]);
    assert_eq!(urls(&sandbox, &["*/b/*"]), [b.as_str()]);
    assert_eq!(urls(&sandbox, &[&a]), [a.as_str()]);
    assert_eq!(urls(&sandbox, &["--host", "127.0.0.1"]).len(), 3);
    assert_eq!(urls(&sandbox, &["--host", "example.com"]).len(), 0);
    assert_eq!(urls(&sandbox, &["--bad"]).len(), 0);
}

#[test]
fn colour_follows_option_and_environment() {
    let (sandbox, _origin) = filled();
    assert!(sandbox.ok(&["ls", "--color", "always"]).text().contains("\x1b["));
    let with = |name: &str, args: &[&str]| {
        let output = sandbox.command(args).env(name, "1").output().unwrap();
        output.stdout.contains(&0x1b)
    };
    assert!(with("CLICOLOR_FORCE", &["ls"]));
    assert!(!with("NO_COLOR", &["ls"]));
    assert!(with("NO_COLOR", &["ls", "--color", "always"]));
    assert!(!with("CLICOLOR_FORCE", &["ls", "--color", "never"]));
}

#[test]
fn bad_entry_is_marked_and_stops_nothing() {
    let (sandbox, _origin) = filled();
    sandbox.tamper(|place| place == 0);
    let list = sandbox.ok(&["ls"]);
    assert_eq!(list.text().lines().count(), 4);
    assert_eq!(list.text().lines().filter(|line| line.contains("  BAD  ")).count(), 1, "{}", list.text());
    let bad = sandbox.ok(&["ls", "--bad", "--json"]).objects();
    assert_eq!((bad.len(), &bad[0]["state"]), (1, &"bad".into()));
    let key = &bad[0]["key"].as_str().unwrap()[..8];

    let verify = sandbox.run(&["verify"]);
    assert_eq!(verify.code, 10);
    assert!(verify.text().starts_with(&format!("{key}  bad seal  ")), "{}", verify.text());
    assert!(verify.err.starts_with("error: 1 of 3 entries failed verification"), "{}", verify.err);
    assert!(verify.err.ends_with("hint: `lacre verify --quarantine` moves bad entries to quarantine, `lacre rm --bad` removes them\n"), "{}", verify.err);
    let verify = sandbox.run(&["verify", "--json"]);
    assert_eq!(verify.objects()[1]["bad"], 1);
    let error: serde_json::Value = serde_json::from_str(&verify.err).unwrap();
    assert_eq!((&error["schema"], &error["error"]["code"]), (&"lacre/error/v1".into(), &"integrity".into()));

    assert_eq!(sandbox.run(&["show", key]).code, 10);
    sandbox.ok(&["rm", "--bad", "--yes"]);
    assert_eq!(sandbox.ok(&["verify"]).text(), "every seal is valid: 2 entries\n");
}

#[test]
fn show_writes_exact_bytes_to_a_pipe() {
    let (sandbox, origin) = filled();
    let whole = sandbox.ok(&["show", &origin.url("/a")]);
    let (head, body) = whole.text().split_once("\n\n").unwrap();
    assert!(head.starts_with(&format!("GET {}\n", origin.url("/a"))), "{head}");
    assert!(head.contains("HTTP/1.1 200 OK\n") && head.contains("\nvary: accept"), "{head}");
    assert_eq!(body, "{\"first\":1,\"next\":2}");
    for flag in ["--body", "--raw"] {
        assert_eq!(sandbox.ok(&["show", flag, &origin.url("/a")]).text(), body);
    }
    let headers = sandbox.ok(&["show", "--headers", &origin.url("/a")]);
    // The `key` line contains the age, which may have grown.
    let without_age =
        |text: &str| text.lines().filter(|line| !line.starts_with("key ")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_age(headers.text()).trim_end(), without_age(head));
    let object = &sandbox.ok(&["show", "--json", &origin.url("/a")]).objects()[0];
    assert_eq!((&object["body"], &object["status"]), (&body.into(), &200.into()));
}

#[test]
fn show_accepts_a_key_prefix_and_refuses_an_ambiguous_selector() {
    let (sandbox, origin) = filled();
    let key =
        sandbox.ok(&["ls", "--json", &origin.url("/a")]).objects()[0]["key"].as_str().unwrap().to_owned();
    assert_eq!(sandbox.ok(&["show", "--body", &key[..6]]).text(), "{\"first\":1,\"next\":2}");
    sandbox.ok(&["get", &origin.url("/a?token=another")]);
    let several = sandbox.run(&["show", &origin.url("/a?token=hunter2")]);
    assert_eq!(several.code, 2);
    assert!(
        several.err.starts_with("error: 2 entries match ")
            && several.err.contains("\nhint: name one of them by its key: "),
        "{}",
        several.err
    );
    assert_eq!(sandbox.run(&["show", &origin.url("/nothing")]).code, 3);
}

#[test]
fn explain_explains_and_sends_nothing() {
    let (sandbox, origin) = filled();
    let asked = origin.count();
    let hit = sandbox.ok(&["explain", &origin.url("/a")]);
    assert!(hit.text().starts_with("HIT  Cache-Status: lacre; hit; ttl="), "{}", hit.text());
    assert!(hit.text().contains("max-age=3600 (response) - age 0 = "), "{}", hit.text());
    assert!(hit.text().contains("vary   accept\n"), "{}", hit.text());
    let other = sandbox.ok(&["explain", &origin.url("/a?token=hunter2"), "Authorization:Bearer hunter3"]);
    assert!(other.text().starts_with("MISS"), "{}", other.text());
    assert!(other.text().contains("token=REDACTED + authorization"), "{}", other.text());
    assert!(!other.text().contains("hunter"));
    let stale = sandbox.ok(&["explain", "--json", &origin.url("/b/c")]).objects().remove(0);
    assert_eq!(stale["result"], "miss");
    assert!(stale["cache_status"].as_str().unwrap().starts_with("lacre; fwd=stale"), "{stale}");
    assert_eq!(origin.count(), asked);
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(Sandbox::new().ok(&["completions", shell]).text().contains("lacre"), "{shell}");
    }
}
