//! `lacre audit`: secrets in stored responses are found and told apart, and not printed.

use crate::sandbox::{Origin, Sandbox, response};

/// A token in a well-known format, assembled here so that no repository scanner reports it.
fn token() -> String {
    format!("ghp_{}", "a1B2c3D4e5F6".repeat(3))
}

/// A signed store with four pages: one with a token, one with a password, one that sets a cookie,
/// and a harmless one.
fn filled() -> (Sandbox, Origin) {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let (headers, body) = match path {
            "/token" => ("content-type: text/html\r\n", format!("<b>{}</b>", token())),
            "/json" => (
                "content-type: application/json\r\n",
                format!(r#"{{"a":[{{"password":"correct-horse"}}],"b":"{}"}}"#, token()),
            ),
            "/cookie" => ("set-cookie: id=hunter2; Path=/\r\n", "hello".to_owned()),
            _ => ("content-type: text/plain\r\n", "the token ring".to_owned()),
        };
        response("200 OK", &format!("cache-control: max-age=3600\r\n{headers}"), body.as_bytes())
    });
    for path in ["/token", "/json", "/cookie", "/harmless?token=hunter3"] {
        sandbox.ok(&["get", "--suite", "signed", &origin.url(path), "X-Api-Key:hunter4"]);
    }
    sandbox.ok(&["get", "--suite", "signed", &origin.url("/token")]);
    (sandbox, origin)
}

#[test]
fn secrets_are_found_and_never_printed() {
    let (sandbox, origin) = filled();
    let audit = sandbox.run(&["audit", "--suite", "signed"]);
    assert_eq!(audit.code, 1, "{}", audit.err);
    for line in [
        "  body at 3: github-token  #",
        "  body at 18: name password  #",
        "  header set-cookie: name id  #",
        &format!("  {}", origin.url("/cookie")),
    ] {
        assert!(audit.text().contains(line), "{line}: {}", audit.text());
    }
    assert!(
        audit.err.starts_with("error: 5 likely secrets in 4 of 5 entries\nhint: `lacre rm KEY` "),
        "{}",
        audit.err
    );
    for secret in [token().as_str(), "correct-horse", "hunter"] {
        assert!(!audit.text().contains(secret) && !audit.err.contains(secret), "{secret}");
    }
}

#[test]
fn json_has_an_object_for_each_finding_and_a_summary() {
    let (sandbox, origin) = filled();
    let audit = sandbox.run(&["audit", "--suite", "signed", "--json"]);
    assert_eq!(audit.code, 1);
    let mut objects = audit.objects();
    let summary = objects.pop().unwrap();
    assert_eq!(summary["schema"], "lacre/audit/v1");
    let counts =
        ["entries", "affected", "findings", "unread_bodies", "closed"].map(|name| summary[name].as_u64());
    assert_eq!(counts.map(Option::unwrap), [5, 4, 5, 0, 0]);
    assert!(objects.iter().all(|finding| finding["schema"] == "lacre/finding/v1"));
    let of = |path: &str, kind: &str| {
        let is_it =
            |finding: &&serde_json::Value| finding["url"] == origin.url(path) && finding["kind"] == kind;
        objects.iter().find(is_it).unwrap_or_else(|| panic!("{path} {kind}: {objects:?}"))
    };
    assert_eq!(of("/token", "github-token")["fingerprint"], of("/json", "github-token")["fingerprint"]);
    assert_ne!(of("/token", "github-token")["fingerprint"], of("/json", "name")["fingerprint"]);
    assert_eq!(of("/json", "name")["name"], "password");
    let cookie = of("/cookie", "name");
    assert_eq!((&cookie["place"], &cookie["header"]), (&"response-header".into(), &"set-cookie".into()));
}

#[test]
fn audit_can_be_limited_to_readable_or_selected_entries() {
    let (sandbox, origin) = filled();
    // Of five entries, four were requested with a key and are encrypted.
    let readable = sandbox.run(&["audit", "--suite", "signed", "--readable", "--json"]).objects();
    assert_eq!(readable.len(), 2);
    assert_eq!((&readable[0]["readable"], &readable[0]["url"]), (&true.into(), &origin.url("/token").into()));
    assert_eq!(readable[1]["entries"], 1);
    let one = sandbox.run(&["audit", "--suite", "signed", &origin.url("/cookie")]);
    assert!(one.err.starts_with("error: 1 likely secret in 1 of 1 entry\n"), "{}", one.err);
    let none = sandbox.ok(&["audit", "--suite", "signed", "*/harmless*"]);
    assert_eq!(none.text(), "no likely secret found: 1 entry\n");
}

#[test]
fn entry_that_does_not_open_is_counted_and_stops_nothing() {
    let sandbox = Sandbox::new();
    let origin = Origin::always("cache-control: max-age=3600\r\n", "hello");
    for path in ["/a", "/b", "/c"] {
        sandbox.ok(&["get", &origin.url(path)]);
    }
    sandbox.tamper(|place| place == 0);
    let audit = sandbox.ok(&["audit"]);
    assert_eq!(
        audit.text(),
        "no likely secret found: 2 entries\n1 entry did not open (1 bad): `lacre verify` says why\n"
    );
}
