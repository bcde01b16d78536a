//! The responses of the proxy, and the requests that the origin receives.

use crate::origin::{Origin, answer, read_head};
use crate::proxy::{Proxy, header, rest};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;

#[test]
fn a_hit_is_reported_and_sends_no_request_to_the_origin() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let proxy = Proxy::to(&origin.url(), &[]);
    let miss = proxy.get("/page", "");
    assert!(miss.starts_with("HTTP/1.1 200 OK\r\n") && miss.ends_with("\r\n\r\nhello"), "{miss}");
    assert_eq!(header(&miss, "cache-status"), Some("lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored"));
    assert!(header(&miss, "via").unwrap().starts_with("1.1 lacre-"));
    let hit = proxy.get("/page", "");
    assert!(hit.ends_with("\r\n\r\nhello"), "{hit}");
    assert!(header(&hit, "cache-status").unwrap().starts_with("lacre; hit; ttl="));
    assert!(header(&hit, "age").is_some() && header(&hit, "via") == header(&miss, "via"), "{hit}");
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn range_and_conditional_requests_are_answered_from_a_stored_response() {
    let origin = Origin::always("cache-control: max-age=60\r\netag: \"a\"\r\n", "0123456789");
    let proxy = Proxy::to(&origin.url(), &[]);
    proxy.get("/", "");
    let part = proxy.get("/", "range: bytes=2-4\r\n");
    assert!(part.starts_with("HTTP/1.1 206 ") && part.ends_with("\r\n\r\n234"), "{part}");
    assert_eq!(header(&part, "content-range"), Some("bytes 2-4/10"));
    let confirmed = proxy.get("/", "if-none-match: \"a\"\r\n");
    assert!(confirmed.starts_with("HTTP/1.1 304 ") && confirmed.ends_with("\r\n\r\n"), "{confirmed}");
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn hop_by_hop_fields_are_not_forwarded() {
    let origin =
        Origin::always("cache-control: max-age=60\r\nconnection: x-hop\r\nx-hop: 1\r\nx-end: 1\r\n", "");
    let proxy = Proxy::to(&origin.url(), &[]);
    let flags =
        "connection: x-mine\r\nx-mine: 1\r\nx-yours: 1\r\nproxy-authorization: Basic eDp5\r\nte: gzip\r\n";
    for response in [proxy.get("/", flags), proxy.get("/", flags)] {
        assert!(header(&response, "x-hop").is_none() && header(&response, "x-end").is_some(), "{response}");
    }
    let sent = &origin.seen()[0];
    for gone in ["x-mine", "proxy-authorization", "te:", "front.test\r\nconnection"] {
        assert!(!sent.contains(gone), "{gone} in {sent}");
    }
    assert!(sent.contains("x-yours: 1\r\n") && sent.contains("via: 1.1 lacre-"), "{sent}");
    assert!(
        sent.contains("x-forwarded-host: front.test\r\n") && sent.contains("x-forwarded-for: 127.0.0.1\r\n")
    );
    assert!(sent.contains(&format!("host: {}\r\n", origin.url().trim_start_matches("http://"))), "{sent}");
}

#[test]
fn requests_with_different_cookies_share_a_response_only_with_the_danger_flag() {
    for (flags, asked) in [(&[][..], 2), (&["--danger-share-across-credentials"], 1)] {
        let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
        let proxy = Proxy::to(&origin.url(), flags);
        proxy.get("/", "cookie: a=1\r\n");
        proxy.get("/", "cookie: a=2\r\n");
        assert_eq!(origin.seen().len(), asked, "{flags:?}");
    }
}

#[test]
fn requests_with_different_identifying_headers_share_no_response() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let proxy =
        Proxy::to(&origin.url(), &["--partition-by-header", "X-Team", "--partition-by-header", "x_squad"]);
    let listed =
        ["x-functions-key", "x-jfrog-art-api", "remote-user", "client-cert", "x-auth-request-user", "dpop"];
    for (number, name) in listed.into_iter().chain(["x-team", "x-squad"]).enumerate() {
        for who in ["alice", "bob", "alice"] {
            proxy.get("/", &format!("{name}: {who}\r\n"));
        }
        assert_eq!(origin.seen().len(), 2 * (number + 1), "{name}");
    }
    let before = origin.seen().len();
    for number in 0..3 {
        proxy.get(
            "/",
            &format!("x-request-id: {number}\r\ntraceparent: {number}\r\nidempotency-key: {number}\r\n"),
        );
    }
    assert_eq!(origin.seen().len(), before + 1);
}

