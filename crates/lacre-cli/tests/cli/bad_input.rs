//! Bad input of every kind: each ends with its exit code, one line of error and one hint, and loses
//! no stored response.

use crate::sandbox::{Origin, RunResult, Sandbox, response, unreachable_url};
use std::fs;
use std::path::Path;

/// A sandbox with one stored response, and its URL.
fn filled() -> (Sandbox, Origin, String) {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("cache-control: max-age=60\r\n", "kept"));
    let url = origin.url("/kept");
    sandbox.ok(&["get", &url]);
    (sandbox, origin, url)
}

#[track_caller]
fn refused(result: &RunResult, code: i32, message: &str) {
    assert_eq!(result.code, code, "{}", result.err);
    let lines: Vec<&str> = result.err.lines().collect();
    assert_eq!(lines.len(), 2, "{}", result.err);
    assert!(lines[0].starts_with("error: ") && lines[0].contains(message), "{}", result.err);
    assert!(lines[1].starts_with("hint: "), "{}", result.err);
    assert!(result.out.is_empty(), "{}", result.text());
}

#[track_caller]
fn still_there(sandbox: &Sandbox, url: &str) {
    assert_eq!(sandbox.ok(&["get", "--offline", url]).text(), "kept");
}

#[cfg(unix)]
fn chmod(path: impl AsRef<Path>, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn unusable_keys_are_refused() {
    let (sandbox, _origin, url) = filled();
    let pasted = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
    let garbage = sandbox.file("garbage", "not a key");
    #[cfg(unix)]
    chmod(&garbage, 0o600);
    for (key, code, message) in [
        ("env:NO_SUCH_KEY", 11, "NO_SUCH_KEY holds no key"),
        ("env:SHORT_KEY", 11, "SHORT_KEY is unusable"),
        ("file:/nonexistent/ring", 11, "does not exist"),
        (&format!("file:{garbage}"), 11, "is unusable"),
        (pasted, 2, "not a reference to a key"),
        ("vault:key", 2, "not a reference to a key"),
    ] {
        let output =
            sandbox.command(&["get", "--key", key, &url]).env("SHORT_KEY", "abcd1234").output().unwrap();
        let result = RunResult::from(output);
        refused(&result, code, message);
        assert!(!result.err.contains("abcd1234") && !result.err.contains(pasted));
    }
    still_there(&sandbox, &url);
}

#[test]
fn another_key_opens_nothing_and_damages_nothing() {
    let (sandbox, _origin, url) = filled();
    let other = format!("file:{}", sandbox.path("other/ring").display());
    sandbox.ok(&["key", "new", &other]);
    assert_eq!(sandbox.run(&["get", "--offline", "--key", &other, &url]).code, 3);
    let verify = sandbox.run(&["verify", "--key", &other]);
    assert_eq!(verify.code, 11, "{}", verify.err);
    assert!(verify.text().contains("no key"), "{}", verify.text());
    assert!(sandbox.ok(&["ls", "--key", &other]).text().contains("NO KEY"));
    assert!(verify.err.contains("--key"), "{}", verify.err);
    sandbox.ok(&["rm", "--key", &other, "--bad", "--expired", "--yes"]);
    still_there(&sandbox, &url);
}

#[cfg(unix)]
#[test]
fn key_file_that_others_can_read_is_refused() {
    let (sandbox, _origin, url) = filled();
    let ring = sandbox.path(".config/lacre/keyring");
    chmod(&ring, 0o644);
    let result = sandbox.run(&["get", &url]);
    refused(&result, 11, "can be read by others");
    assert!(result.err.ends_with(&format!("hint: chmod 600 {}\n", ring.display())), "{}", result.err);
    chmod(&ring, 0o600);
    std::os::unix::fs::symlink(&ring, sandbox.path("link")).unwrap();
    let link = format!("file:{}", sandbox.path("link").display());
    refused(&sandbox.run(&["get", "--key", &link, &url]), 11, "is a symbolic link");
    still_there(&sandbox, &url);
}

#[test]
fn key_beside_the_store_is_refused() {
    let (sandbox, _origin, url) = filled();
    let beside = sandbox.store().with_file_name("ring");
    let reference = format!("file:{}", beside.display());
    refused(&sandbox.run(&["get", "--key", &reference, &url]), 2, "is in the directory of the store");
    still_there(&sandbox, &url);
}

#[test]
fn unusable_stores_are_refused_and_left_unchanged() {
    let (sandbox, _origin, url) = filled();
    let garbage = sandbox.file("garbage", "these bytes are no store, and are not ours to delete".repeat(100));
    let newer = sandbox.path("newer");
    let mut bytes = fs::read(sandbox.store()).unwrap();
    // SQLite keeps `user_version` here; format.md §8.
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&newer, &bytes).unwrap();
    #[cfg(unix)]
    {
        chmod(&garbage, 0o600);
        chmod(&newer, 0o600);
        std::os::unix::fs::symlink(sandbox.store(), sandbox.path("link")).unwrap();
    }
    for (name, code) in [("garbage", 12), ("newer", 12), (".config", 12), (".config/lacre/keyring/x", 12)] {
        let store = format!("sqlite:{}", sandbox.path(name).display());
        refused(&sandbox.run(&["get", "--store", &store, &url]), code, "");
    }
    #[cfg(unix)]
    refused(
        &sandbox.run(&["get", "--store", &format!("sqlite:{}", sandbox.path("link").display()), &url]),
        12,
        "link",
    );
    assert!(fs::read_to_string(garbage).unwrap().starts_with("these bytes"));
    assert_eq!(fs::read(newer).unwrap(), bytes);
    still_there(&sandbox, &url);
}

