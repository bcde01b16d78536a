//! `X-Forwarded-*` and `Forwarded` fields, and the rewriting of URLs in responses.

use crate::origin::{Origin, answer};
use crate::proxy::{Proxy, header};

/// An origin that redirects all requests but those of https, as many frameworks do behind a proxy.
fn https_only() -> Origin {
    Origin::start(|head, stream| {
        if head.contains("x-forwarded-proto: https\r\n") {
            answer(stream, "200 OK", "cache-control: max-age=60\r\n", "hello");
        } else {
            let redirect = "cache-control: max-age=60\r\nlocation: https://shop.test/\r\n";
            answer(stream, "301 Moved Permanently", redirect, "");
        }
    })
}

#[test]
fn the_origin_gets_the_scheme_from_a_trusted_proxy() {
    let origin = https_only();
    let proxy = Proxy::to(&origin.url(), &[]);
    for _ in 0..2 {
        assert!(proxy.get("/", "x-forwarded-proto: https\r\n").starts_with("HTTP/1.1 200 "));
        assert!(proxy.get("/", "forwarded: for=192.0.2.7;proto=https\r\n").starts_with("HTTP/1.1 200 "));
        assert!(proxy.get("/", "x-forwarded-proto: http\r\n").starts_with("HTTP/1.1 301 "));
        assert!(proxy.get("/", "").starts_with("HTTP/1.1 301 "), "the listener speaks http");
    }
    assert_eq!(origin.seen().len(), 2, "the scheme is part of the key, the client's address is not");
}

#[test]
fn forwarded_fields_of_an_untrusted_client_reach_neither_the_origin_nor_the_key() {
    for trusted in ["192.0.2.0/24", "none"] {
        forwarded_fields_are_replaced(trusted);
    }
}

fn forwarded_fields_are_replaced(trusted: &str) {
    let origin = https_only();
    let proxy = Proxy::to(&origin.url(), &["--trust-forwarded", trusted]);
    for fields in [
        "",
        "x-forwarded-proto: https\r\n",
        "x_forwarded_proto: https\r\n",
        "forwarded: for=192.0.2.66;host=evil.test;proto=https\r\n",
        "x-forwarded-for: 192.0.2.66\r\nx-forwarded-host: evil.test\r\nx-real-ip: 192.0.2.66\r\n",
    ] {
        assert!(proxy.get("/", fields).starts_with("HTTP/1.1 301 "), "{fields}");
    }
    let seen = origin.seen();
    assert_eq!(seen.len(), 1);
    assert!(!seen[0].contains("evil.test") && !seen[0].contains("192.0.2.66"), "{seen:?}");
    for line in [
        "x-forwarded-for: 127.0.0.1\r\n",
        "x-forwarded-host: front.test\r\n",
        "x-forwarded-proto: http\r\n",
        "forwarded: for=127.0.0.1;host=\"front.test\";proto=http\r\n",
    ] {
        assert!(seen[0].contains(line), "{line} is not in {seen:?}");
    }
}

#[test]
fn requests_for_different_hosts_share_no_response() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    for flags in [&[][..], &["--preserve-host"]] {
        let before = origin.seen().len();
        let proxy = Proxy::to(&origin.url(), flags);
        for host in ["a.test", "b.test", "A.test"] {
            let response =
                proxy.send(&format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n"));
            assert!(response.ends_with("\r\n\r\nhello"), "{response}");
        }
        assert!(origin.seen().len() - before >= 2, "{flags:?}");
    }
}

#[test]
fn the_access_log_shows_the_client_named_by_a_trusted_proxy() {
    let origin = Origin::always("", "hello");
    let proxy = Proxy::to(&origin.url(), &["--trust-forwarded", "127.0.0.1"]);
    proxy.get("/", "x-forwarded-for: 203.0.113.9, 192.0.2.7\r\n");
    proxy.wait_for_log(|line| line["peer"] == "192.0.2.7");
}

#[test]
fn the_origin_gets_its_own_host_unless_preserve_host_is_set() {
    let origin = Origin::always("", "hello");
    for (flags, preserved) in [(&[][..], false), (&["--preserve-host"], true)] {
        let proxy = Proxy::to(&origin.url(), flags);
        proxy.get("/", "");
        let seen = origin.seen().pop().unwrap();
        assert_eq!(seen.contains("\r\nhost: front.test\r\n"), preserved, "{seen}");
        assert!(seen.contains("x-forwarded-host: front.test\r\n"), "{seen}");
    }
}

#[test]
fn urls_and_cookie_domains_of_the_upstream_are_rewritten_for_the_client() {
    let origin = Origin::start(|head, stream| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        let name = host.split(':').next().unwrap();
        let headers = format!(
            "cache-control: max-age=60\r\nlocation: http://{host}/login?next=/\r\ncontent-location: http://{host}/page\r\n\
             set-cookie: a=1; Domain={name}; Path=/\r\n"
        );
        answer(stream, "302 Found", &headers, "");
    });
    let proxy = Proxy::to(&origin.url(), &["--private", "--trust-forwarded", "127.0.0.1"]);
    for fields in ["", "x-forwarded-proto: https\r\nx-forwarded-host: shop.test:8443\r\n"] {
        let client = if fields.is_empty() { "http://front.test" } else { "https://shop.test:8443" };
        let domain = if fields.is_empty() { "front.test" } else { "shop.test" };
        for _ in 0..2 {
            let response = proxy.get("/", fields);
            assert_eq!(header(&response, "location"), Some(&*format!("{client}/login?next=/")));
            assert_eq!(header(&response, "content-location"), Some(&*format!("{client}/page")));
            assert_eq!(header(&response, "set-cookie"), Some(&*format!("a=1; Domain={domain}; Path=/")));
        }
    }
}

#[test]
fn urls_and_cookie_domains_of_other_hosts_are_unchanged() {
    let origin =
        Origin::always("location: http://elsewhere.test/a\r\nset-cookie: a=1; Domain=elsewhere.test\r\n", "");
    let proxy = Proxy::to(&origin.url(), &[]);
    let response = proxy.get("/", "");
    assert_eq!(header(&response, "location"), Some("http://elsewhere.test/a"));
    assert_eq!(header(&response, "set-cookie"), Some("a=1; Domain=elsewhere.test"));
}
