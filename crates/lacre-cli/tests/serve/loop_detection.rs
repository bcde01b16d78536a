//! Loops between proxies, and `Max-Forwards`.

use crate::origin::Origin;
use crate::proxy::{Proxy, header};
use crate::strict_http::StrictOrigin;
use std::net::TcpListener;
use std::process::{Command, Stdio};

#[test]
fn a_request_loop_is_detected_and_answered_with_508() {
    // The first proxy's origin is the second, whose origin is the first.
    let second_address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let first = Proxy::to(&format!("http://{second_address}"), &[]);
    let upstream = format!("http://{}", first.address());
    let second = Proxy::start_at(&second_address.to_string(), &["--upstream", &upstream]);
    for proxy in [&first, &second] {
        let answer = proxy.get("/", "");
        assert!(answer.starts_with("HTTP/1.1 508 Loop Detected\r\n"), "{answer}");
        assert_eq!(header(&answer, "proxy-status"), Some("lacre; error=proxy_loop_detected"));
    }
}

#[test]
fn two_proxies_in_a_chain_are_not_a_loop() {
    let origin = Origin::always("", "hello");
    let inner = Proxy::to(&origin.url(), &[]);
    let outer = Proxy::to(&format!("http://{}", inner.address()), &[]);
    let answer = outer.get("/", "via: 1.1 lacre, 1.0 lacre-000000000000\r\n");
    assert!(answer.ends_with("\r\n\r\nhello"), "{answer}");
    let names: Vec<_> = answer.lines().filter(|line| line.starts_with("via: 1.1 lacre-")).collect();
    assert!(names.len() == 2 && names[0] != names[1], "{answer}");
}

#[test]
fn an_upstream_that_is_the_proxy_itself_is_refused_at_start() {
    for upstream in ["http://127.0.0.1:9111", "http://localhost:9111", "http://0.0.0.0:9111"] {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lacre"));
        command.args(["serve", "--upstream", upstream]).env_clear().env("HOME", home.path());
        let ran = command.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(
            ran.status.code() == Some(2) && said.contains("listens on") && said.contains("--listen"),
            "{said}"
        );
        assert_eq!(home.path().read_dir().unwrap().count(), 0, "no file is created");
    }
}

#[test]
fn max_forwards_is_decremented_and_zero_is_answered_by_the_proxy() {
    let origin = StrictOrigin::start(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec());
    let proxy = Proxy::to(&origin.url(), &[]);
    let ask = |method: &str, fields: &str| {
        proxy.send(&format!("{method} /a HTTP/1.1\r\nhost: h.test\r\nconnection: close\r\n{fields}\r\n"))
    };
    for method in ["TRACE", "OPTIONS"] {
        ask(method, "max-forwards: 3\r\n");
        assert_eq!(origin.take().remove(0).unwrap().one("max-forwards"), Some("2"));
        ask(method, "");
        assert_eq!(origin.take().len(), 1);
        assert!(ask(method, "max-forwards: some\r\n").starts_with("HTTP/1.1 400 "));
        assert!(ask(method, "max-forwards: 0\r\n").starts_with("HTTP/1.1 200 "));
        assert!(origin.take().is_empty());
    }
    assert!(header(&ask("OPTIONS", "max-forwards: 0\r\n"), "allow").unwrap().contains("GET"));
    let echo = ask("TRACE", "max-forwards: 0\r\ncookie: a=secret\r\nauthorization: Bearer secret\r\n");
    assert!(echo.contains("TRACE /a HTTP/1.1\r\n") && !echo.contains("secret"), "{echo}");
    ask("GET", "max-forwards: 0\r\n");
    assert_eq!(origin.take().len(), 1);
}
