//! `lacre migrate`: imports files of requests-cache into the sealed store, where `lacre get` finds
//! them.

use crate::sandbox::{Origin, Sandbox, unreachable_url};
use lacre::Timestamp;
use lacre::interchange::requests_cache::{Format, Request, Response, Serializer};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

const SECRET: &str = "a secret of at least 32 random bytes";

fn now() -> Timestamp {
    SystemTime::now().into()
}

fn response(url: &str, body: &str) -> Response {
    let text =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
    let headers =
        [("User-Agent", "python-requests/2.34.2"), ("Accept-Encoding", "gzip, deflate"), ("Accept", "*/*")];
    Response {
        status: http::StatusCode::OK,
        reason: Some("OK".to_owned()),
        url: url.to_owned(),
        headers: text(&[("Content-Type", "text/plain"), ("Vary", "Accept-Encoding")]),
        body: body.to_owned().into(),
        encoding: None,
        cookies: Vec::new(),
        elapsed: Duration::from_millis(7),
        created: now().minus(Duration::from_secs(600)),
        expires: Some(now().plus(Duration::from_secs(3600))),
        request: Request {
            method: "GET".to_owned(),
            url: url.to_owned(),
            headers: text(&headers),
            ..Request::default()
        },
        history: Vec::new(),
        next: None,
    }
}

/// Writes a directory cache with these files.
fn cache(sandbox: &Sandbox, files: &[(&str, Vec<u8>)]) -> PathBuf {
    let directory = sandbox.path("http_cache");
    fs::create_dir_all(&directory).unwrap();
    for (name, content) in files {
        fs::write(directory.join(name), content).unwrap();
    }
    directory
}

