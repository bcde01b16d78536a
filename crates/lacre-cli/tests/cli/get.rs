//! `lacre get`.

use crate::sandbox::{Origin, Sandbox, response, unreachable_url};
use serde_json::Value;
use std::io::Read;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

const FRESH: &str = "cache-control: max-age=60\r\n";

#[test]
fn second_get_is_a_hit_with_the_same_bytes() {
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, body.clone()));
    let miss = sandbox.ok(&["get", &origin.url("/")]);
    let hit = sandbox.ok(&["get", &origin.url("/")]);
    assert!(miss.out == body && hit.out == body);
    assert_eq!(origin.count(), 1);
    assert_eq!(miss.cache_result(), "MISS");
    assert!(hit.err.starts_with("HIT 200 lacre; hit; ttl="), "{}", hit.err);
    assert_eq!(hit.err.lines().count(), 1);
}

#[cfg(unix)]
#[test]
fn directory_store_works_with_every_command() {
    let body: Vec<u8> = (0..=255).cycle().take(600_000).collect();
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, body.clone()));
    let store = format!("dir:{}", sandbox.path("store").display());
    let run = |args: &[&str]| sandbox.ok(&[args, &["--store", &store]].concat());
    run(&["get", &origin.url("/")]);
    assert_eq!(run(&["get", &origin.url("/")]).cache_result(), "HIT");
    assert!(run(&["show", "--body", &origin.url("/")]).out == body);
    assert_eq!(run(&["ls", "--json"]).text().lines().count(), 1);
    run(&["verify"]);
    run(&["rm", "--yes", &origin.url("/")]);
    assert_eq!(run(&["ls", "--json"]).text(), "");
    assert_eq!(origin.count(), 1);
}

#[test]
fn every_encoding_is_read_by_every_command() {
    let body: Vec<u8> = (0..300_000).map(|at| (at / 100) as u8).collect();
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, body.clone()));
    let sizes = ["none", "zstd", "gzip", "lz4", "brotli"].map(|how| {
        let sandbox = Sandbox::new();
        sandbox.ok(&["get", "--compress", how, &origin.url("/")]);
        assert!(sandbox.ok(&["get", "--offline", &origin.url("/")]).out == body, "{how}");
        std::fs::metadata(sandbox.store()).unwrap().len()
    });
    assert!(sizes[1..].iter().all(|size| size * 5 < sizes[0]), "{sizes:?}");
    for format in ["cbor", "json", "yaml", "msgpack", "bson"] {
        let url = origin.url(&format!("/{format}"));
        sandbox.ok(&["get", "--format", format, &url]);
        assert!(sandbox.ok(&["get", "--offline", &url]).out == body, "{format}");
    }
    assert_eq!(sandbox.ok(&["ls"]).text().lines().filter(|line| line.contains("200")).count(), 5);
    sandbox.ok(&["verify"]);
}

#[test]
fn status_line_is_an_object_with_json() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    sandbox.ok(&["get", &origin.url("/")]);
    let hit = sandbox.ok(&["get", "--json", &origin.url("/")]);
    let line: Value = serde_json::from_str(&hit.err).unwrap();
    assert_eq!((&line["schema"], &line["result"]), (&"lacre/get/v1".into(), &"hit".into()));
    assert_eq!((&line["status"], &line["key"].as_str().unwrap().len()), (&200.into(), &64));
    assert_eq!(hit.text(), "x");
}

#[test]
fn offline_answers_from_the_store_or_exits_3() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    let offline = sandbox.run(&["get", "--offline", &origin.url("/")]);
    assert_eq!((offline.code, origin.count()), (3, 0));
    assert!(offline.out.is_empty() && offline.err.contains("hint: "));
    sandbox.ok(&["get", &origin.url("/")]);
    assert_eq!(sandbox.ok(&["get", "--offline", &origin.url("/")]).text(), "x");
}

#[test]
fn origins_504_is_not_taken_for_the_caches_own() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|_| response("504 Gateway Timeout", FRESH, b"late"));
    assert_eq!(sandbox.ok(&["get", &origin.url("/")]).text(), "late");
    assert_eq!(sandbox.ok(&["get", "--offline", &origin.url("/")]).text(), "late");
}

#[test]
fn refresh_revalidates_with_the_origin() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| match request.contains("if-none-match: \"1\"") {
        true => response("304 Not Modified", "etag: \"1\"\r\ncache-control: max-age=60\r\n", b""),
        false => response("200 OK", "etag: \"1\"\r\ncache-control: max-age=60\r\n", b"x"),
    });
    sandbox.ok(&["get", &origin.url("/")]);
    let refreshed = sandbox.ok(&["get", "--refresh", &origin.url("/")]);
    assert_eq!((refreshed.cache_result(), refreshed.text(), origin.count()), ("REVALIDATED", "x", 2));
}

