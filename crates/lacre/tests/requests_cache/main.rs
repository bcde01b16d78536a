//! The files of requests-cache, as its released versions wrote them, and as we do.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod hostile;
mod import;
mod keys;
mod samples;
mod values;
mod written;

use lacre::Timestamp;
use lacre::interchange::requests_cache::{Request, Response};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

/// What lies in `LACRE_SHARED`, or in `../shared` beside the workspace; where it is absent, that is
/// said aloud, and nothing is judged.
fn shared(name: &str) -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let path = std::env::var_os("LACRE_SHARED").map_or_else(beside, PathBuf::from).join(name);
    if path.exists() {
        return Some(path);
    }
    // Not `eprintln`: a test that passes would keep it to itself.
    writeln!(io::stderr().lock(), "\nSKIPPED: no {name}; set LACRE_SHARED to the directory that has it")
        .unwrap();
    None
}

/// When what is in these tests was received.
const THEN: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn get(url: &str) -> Request {
    let headers = [
        ("User-Agent", "python-requests/2.34.2"),
        ("Accept-Encoding", "gzip, deflate"),
        ("Accept", "*/*"),
        ("Connection", "keep-alive"),
    ];
    Request { method: "GET".into(), url: url.into(), headers: pairs(&headers), ..Request::default() }
}

/// A response to `request`, with these headers and this body.
fn answer(request: Request, headers: &[(&str, &str)], body: &[u8]) -> Response {
    Response {
        status: http::StatusCode::OK,
        reason: Some("OK".into()),
        url: request.url.clone(),
        headers: pairs(headers),
        body: body.to_vec().into(),
        encoding: Some("utf-8".into()),
        cookies: Vec::new(),
        elapsed: Duration::from_millis(5),
        created: THEN,
        expires: None,
        request,
        history: Vec::new(),
        next: None,
    }
}
