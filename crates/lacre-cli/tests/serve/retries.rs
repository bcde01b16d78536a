//! Whether a request is sent to the origin a second time.

use crate::origin::Origin;
use crate::proxy::Proxy;
use std::io::Write;

/// An origin that answers the first request of each connection. In answer to the second, it writes
/// `then` and closes the connection.
fn answers_once(then: &'static [u8]) -> Origin {
    Origin::persistent(move |before, head, stream| {
        if before > 0 {
            stream.write_all(then).unwrap();
            return false;
        }
        let body = if head.starts_with("HEAD ") { "" } else { "hello" };
        write!(stream, "HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 5\r\n\r\n{body}")
            .unwrap();
        true
    })
}

fn statuses(proxy: &Proxy, method: &str, body: &str) -> Vec<String> {
    let length = body.len();
    let request = format!(
        "{method} / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let status = |response: String| {
        let last = response.rsplit("HTTP/1.1 ").next().unwrap();
        last.split(' ').next().unwrap().to_owned()
    };
    (0..2).map(|_| status(proxy.send(&request))).collect()
}

#[test]
fn an_idempotent_request_is_retried_when_a_reused_connection_is_closed() {
    for method in ["GET", "HEAD", "OPTIONS", "DELETE", "PUT"] {
        let origin = answers_once(b"");
        let proxy = Proxy::to(&origin.url(), &[]);
        assert_eq!(statuses(&proxy, method, ""), ["200", "200"], "{method}");
        assert_eq!(origin.seen().len(), 3, "{method}: sent again, on a new connection");
    }
}

#[test]
fn a_request_that_must_not_be_repeated_gets_a_new_connection() {
    for (method, body) in [("POST", ""), ("POST", "x"), ("PATCH", "x"), ("PUT", "x")] {
        let origin = answers_once(b"");
        let proxy = Proxy::to(&origin.url(), &[]);
        proxy.get("/", "");
        assert_eq!(statuses(&proxy, method, body), ["200", "200"], "{method}");
        assert_eq!(origin.seen().len(), 3, "{method}");
    }
}

#[test]
fn a_request_that_the_origin_may_have_processed_is_not_repeated() {
    for (method, body) in [("POST", ""), ("POST", "x"), ("PATCH", "x"), ("PUT", "x")] {
        let origin = Origin::start(|_, _| {});
        let proxy = Proxy::to(&origin.url(), &[]);
        assert_eq!(statuses(&proxy, method, body), ["502", "502"], "{method}");
        assert_eq!(origin.seen().len(), 2, "{method}");
    }
}

#[test]
fn a_request_is_not_repeated_after_the_first_byte_of_a_response() {
    for begun in [
        &b"HTTP/1.1 2"[..],
        b"HTTP/1.1 200 OK\r\ncontent-le",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
        b"nonsense\r\n",
    ] {
        let origin = answers_once(begun);
        let proxy = Proxy::to(&origin.url(), &[]);
        assert_eq!(statuses(&proxy, "GET", ""), ["200", "502"], "{begun:?}");
        assert_eq!(origin.seen().len(), 2, "{begun:?}");
    }
}

#[test]
fn a_request_is_sent_at_most_twice() {
    let origin = Origin::persistent(|before, head, stream| {
        if before > 0 || !head.starts_with("GET /first ") {
            return false;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        true
    });
    let proxy = Proxy::to(&origin.url(), &[]);
    assert!(proxy.get("/first", "").starts_with("HTTP/1.1 200 "));
    assert!(proxy.get("/second", "").starts_with("HTTP/1.1 502 "));
    assert_eq!(origin.seen().len(), 3);
}
