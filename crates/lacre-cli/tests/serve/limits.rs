//! Limits and errors: slow, hostile or broken clients and origins.

use crate::origin::{Origin, answer};
use crate::proxy::{Proxy, header, rest};
use std::io::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or(response)
}

#[test]
fn invalid_requests_are_refused_and_never_reach_the_origin() {
    let origin = Origin::always("", "hello");
    let proxy = Proxy::to(&origin.url(), &["--max-upload", "100", "--max-header", "8192"]);
    let long = "x".repeat(9000);
    for (request, expected) in [
        ("NONSENSE\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", "400"),
        ("CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\n\r\n", "405"),
        ("PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 101\r\n\r\n", "413"),
        (&format!("GET / HTTP/1.1\r\nhost: a\r\nx: {long}\r\n\r\n"), "431"),
    ] {
        let request = request.replacen("\r\n\r\n", "\r\nconnection: close\r\n\r\n", 1);
        assert_eq!(status(&proxy.send(&request)), expected, "{request:.60}");
    }
    assert_eq!(origin.seen().len(), 0);
}

#[test]
fn an_upload_of_unknown_length_is_cut_at_the_limit() {
    let origin = Origin::start(|_, stream| {
        // Waits for the end of the body, which never arrives.
        rest(stream);
    });
    let proxy = Proxy::to(&origin.url(), &["--max-upload", "100"]);
    let mut client = proxy.connect();
    let head = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(format!("c8\r\n{}\r\n", "x".repeat(200)).as_bytes()).unwrap();
    assert_eq!(status(&rest(&mut client)), "413");
}

#[test]
fn an_unreachable_origin_is_answered_with_502() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let response = Proxy::to(&format!("http://{gone}"), &[]).get("/", "");
    assert_eq!(
        (status(&response), header(&response, "proxy-status")),
        ("502", Some("lacre; error=connection_refused"))
    );
    assert!(!response.contains(&gone.to_string()));
}

#[test]
fn an_origin_that_closes_the_connection_is_answered_with_502_and_not_retried() {
    let origin = Origin::start(|_, _| {});
    let response = Proxy::to(&origin.url(), &[]).get("/", "");
    assert_eq!((status(&response), origin.seen().len()), ("502", 1));
}

#[test]
fn an_origin_that_does_not_speak_http_is_answered_with_502() {
    let origin = Origin::start(|_, stream| stream.write_all(b"220 smtp.test ESMTP\r\n").unwrap());
    assert_eq!(status(&Proxy::to(&origin.url(), &[]).get("/", "")), "502");
}

#[test]
fn an_https_origin_without_tls_is_answered_with_502() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.accept().unwrap().0.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    let response = Proxy::to(&format!("https://{address}"), &[]).get("/", "");
    assert_eq!(
        (status(&response), header(&response, "proxy-status")),
        ("502", Some("lacre; error=tls_protocol_error"))
    );
}

#[test]
fn a_response_header_beyond_the_limit_is_answered_with_502() {
    let origin = Origin::start(|_, stream| {
        let _ = write!(stream, "HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000));
    });
    assert_eq!(status(&Proxy::to(&origin.url(), &[]).get("/", "")), "502");
}

#[test]
fn a_silent_origin_is_answered_with_504() {
    let origin = Origin::start(|_, stream| {
        rest(stream);
    });
    let response = Proxy::to(&origin.url(), &["--answer-timeout", "0.3"]).get("/", "");
    assert_eq!(
        (status(&response), header(&response, "proxy-status")),
        ("504", Some("lacre; error=http_response_timeout"))
    );
}

#[test]
fn a_truncated_or_stalled_body_is_truncated_for_the_client_and_never_stored() {
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    let origin = Origin::start(move |head, stream| {
        let whole = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 10\r\n\r\n12345";
        stream.write_all(whole.as_bytes()).unwrap();
        if head.starts_with("GET /stalls ") {
            let _ = held.lock().unwrap().recv();
        }
    });
    let proxy = Proxy::to(&origin.url(), &["--idle-timeout", "0.5"]);
    for path in ["/cut", "/stalls"] {
        for _ in 0..2 {
            let response = proxy.get(path, "");
            assert!(response.ends_with("\r\n\r\n12345"), "{response}");
            assert_eq!(
                header(&response, "content-length"),
                Some("10"),
                "the length shows the client that the body is truncated"
            );
        }
    }
    assert_eq!(origin.seen().len(), 4);
    drop(release);
}

#[test]
fn a_client_that_does_not_finish_its_request_is_timed_out() {
    let origin = Origin::start(|_, stream| {
        rest(stream);
    });
    let proxy = Proxy::to(&origin.url(), &["--idle-timeout", "0.5"]);
    let begun = Instant::now();
    let mut head = proxy.connect();
    head.write_all(b"GET / HTTP/1.1\r\nhost").unwrap();
    let mut body = proxy.connect();
    body.write_all(b"PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n123").unwrap();
    assert_eq!(rest(&mut head), "");
    assert_eq!(status(&rest(&mut body)), "408");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_forward_proxy_refuses_https_urls_and_requests_without_a_url() {
    let proxy = Proxy::start(&["--forward"]);
    assert_eq!(status(&proxy.get("https://a.test/", "")), "400");
    assert_eq!(status(&proxy.get("/", "")), "400");
}

#[test]
fn invalid_settings_are_refused_with_a_hint() {
    for (flags, remedy) in [
        (&["--upstream", "http://a.test/path"][..], "without a path"),
        (&["--forward", "--listen", "0.0.0.0:0"], "--danger-open-proxy"),
        (&["--upstream", "http://a.test", "--admin", "0.0.0.0:0"], "--danger-open-admin"),
        (&["--upstream", "http://a.test", "--admin", "[::]:0"], "--danger-open-admin"),
        (&["--upstream", "http://a.test", "--trust-forwarded", "everybody"], "10.0.0.0/8"),
        (&["--upstream", "http://a.test", "--danger-allow-target", "10.0.0.0/8"], "cannot be used with"),
        (&["--forward", "--trust-forwarded", "10.0.0.0/8"], "cannot be used with"),
        (&["--forward", "--preserve-host"], "cannot be used with"),
        (&["--upstream", "http://a.test", "--max-connections", "0"], "1.."),
        (&["--upstream", "http://a.test", "--access-log", "/missing/folder/log"], "--access-log"),
        (&["--forward", "--idle-timeout", "0"], "above 0"),
        (&[], "--upstream"),
    ] {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lacre"));
        command.arg("serve").args(["--store", "memory:"]).args(flags).env_clear().env("HOME", home.path());
        let ran = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(ran.status.code() == Some(2) && said.contains(remedy), "{flags:?}: {said}");
    }
}

#[test]
fn a_response_beyond_max_stored_is_passed_through() {
    let origin = Origin::start(|_, stream| {
        answer(stream, "200 OK", "cache-control: max-age=60\r\n", &"x".repeat(100_000));
    });
    let proxy = Proxy::to(&origin.url(), &["--max-stored", "99999"]);
    for _ in 0..2 {
        assert_eq!(proxy.get("/", "").split_once("\r\n\r\n").unwrap().1.len(), 100_000);
    }
    assert_eq!(origin.seen().len(), 2);
}