#[test]
fn a_private_response_is_stored_by_a_private_cache_only() {
    for (flag, asked) in [("--shared", 2), ("--private", 1)] {
        let origin = Origin::always("cache-control: private, max-age=60\r\n", "hello");
        let proxy = Proxy::to(&origin.url(), &[flag]);
        proxy.get("/", "");
        proxy.get("/", "");
        assert_eq!(origin.seen().len(), asked, "{flag}");
    }
}

#[test]
fn an_interim_response_is_forwarded_at_once_and_not_stored() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::start(move |_, stream| {
        let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\nconnection: x\r\nx: 1\r\n\r\n";
        stream.write_all(hint.as_bytes()).unwrap();
        wait.lock().unwrap().recv().unwrap();
        answer(stream, "200 OK", "cache-control: max-age=60\r\n", "hello");
    });
    let proxy = Proxy::to(&origin.url(), &[]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: front.test\r\nconnection: close\r\n\r\n").unwrap();
    let interim = read_head(&mut client).unwrap();
    assert_eq!(interim, "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n");
    go.send(()).unwrap();
    let last = rest(&mut client);
    assert!(last.starts_with("HTTP/1.1 200 OK\r\n") && header(&last, "link").is_none(), "{last}");
    assert!(proxy.get("/", "").starts_with("HTTP/1.1 200 OK\r\n"));
}

#[test]
fn an_http_1_0_client_gets_no_interim_response() {
    let origin = Origin::start(|_, stream| {
        stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n").unwrap();
        answer(stream, "200 OK", "", "hello");
    });
    let proxy = Proxy::to(&origin.url(), &[]);
    assert!(proxy.send("GET / HTTP/1.0\r\n\r\n").starts_with("HTTP/1.0 200 "));
}

#[test]
fn requests_and_responses_stream_before_their_bodies_are_complete() {
    let (said, heard) = (mpsc::channel::<String>(), mpsc::channel::<()>());
    let (tell, wait) = (Mutex::new(said.0), Mutex::new(heard.1));
    let origin = Origin::start(move |_, stream| {
        let mut piece = [0; 3];
        stream.read_exact(&mut piece).unwrap();
        tell.lock().unwrap().send(String::from_utf8(piece.to_vec()).unwrap()).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\none").unwrap();
        wait.lock().unwrap().recv().unwrap();
        stream.write_all(b"two").unwrap();
    });
    let proxy = Proxy::to(&origin.url(), &[]);
    let mut client = proxy.connect();
    let head = "PUT / HTTP/1.1\r\nhost: front.test\r\ncontent-length: 6\r\nconnection: close\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(b"abc").unwrap();
    assert_eq!(
        said.1.recv().unwrap(),
        "abc",
        "the origin receives the first half before the client sends the second"
    );
    read_head(&mut client).unwrap();
    let mut piece = [0; 3];
    client.read_exact(&mut piece).unwrap();
    assert_eq!(&piece, b"one");
    client.write_all(b"def").unwrap();
    heard.0.send(()).unwrap();
    assert_eq!(rest(&mut client), "two");
}

