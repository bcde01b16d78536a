//! The program against a real origin: an httpbin at `LACRE_HTTPBIN`, which `cargo xtask test`
//! starts.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

/// The httpbin's address without a final slash. Without one, the test prints a note and passes.
fn httpbin() -> Option<String> {
    let url = std::env::var("LACRE_HTTPBIN").ok();
    if url.is_none() {
        eprintln!(
            "SKIPPED: LACRE_HTTPBIN is not set; `cargo xtask httpbin` starts an httpbin and prints its address"
        );
    }
    url.map(|url| url.trim_end_matches('/').to_owned())
}

struct RunResult {
    code: i32,
    out: Vec<u8>,
    word: String,
}

/// Runs `lacre get` with the home directory `home`.
fn get(home: &std::path::Path, args: &[&str]) -> RunResult {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacre"));
    let output = command.env_clear().env("HOME", home).arg("get").args(args).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    let word = err.lines().last().unwrap_or_default().split(' ').next().unwrap().to_owned();
    RunResult { code: output.status.code().unwrap(), out: output.stdout, word }
}

/// Fetches the body with a raw HTTP/1.0 request.
fn from_the_network(url: &str) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\nAccept: */*\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    bytes.split_off(head + 4)
}

/// Sends requests for one URL in a new home, and compares the result of each with `expected`.
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
fn fresh_response_is_a_hit() {
    let Some(base) = httpbin() else { return };
    words(&format!("{base}/cache/60"), &[], &["MISS", "HIT", "HIT"]);
}

#[test]
fn response_with_only_a_validator_is_revalidated() {
    let Some(base) = httpbin() else { return };
    words(&format!("{base}/etag/x"), &[], &["MISS", "REVALIDATED", "REVALIDATED"]);
}

#[test]
fn varying_response_is_a_hit_for_the_same_header_only() {
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
    // --ttl covers permanent redirects and their target.
    let url = format!("{base}/redirect-to?status_code=301&url=/cache/60");
    let first = get(home.path(), &["--ttl", "60", &url]);
    let again = get(home.path(), &["--offline", &url]);
    assert_eq!((first.code, again.code, &again.out), (0, 0, &first.out));
}

/// The body at the end of `/redirect/n`, which lists the request's headers.
fn from_the_end(base: &str) -> Vec<u8> {
    get(tempfile::tempdir().unwrap().path(), &[&format!("{base}/get")]).out
}

#[test]
fn cached_bytes_equal_the_bytes_of_the_network() {
    let Some(base) = httpbin() else { return };
    for path in ["/bytes/100000?seed=1", "/gzip", "/image/png", "/encoding/utf8"] {
        let url = format!("{base}{path}");
        let body = words(&url, &["--ttl", "60"], &["MISS", "HIT"]);
        // This gzip body contains the time of day; `words` compared it with itself.
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
fn cookies_partition_the_cache_with_the_option() {
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
fn server_error_is_not_stored_by_default() {
    let Some(base) = httpbin() else { return };
    let url = format!("{base}/status/503");
    words(&url, &[], &["MISS", "MISS"]);
    let home = tempfile::tempdir().unwrap();
    assert_eq!(get(home.path(), &["--fail", &url]).code, 5);
}