#[test]
fn ttl_option_stores_a_response_without_lifetime() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("", "x"));
    sandbox.ok(&["get", "--ttl", "1h30m", &origin.url("/")]);
    let hit = sandbox.ok(&["get", &origin.url("/")]);
    assert_eq!((hit.cache_result(), origin.count()), ("HIT", 1));
    assert!(hit.err.contains("ttl=5400") || hit.err.contains("ttl=5399"), "{}", hit.err);
}

#[test]
fn no_store_stores_nothing() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    sandbox.ok(&["get", "--no-store", &origin.url("/")]);
    assert_eq!(sandbox.ok(&["ls", "--json"]).objects().len(), 0);
}

#[test]
fn max_stale_accepts_a_stale_response() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("etag: \"1\"\r\n", "x"));
    sandbox.ok(&["get", "--ttl", "immediately", &origin.url("/")]);
    let stale = sandbox.ok(&["get", "--max-stale", "1h", &origin.url("/")]);
    assert_eq!((stale.cache_result(), origin.count()), ("STALE", 1));
}

#[test]
fn program_waits_for_the_background_refresh() {
    let origin =
        Origin::always("cache-control: max-age=0, stale-while-revalidate=60\r\netag: \"1\"\r\n", "x");
    let sandbox = Sandbox::new();
    sandbox.ok(&["get", &origin.url("/")]);
    assert_eq!(sandbox.ok(&["get", &origin.url("/")]).cache_result(), "STALE");
    assert_eq!(origin.count(), 2);
}

#[test]
fn items_become_headers_parameters_and_a_json_body() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always("", "x"));
    sandbox.ok(&["get", &origin.url("/?a=1"), "X-One: 1", "b==2 3", "name=va:lue", "number:=[1,2]"]);
    let request = &origin.seen()[0];
    assert!(request.starts_with("POST /?a=1&b=2+3 HTTP/1.1\r\n"), "{request}");
    assert!(
        request.contains("\r\nx-one: 1\r\n") && request.contains("\r\ncontent-type: application/json\r\n")
    );
    assert!(request.ends_with("{\"name\":\"va:lue\",\"number\":[1,2]}"), "{request}");
    sandbox.ok(&["get", "-X", "PUT", &origin.url("/"), "a=1", "content-type:text/x"]);
    let request = &origin.seen()[1];
    assert!(request.starts_with("PUT / ") && request.contains("\r\ncontent-type: text/x\r\n"), "{request}");
}

#[test]
fn credentials_read_from_a_file_partition_the_cache() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    let [one, other] = ["one", "other"]
        .map(|name| format!("Authorization:@{}", sandbox.file(name, format!("Bearer {name}\n"))));
    sandbox.ok(&["get", &origin.url("/"), &one]);
    assert!(origin.seen()[0].contains("\r\nauthorization: Bearer one\r\n"));
    assert_eq!(sandbox.ok(&["get", &origin.url("/"), &one]).cache_result(), "HIT");
    assert_eq!(sandbox.ok(&["get", &origin.url("/"), &other]).cache_result(), "MISS");
}

#[test]
fn fail_distinguishes_client_from_server_errors_and_prints_the_body() {
    let sandbox = Sandbox::new();
    for (status, code) in [("404 Not Found", 4), ("503 Service Unavailable", 5), ("200 OK", 0)] {
        let origin = Origin::start(move |_| response(status, "", b"said"));
        let result = sandbox.run(&["get", "--fail", &origin.url("/")]);
        assert_eq!((result.code, result.text()), (code, "said"));
        assert_eq!(sandbox.ok(&["get", &origin.url("/")]).text(), "said");
    }
}

#[test]
fn header_bytes_are_printed_unchanged_from_network_and_store() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|_| {
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\nx-odd: \xff\xfe!\r\ncontent-length: 1\r\n\r\nx"
            .to_vec()
    });
    for expected in ["MISS", "HIT"] {
        let result = sandbox.ok(&["get", "-i", &origin.url("/")]);
        assert_eq!(result.cache_result(), expected);
        assert!(result.out.starts_with(b"HTTP/1.1 200 OK\n"));
        assert!(result.out.windows(11).any(|bytes| bytes == b"x-odd: \xff\xfe!\n"));
        assert!(result.out.ends_with(b"\n\nx"));
    }
}

