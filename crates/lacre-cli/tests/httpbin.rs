//! The program against a real origin, an httpbin at `LACRE_HTTPBIN` (`cargo xtask test` starts one).
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// The httpbin's address, without a slash at the end. Where there is none, the test says so and passes.
fn httpbin() -> Option<String> {
    let url = std::env::var("LACRE_HTTPBIN").ok();
    if url.is_none() {
        eprintln!(
            "SKIPPED: LACRE_HTTPBIN is not set; `cargo xtask httpbin` starts an httpbin and says where"
        );
    }
    url.map(|url| url.trim_end_matches('/').to_owned())
}

struct RunResult {
    code: i32,
    out: Vec<u8>,
    word: String,
}

/// `lacre get` by a user of `home`.
fn get(home: &std::path::Path, args: &[&str]) -> RunResult {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacre"));
    let output = command.env_clear().env("HOME", home).arg("get").args(args).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let word = err.lines().last().unwrap_or_default().split(' ').next().unwrap().to_owned();
    RunResult { code: output.status.code().unwrap(), out: output.stdout, word }
}

/// The body as the network sends it, by a client that shares nothing with ours.
fn from_the_network(url: &str) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    bytes.split_off(head + 4)
}

/// What the cache does with each of several requests for one URL, in a home of their own.
#[track_caller]
fn words(url: &str, args: &[&str], expected: &[&str]) -> Vec<u8> {
    let home = tempfile::tempdir().unwrap();
    let runs: Vec<RunResult> = expected.iter().map(|_| get(home.path(), &[&[url], args].concat())).collect();
    assert_eq!(runs.iter().map(|result| result.word.as_str()).collect::<Vec<_>>(), expected, "{url}");
    let bodies: Vec<&Vec<u8>> = runs.iter().map(|result| &result.out).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{url}: bodies differ");
    runs.into_iter().next().unwrap().out
}

#[test]
fn what_is_fresh_is_a_hit() {
    let Some(base) = httpbin() else { return };
    words(&format!("{base}/cache/60"), &[], &["MISS", "HIT", "HIT"]);
}

#[test]
fn what_has_only_a_validator_is_validated() {
    let Some(base) = httpbin() else { return };
    words(&format!("{base}/etag/x"), &[], &["MISS", "REVALIDATED", "REVALIDATED"]);
}

#[test]
fn what_varies_is_a_hit_for_the_same_header_only() {
    let Some(base) = httpbin() else { return };
    let home = tempfile::tempdir().unwrap();
    let url = format!("{base}/response-headers?Vary=X-Tongue&Cache-Control=max-age%3D60");
    let words = ["X-Tongue:a", "X-Tongue:b", "X-Tongue:a", "X-Tongue:b"]
        .map(|item| get(home.path(), &[&url, item]).word);
    assert_eq!(words, ["MISS", "MISS", "HIT", "HIT"]);
}

#[test]
fn redirects_are_followed_hop_by_hop() {
    let Some(base) = httpbin() else { return };
    let home = tempfile::tempdir().unwrap();
    let result = get(home.path(), &["--fail", &format!("{base}/redirect/3")]);
    assert_eq!((result.code, result.out), (0, from_the_end(&base)));
    // Permanent redirects and what they end in can be told to last.
    let url = format!("{base}/redirect-to?status_code=301&url=/cache/60");
    let first = get(home.path(), &["--ttl", "60", &url]);
    let again = get(home.path(), &["--offline", &url]);
    assert_eq!((first.code, again.code, &again.out), (0, 0, &first.out));
}

/// Where `/redirect/n` ends says which headers it got: those of our program.
fn from_the_end(base: &str) -> Vec<u8> {
    get(tempfile::tempdir().unwrap().path(), &[&format!("{base}/get")]).out
}

#[test]
fn bytes_from_the_cache_are_those_of_the_network() {
    let Some(base) = httpbin() else { return };
    for path in ["/bytes/100000?seed=1", "/gzip", "/image/png", "/encoding/utf8"] {
        let url = format!("{base}{path}");
        let body = words(&url, &["--ttl", "60"], &["MISS", "HIT"]);
        // Gzip carries the time of day; it is compared with itself above.
        if path != "/gzip" {
            assert!(body == from_the_network(&url), "{path}");
        }
    }
}

#[test]
fn credentials_partition_the_cache() {
    let Some(base) = httpbin() else { return };
    let home = tempfile::tempdir().unwrap();
    let with = base.replace("http://", "http://u:p@");
    let (with, without) = (format!("{with}/basic-auth/u/p"), format!("{base}/basic-auth/u/p"));
    assert_eq!(get(home.path(), &["--fail", "--ttl", "60", &with]).code, 0);
    assert_eq!(get(home.path(), &["--fail", "--offline", &with]).code, 0);
    assert_eq!(get(home.path(), &["--fail", "--offline", &without]).code, 3);
    assert_eq!(get(home.path(), &["--fail", &without]).code, 4);
}

#[test]
fn cookies_partition_the_cache_where_the_user_says_so() {
    let Some(base) = httpbin() else { return };
    let home = tempfile::tempdir().unwrap();
    let url = format!("{base}/cookies");
    for (cookie, word) in
        [("Cookie:a=1", "MISS"), ("Cookie:a=2", "MISS"), ("Cookie:a=1", "HIT"), ("Cookie:a=2", "HIT")]
    {
        let result = get(home.path(), &["--partition-by-cookies", "--ttl", "60", &url, cookie]);
        let expected = format!("\"a\": \"{}\"", &cookie["Cookie:a=".len()..]);
        assert_eq!(result.word, word);
        assert!(String::from_utf8(result.out).unwrap().contains(&expected));
    }
}

#[test]
fn a_failure_is_not_kept_where_nobody_asked_for_it() {
    let Some(base) = httpbin() else { return };
    let url = format!("{base}/status/503");
    words(&url, &[], &["MISS", "MISS"]);
    let home = tempfile::tempdir().unwrap();
    assert_eq!(get(home.path(), &["--fail", &url]).code, 5);
}