#[test]
fn misspelt_reference_lists_the_forms_and_is_not_repeated() {
    let (sandbox, _origin, url) = filled();
    for key in ["File:/hunter2", " file:/hunter2", "keyrng:lacre/hunter2", "/hunter2", "vault:hunter2"] {
        let by_flag = sandbox.run(&["get", "--key", key, &url]);
        let by_variable =
            RunResult::from(sandbox.command(&["get", &url]).env("LACRE_KEY", key).output().unwrap());
        for (result, by) in [(by_flag, "--key"), (by_variable, "LACRE_KEY")] {
            refused(&result, 2, by);
            assert!(
                result.err.contains("file:PATH, env:NAME") && !result.err.contains("hunter2"),
                "{}",
                result.err
            );
        }
    }
    for store in ["sqlit:/hunter2", "SQLITE:/hunter2", "redis://:hunter2@localhost"] {
        let result =
            RunResult::from(sandbox.command(&["get", &url]).env("LACRE_STORE", store).output().unwrap());
        refused(&result, 2, "LACRE_STORE");
        assert!(result.err.contains("sqlite:PATH") && !result.err.contains("hunter2"), "{}", result.err);
    }
    let nothing_stored = Sandbox::new().run(&["ls", "--key", "keyrng:lacre/hunter2"]);
    refused(&nothing_stored, 2, "--key");
    let empty = [("LACRE_KEY", ""), ("LACRE_STORE", "")];
    let result = RunResult::from(sandbox.command(&["get", &url]).envs(empty).output().unwrap());
    assert_eq!(result.code, 0, "an empty variable counts as unset: {}", result.err);
}

#[test]
fn tilde_is_the_home_directory() {
    let (sandbox, _origin, url) = filled();
    let home = sandbox.path("");
    for store in ["sqlite:~/tilde/c.sqlite", "dir:~/tilde/d"] {
        let key = "file:~/keys/ring";
        let result = RunResult::from(
            sandbox.command(&["get", "--store", store, &url]).env("HOME", &home).output().unwrap(),
        );
        assert_eq!(result.code, 0, "{}", result.err);
        let result = RunResult::from(
            sandbox.command(&["key", "show", "--key", key]).env("HOME", &home).output().unwrap(),
        );
        refused(&result, 11, "keys/ring does not exist");
    }
    assert!(sandbox.path("tilde/c.sqlite").exists() && sandbox.path("tilde/d/lacre-store").exists());
}

#[test]
fn invalid_store_reference_is_refused_and_absent_store_is_empty() {
    let (sandbox, _origin, url) = filled();
    for store in ["cache.sqlite", "sqlite:", "dir:", "redis://:hunter2@localhost", ""] {
        let result = sandbox.run(&["get", "--store", store, &url]);
        refused(&result, 2, "does not name a store");
        assert!(!result.err.contains("hunter2"), "{}", result.err);
    }
    // An absent store is empty, and a note says so.
    for kind in ["sqlite", "dir"] {
        for command in ["ls", "verify", "audit"] {
            let result =
                sandbox.ok(&[command, "--store", &format!("{kind}:{}", sandbox.path("absent").display())]);
            assert!(result.err.starts_with("note: nothing is stored yet: /"), "{command}: {}", result.err);
        }
    }
    assert!(!sandbox.path("absent").exists(), "reading creates nothing");
}

#[cfg(unix)]
#[test]
fn directory_with_other_files_or_the_key_is_refused() {
    let (sandbox, _origin, url) = filled();
    sandbox.file("letter.txt", "private");
    let store = format!("dir:{}", sandbox.path("").display());
    refused(&sandbox.run(&["get", "--store", &store, &url]), 12, "the directory holds");
    let (store, key) = (sandbox.path("store"), sandbox.path("store/keyring"));
    sandbox.ok(&["key", "new", &format!("file:{}", key.display())]);
    let (store, key) = (format!("dir:{}", store.display()), format!("file:{}", key.display()));
    refused(
        &sandbox.run(&["get", "--store", &store, "--key", &key, &url]),
        2,
        "is in the directory of the store",
    );
    still_there(&sandbox, &url);
}