#[test]
fn each_hop_of_a_redirect_is_stored() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|request| match request.starts_with("GET /end") {
        true => response("200 OK", FRESH, b"there"),
        false => response("301 Moved Permanently", "location: /end\r\ncache-control: max-age=60\r\n", b""),
    });
    for _ in 0..2 {
        assert_eq!(sandbox.ok(&["get", &origin.url("/start")]).text(), "there");
    }
    assert_eq!(origin.count(), 2);
    let circle = Origin::start(|_| response("302 Found", "location: /\r\n", b""));
    let result = sandbox.run(&["get", &circle.url("/")]);
    assert_eq!(result.code, 1);
    assert!(result.err.starts_with("error: more than 10 redirects"), "{}", result.err);
}

#[test]
fn tampered_response_is_fetched_again_or_refused_as_the_option_says() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    let url = origin.url("/secret-path");
    sandbox.ok(&["get", &url]);
    for how in ["raise", "fail-closed"] {
        sandbox.tamper(|_| true);
        let result = sandbox.run(&["get", "--on-tamper", how, &url]);
        assert_eq!((result.code, origin.count()), (10, 1), "{how}: {}", result.err);
        assert!(
            result.out.is_empty() && result.err.contains("error: ") && result.err.contains("tampered"),
            "{}",
            result.err
        );
        assert!(!result.err.contains("secret-path"));
        sandbox.tamper(|_| true);
    }
    sandbox.tamper(|_| true);
    let result = sandbox.ok(&["get", &url]);
    assert_eq!((result.text(), result.cache_result(), origin.count()), ("x", "REFUSED", 2));
    assert!(result.err.contains("warning: "), "{}", result.err);
    assert_eq!(sandbox.ok(&["get", &url]).cache_result(), "HIT");
}

#[test]
fn signed_entry_is_a_miss_for_the_encrypted_suite() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "plain to see"));
    sandbox.ok(&["get", "--suite", "signed", &origin.url("/")]);
    let on_disk = std::fs::read(sandbox.store()).unwrap();
    assert!(on_disk.windows(12).any(|bytes| bytes == b"plain to see"), "signed entries can be read");
    assert_eq!(sandbox.ok(&["get", "--suite", "signed", &origin.url("/")]).cache_result(), "HIT");
    // It is a miss that names the suite, not tampering.
    let got = sandbox.ok(&["get", "--on-tamper", "raise", &origin.url("/")]);
    assert!(got.cache_result() == "MISS" && got.err.contains("pass --suite signed"), "{}", got.err);
    assert_eq!(origin.count(), 2);
}

#[test]
fn namespaces_share_no_entry() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    sandbox.ok(&["get", "--namespace", "one", &origin.url("/")]);
    assert_eq!(sandbox.ok(&["get", "--namespace", "one", &origin.url("/")]).cache_result(), "HIT");
    assert_ne!(sandbox.ok(&["get", "--namespace", "two", &origin.url("/")]).cache_result(), "HIT");
}

#[test]
fn stale_response_is_served_while_origin_fails() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run(&["get", &unreachable_url()]).code, 6);
    let origin = Origin::start(|request| match request.contains("if-none-match") {
        true => Vec::new(),
        false => response("200 OK", "etag: \"1\"\r\ncache-control: max-age=0, stale-if-error=60\r\n", b"old"),
    });
    sandbox.ok(&["get", &origin.url("/")]);
    let result = sandbox.ok(&["get", &origin.url("/")]);
    assert_eq!((result.cache_result(), result.text()), ("STALE", "old"));
}

#[test]
fn explain_option_explains_before_the_request() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    let result = sandbox.ok(&["get", "--explain", &origin.url("/")]);
    assert!(result.err.contains("nothing usable"), "{}", result.err);
    assert_eq!(result.text(), "x");
}

#[test]
fn closed_pipe_is_not_an_error() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, vec![b'x'; 4 << 20]));
    sandbox.ok(&["key", "new"]);
    let mut child = sandbox.command(&["get", &origin.url("/")]).spawn().unwrap();
    let mut start = [0; 10];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut start).unwrap();
    drop(stdout);
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(0));
    assert_eq!(String::from_utf8(ended.stderr).unwrap(), "");
    assert_eq!(sandbox.ok(&["ls", "--json"]).objects().len(), 0, "a partly read response is not stored");
}

#[cfg(unix)]
#[test]
fn interrupt_exits_with_130() {
    let sandbox = Sandbox::new();
    let origin = Origin::start(|_| {
        thread::sleep(Duration::from_secs(30));
        Vec::new()
    });
    let child = sandbox.command(&["get", &origin.url("/")]).stdout(Stdio::null()).spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    // The program handles SIGINT once it connects; before that, the default action ends it.
    let start = Instant::now();
    while !sandbox.store().exists() && start.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(10));
    }
    thread::sleep(Duration::from_millis(300));
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", String::from_utf8_lossy(&ended.stderr));
}