#[test]
fn fifty_concurrent_misses_are_one_request_to_the_origin() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let origin = Origin::start(move |_, stream| {
        wait.lock().unwrap().recv().unwrap();
        answer(stream, "200 OK", "cache-control: max-age=60\r\n", "hello");
    });
    let proxy = Arc::new(Proxy::to(&origin.url(), &["--admin", "127.0.0.1:0"]));
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = proxy.connect();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: front.test\r\nconnection: close\r\n\r\n").unwrap();
            thread::spawn(move || rest(&mut stream))
        })
        .collect();
    go.send(()).unwrap();
    for client in clients {
        assert!(client.join().unwrap().ends_with("\r\n\r\nhello"));
    }
    assert_eq!(origin.seen().len(), 1);
}

#[test]
fn a_client_may_use_http_2() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let proxy = Proxy::to(&origin.url(), &[]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().unwrap();
        for expected in ["fwd=uri-miss", "hit"] {
            let response = client.get(format!("http://{}/", proxy.address())).send().await.unwrap();
            assert_eq!(response.version(), http::Version::HTTP_2);
            assert!(response.headers()["cache-status"].to_str().unwrap().contains(expected));
            assert_eq!(response.text().await.unwrap(), "hello");
        }
    });
}

#[test]
fn a_forward_proxy_sends_each_request_to_its_target_and_caches_by_it() {
    let (first, second) = (
        Origin::always("cache-control: max-age=60\r\n", "first"),
        Origin::always("cache-control: max-age=60\r\n", "second"),
    );
    let proxy = Proxy::start(&["--forward"]);
    for _ in 0..2 {
        for (origin, body) in [(&first, "first"), (&second, "second")] {
            let response = proxy.get(&format!("{}/page", origin.url()), "");
            assert!(response.ends_with(&format!("\r\n\r\n{body}")), "{response}");
        }
    }
    assert_eq!((first.seen().len(), second.seen().len()), (1, 1));
    assert!(
        first.seen()[0].starts_with("GET /page HTTP/1.1\r\n") && !first.seen()[0].contains("x-forwarded")
    );
}

#[test]
fn metrics_are_shown_on_the_admin_address() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let proxy = Proxy::to(&origin.url(), &["--admin", "127.0.0.1:0"]);
    for _ in 0..3 {
        proxy.get("/?token=secret", "");
    }
    proxy.send("CONNECT a.test:443 HTTP/1.1\r\nhost: a.test:443\r\nconnection: close\r\n\r\n");
    let text = proxy.metrics();
    for line in [
        "lacre_requests_total{result=\"hit\"} 2",
        "lacre_requests_total{result=\"miss\"} 1",
        "lacre_requests_total{result=\"error\"} 1",
        "lacre_lookup_duration_seconds_count 3",
        "lacre_entries 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in {text}");
    }
    assert!(!text.contains("secret"));
}

#[test]
fn the_access_log_has_a_line_for_each_request_and_no_secret() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let proxy = Proxy::to(&origin.url(), &[]);
    proxy.get("/page?token=secret", "authorization: Bearer secret\r\n");
    proxy.get("/page?token=secret", "authorization: Bearer secret\r\n");
    proxy.terminate();
    let (code, log) = proxy.wait();
    assert_eq!((code, log.len()), (Some(0), 2));
    assert!(!format!("{log:?}").contains("secret"));
    assert_eq!(
        (&log[0]["url"], &log[0]["status"], &log[0]["bytes"]),
        (&"/page?token=".into(), &200.into(), &5.into())
    );
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start(|head, stream: &mut TcpStream| {
        let path = head.split(' ').nth(1).unwrap().to_owned();
        answer(stream, "200 OK", "cache-control: max-age=60\r\n", &path);
    });
    let proxy = Proxy::to(&origin.url(), &[]);
    let both = "GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let answers = proxy.send(both);
    let (first, second) = (answers.find("\r\n\r\n/a").unwrap(), answers.find("\r\n\r\n/b").unwrap());
    assert!(first < second);
}