#[cfg(unix)]
#[test]
fn read_only_store_still_answers() {
    let (sandbox, _origin, url) = filled();
    chmod(sandbox.store(), 0o400);
    still_there(&sandbox, &url);
}

#[test]
fn invalid_requests_are_refused() {
    let (sandbox, origin, url) = filled();
    for url in
        ["example.com", "http://", "http://[::1", "ftp://example.com/", "//example.com/", "data:,x", ""]
    {
        refused(&sandbox.run(&["get", url]), 2, "");
        refused(&sandbox.run(&["explain", url]), 2, "");
    }
    for part in ["a".repeat(70_000), "?q".repeat(40_000)] {
        refused(&sandbox.run(&["get", &origin.url(&format!("/{part}"))]), 2, "the URL is too long");
    }
    for item in ["what", "na me:value", "X-A:va\nlue", "a:=nonsense", ":x"] {
        refused(&sandbox.run(&["get", &url, item]), 2, "");
    }
    refused(&sandbox.run(&["get", &url, "X-A:@/nonexistent"]), 1, "cannot read the value of `X-A`");
    for args in
        [&["get", &url, "--ttl", "soon"][..], &["get", &url, "--max-stale", "never"], &["get"], &["nonsense"]]
    {
        let result = sandbox.run(args);
        assert_eq!(result.code, 2);
        assert!(result.err.starts_with("error: "), "{}", result.err);
    }
    assert_eq!(origin.count(), 1);
    still_there(&sandbox, &url);
}

#[test]
fn unreachable_origin_is_named_without_its_query() {
    let (sandbox, _origin, url) = filled();
    let silent = Origin::start(|_| Vec::new());
    let no_http = Origin::start(|_| b"220 this is no HTTP\r\n\r\n".to_vec());
    for url in [
        unreachable_url(),
        silent.url("/?token=hunter2"),
        no_http.url("/?token=hunter2"),
        "http://lacre.invalid/".into(),
    ] {
        let result = sandbox.run(&["get", &url]);
        refused(&result, 6, ": ");
        let host = url.trim_start_matches("http://").split('/').next().unwrap();
        assert!(result.err.contains(host), "{}", result.err);
        assert!(!result.err.contains("hunter2"), "{}", result.err);
    }
    still_there(&sandbox, &url);
}

#[test]
fn truncated_response_is_not_stored() {
    let (sandbox, _origin, url) = filled();
    let cut = [
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 100\r\n\r\nonly this".to_vec(),
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n5\r\nonly \r\n"
            .to_vec(),
    ];
    for bytes in cut {
        let origin = Origin::start(move |_| bytes.clone());
        let result = sandbox.run(&["get", &origin.url("/")]);
        assert_eq!(result.code, 6, "{}", result.err);
        assert!(
            result.err.starts_with("error: the response was cut short and is not stored"),
            "{}",
            result.err
        );
        assert_eq!(sandbox.ok(&["ls", "--json"]).objects().len(), 1);
    }
    still_there(&sandbox, &url);
}

#[test]
fn body_over_the_limit_is_passed_on_and_not_stored() {
    let (sandbox, _origin, url) = filled();
    let origin = Origin::start(|_| response("200 OK", "cache-control: max-age=60\r\n", &[b'x'; 5000]));
    for _ in 0..2 {
        let result = sandbox.ok(&["get", "--max-body", "4999", &origin.url("/")]);
        assert_eq!((result.out.len(), result.cache_result()), (5000, "MISS"));
    }
    assert_eq!(sandbox.ok(&["ls", "--json"]).objects().len(), 1);
    still_there(&sandbox, &url);
}

#[test]
fn errors_are_objects_with_json() {
    let (sandbox, _origin, url) = filled();
    for (args, code) in [
        (&["get", "--json", "nonsense"][..], "usage"),
        (&["get", "--json", "--no-such-flag"], "usage"),
        (&["get", "--json", "--offline", "http://127.0.0.1/"], "not-cached"),
        (&["get", "--json", "--key", "env:NO_SUCH_KEY", &url], "key-unavailable"),
        (&["ls", "--json", "--store", "sqlite:/"], "store"),
        (&["rm", "--json", "--all"], "needs-yes"),
        (&["get", "--json"], "usage"),
        (&["--json"], "usage"),
    ] {
        let result = sandbox.run(args);
        let line: serde_json::Value = serde_json::from_str(&result.err).unwrap();
        assert_eq!(
            (&line["error"]["code"], &line["schema"]),
            (&code.into(), &"lacre/error/v1".into()),
            "{line}"
        );
        assert!(line["error"]["message"].is_string() && line["error"]["hint"].is_string(), "{line}");
    }
}