fn migrate<'a>(directory: &'a Path, args: &[&'a str]) -> Vec<&'a str> {
    [&["migrate", directory.to_str().unwrap()], args].concat()
}

#[test]
fn migrated_response_is_a_hit_without_a_network() {
    let sandbox = Sandbox::new();
    let (a, b) = (format!("{}a", unreachable_url()), format!("{}b?token=hunter2", unreachable_url()));
    let unsigned = Serializer::danger_unsigned();
    let directory = cache(
        &sandbox,
        &[
            ("1.pkl", unsigned.encode(&response(&a, "hello"))),
            ("2.json", unsigned.clone().format(Format::Json).encode(&response(&b, "json"))),
        ],
    );
    let dry = sandbox.ok(&migrate(&directory, &["--trust-existing", "--dry-run"]));
    assert_eq!(dry.text(), "2 entries would be sealed\n");
    assert!(!sandbox.store().exists());

    let done = sandbox.ok(&migrate(&directory, &["--trust-existing"]));
    assert_eq!(done.text(), "2 entries sealed\n");
    let hit = sandbox.ok(&["get", "--offline", &a]);
    assert_eq!((hit.text(), hit.cache_result()), ("hello", "HIT"));
    assert_eq!(sandbox.ok(&["get", "--offline", &b]).text(), "json");
    let row = &sandbox.ok(&["ls", "--json", &a]).objects()[0];
    assert_eq!((&row["status"], &row["method"]), (&200.into(), &"GET".into()));
    assert!(sandbox.ok(&["ls"]).text().contains("token=REDACTED"), "secrets are redacted on the way in");
    sandbox.ok(&["verify"]);

    let again = sandbox.ok(&migrate(&directory, &["--trust-existing", "--json"])).objects();
    assert_eq!((&again[0]["schema"], &again[0]["known"]), (&"lacre/migrate/v1".into(), &2.into()));
}

#[test]
fn migrated_redirects_are_followed_without_a_network() {
    let sandbox = Sandbox::new();
    let base = unreachable_url();
    let hop = |from: &str, to: &str| Response {
        status: http::StatusCode::FOUND,
        headers: vec![("Location".to_owned(), to.to_owned())],
        ..response(&format!("{base}{from}"), "")
    };
    let last =
        Response { history: vec![hop("a", "/b"), hop("b", "c")], ..response(&format!("{base}c"), "at last") };
    let directory = cache(&sandbox, &[("1.pkl", Serializer::danger_unsigned().encode(&last))]);
    sandbox.ok(&migrate(&directory, &["--trust-existing"]));
    for from in ["a", "b", "c"] {
        assert_eq!(sandbox.ok(&["get", "--offline", &format!("{base}{from}")]).text(), "at last");
    }
}

#[test]
fn unsigned_source_needs_the_trust_option() {
    let sandbox = Sandbox::new();
    let unsigned = Serializer::danger_unsigned().encode(&response(&unreachable_url(), "x"));
    let directory = cache(&sandbox, &[("1.pkl", unsigned)]);
    let refused = sandbox.run(&migrate(&directory, &[]));
    assert_eq!(refused.code, 2);
    assert!(refused.err.starts_with("error: the source is not authenticated\nhint: "), "{}", refused.err);
    assert!(refused.err.contains("--trust-existing"));
    assert!(!sandbox.store().exists());
}

#[test]
fn unsigned_and_wrongly_signed_responses_are_refused() {
    let sandbox = Sandbox::new();
    let base = unreachable_url();
    let signed = Serializer::safe_pickle(SECRET).unwrap();
    let mut changed = signed.encode(&response(&format!("{base}changed"), "x"));
    changed[50] ^= 1;
    let directory = cache(
        &sandbox,
        &[
            ("1.pkl", signed.encode(&response(&format!("{base}good"), "good"))),
            ("2.pkl", changed),
            ("3.pkl", Serializer::safe_pickle("another").unwrap().encode(&response(&base, "x"))),
            ("4.json", Serializer::danger_unsigned().format(Format::Json).encode(&response(&base, "x"))),
        ],
    );
    let key = sandbox.file("secret", format!("{SECRET}\n"));
    let reference = format!("file:{key}");
    let result = sandbox.run(&migrate(&directory, &["--itsdangerous-key", &reference]));
    assert_eq!(result.code, 10);
    let lines: Vec<&str> = result.text().lines().collect();
    assert_eq!(lines.len(), 4);
    assert!(lines[0].starts_with("2  refused  the signature does not hold"), "{}", lines[0]);
    assert_eq!(lines[3], "1 entry sealed");
    assert!(result.err.contains("error: 3 of 4 entries refused\nhint: "), "{}", result.err);
    assert_eq!(sandbox.ok(&["get", "--offline", &format!("{base}good")]).text(), "good");

    let environment = |args: &[&str]| -> i32 {
        let mut command = sandbox.command(&migrate(&directory, args));
        command.env("CACHE_SECRET", "wrong").output().unwrap().status.code().unwrap()
    };
    assert_eq!(environment(&["--itsdangerous-key", "env:CACHE_SECRET"]), 10);
    assert_eq!(environment(&["--itsdangerous-key", "env:ABSENT"]), 11);
    assert_eq!(environment(&["--itsdangerous-key", SECRET]), 2);
    assert!(!sandbox.run(&migrate(&directory, &["--itsdangerous-key", SECRET])).err.contains(SECRET));
}

#[test]
fn signed_source_without_its_secret_asks_for_it() {
    let sandbox = Sandbox::new();
    let signed = Serializer::safe_pickle(SECRET).unwrap().encode(&response(&unreachable_url(), "x"));
    let directory = cache(&sandbox, &[("1.pkl", signed)]);
    let result = sandbox.run(&migrate(&directory, &["--trust-existing"]));
    assert_eq!(result.code, 11);
    assert!(result.err.contains("--itsdangerous-key"), "{}", result.err);
}

#[test]
fn p15_a_planted_pickle_never_runs_and_the_rest_is_migrated() {
    let sandbox = Sandbox::new();
    let marker = sandbox.path("marker");
    // os.system("touch MARKER"), with STACK_GLOBAL and with the older GLOBAL.
    let command = format!("touch '{}'", marker.display());
    let length = u32::try_from(command.len()).unwrap().to_le_bytes();
    let planted = [
        [&b"\x80\x04\x8c\x02os\x8c\x06system\x93X"[..], &length, command.as_bytes(), b"\x85R."].concat(),
        [&b"cos\nsystem\n(V"[..], command.as_bytes(), b"\ntR."].concat(),
        format!("!!python/object/apply:os.system [\"{command}\"]").into_bytes(),
    ];
    let [first, second, third] = planted;
    let good = format!("{}good", unreachable_url());
    let directory = cache(
        &sandbox,
        &[
            ("1.pkl", first),
            ("2.pkl", second),
            ("3.yaml", third),
            ("4.pkl", b"\x80\x04garbage".to_vec()),
            ("5.pkl", Serializer::danger_unsigned().encode(&response(&good, "good"))),
        ],
    );
    let before: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    let result = sandbox.run(&migrate(&directory, &["--trust-existing", "--json"]));
    assert_eq!(result.code, 10);
    let objects = result.objects();
    assert_eq!(objects[0]["reason"], "pickle opcode STACK_GLOBAL refused: it would run code");
    assert_eq!((&objects[4]["sealed"], &objects[4]["refused"]), (&1.into(), &4.into()));
    assert!(result.err.contains("{\"error\":{\"code\":\"integrity\""), "{}", result.err);
    assert!(result.err.contains("0.7"));
    let human = sandbox.run(&migrate(&directory, &["--trust-existing"]));
    assert!(
        human.text().contains("2  refused  pickle opcode GLOBAL refused: it would run code\n"),
        "{}",
        human.text()
    );
    assert_eq!(sandbox.ok(&["get", "--offline", &good]).text(), "good");
    let after: Vec<_> =
        fs::read_dir(&directory).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap()).collect();
    assert_eq!(before, after, "the source is never changed");
    assert!(!marker.exists());
}

#[test]
fn stale_migrated_response_is_revalidated() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| {
        assert!(request.contains("if-none-match: \"1\""), "{request}");
        b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\nconnection: close\r\n\r\n".to_vec()
    });
    let url = origin.url("/");
    let mut stale = response(&url, "still good");
    stale.expires = Some(now().minus(Duration::from_secs(60)));
    stale.headers.push(("ETag".to_owned(), "\"1\"".to_owned()));
    let directory = cache(&sandbox, &[("1.pkl", Serializer::danger_unsigned().encode(&stale))]);
    sandbox.ok(&migrate(&directory, &["--trust-existing"]));
    assert_eq!(sandbox.ok(&["get", &url]).text(), "still good");
    assert_eq!(origin.count(), 1);
}

#[test]
fn source_that_is_not_a_cache_is_refused() {
    let sandbox = Sandbox::new();
    for (name, content) in [("text", "hello"), ("empty.sqlite", "")] {
        let result = sandbox.run(&["migrate", &sandbox.file(name, content), "--trust-existing"]);
        assert_eq!(result.code, 2, "{}", result.err);
        assert!(
            result.err.contains("this is no cache of requests-cache") && result.err.contains("\nhint: "),
            "{}",
            result.err
        );
    }
    assert_eq!(sandbox.run(&["migrate", "/nowhere/at/all", "--trust-existing"]).code, 1);
}
