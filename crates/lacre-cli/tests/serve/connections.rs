//! Which connections are closed and which are served at the limit of connections.

use crate::origin::{Origin, answer, read_head};
use crate::proxy::{Proxy, TIMEOUT, header, rest};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

const MAX_CONNECTIONS: usize = 8;

/// As many connections as the limit allows, all idle in the same way.
fn idle(proxy: &Proxy, kind: &str) -> Vec<TcpStream> {
    let open = || {
        let mut stream = proxy.connect();
        match kind {
            "silent" => {}
            "slow header" => stream.write_all(b"GET / HTTP/1.1\r\nhost").unwrap(),
            _ => {
                stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
                read_head(&mut stream).unwrap();
                stream.read_exact(&mut [0; 5]).unwrap();
            }
        }
        stream
    };
    std::iter::repeat_with(open).take(MAX_CONNECTIONS).collect()
}

#[test]
fn a_new_connection_is_served_beside_any_number_of_idle_ones() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let limit = MAX_CONNECTIONS.to_string();
    let flags = ["--max-connections", &limit, "--max-connections-per-address", &limit];
    for flags in [&flags[..2], &flags] {
        for kind in ["silent", "slow header", "idle after a request"] {
            let proxy = Proxy::to(&origin.url(), flags);
            let mut idle: Vec<_> = (0..3).flat_map(|_| idle(&proxy, kind)).collect();
            for _ in 0..2 * MAX_CONNECTIONS {
                assert!(proxy.get("/", "").ends_with("\r\n\r\nhello"), "{kind}");
            }
            assert_eq!(rest(&mut idle[0]), "", "{kind}: the connection that is idle the longest is closed");
        }
    }
}

#[test]
fn a_slow_upload_is_ended_for_a_new_connection() {
    let (asked, was_asked) = mpsc::channel();
    let asked = Mutex::new(asked);
    let origin = Origin::start(move |head, stream| {
        if head.starts_with("POST ") {
            asked.lock().unwrap().send(()).unwrap();
            rest(stream);
        } else {
            answer(stream, "200 OK", "cache-control: max-age=60\r\n", "hello");
        }
    });
    let proxy = Proxy::to(&origin.url(), &["--max-connections", "1", "--max-connections-per-address", "2"]);
    let mut slow = proxy.connect();
    slow.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\nx").unwrap();
    was_asked.recv_timeout(TIMEOUT).unwrap();
    let mut newcomer = proxy.connect();
    newcomer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    assert!(rest(&mut slow).starts_with("HTTP/1.1 408 "));
    assert!(rest(&mut newcomer).ends_with("\r\n\r\nhello"));
}

#[test]
fn a_connection_in_use_is_not_closed_and_a_new_one_waits() {
    let (asked, was_asked) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let gate = Mutex::new((asked, held));
    let origin = Origin::start(move |head, stream| {
        if head.starts_with("GET /held ") {
            let gate = gate.lock().unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhe").unwrap();
            gate.0.send(()).unwrap();
            gate.1.recv().unwrap();
            stream.write_all(b"llo").unwrap();
        } else {
            answer(stream, "200 OK", "", "other");
        }
    });
    let flags = ["--max-connections", "1", "--max-connections-per-address", "2"];
    let proxy = Proxy::to(&origin.url(), &flags);
    let mut first = proxy.connect();
    first.write_all(b"GET /held HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    was_asked.recv_timeout(TIMEOUT).unwrap();
    let mut second = proxy.connect();
    second.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    second.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    second.set_read_timeout(Some(TIMEOUT)).unwrap();
    release.send(()).unwrap();
    assert!(rest(&mut first).ends_with("\r\n\r\nhello"));
    assert!(rest(&mut second).ends_with("\r\n\r\nother"));
}

/// A connection from another address of this machine. `None` if it has only one.
fn connect_from(source: &str, proxy: SocketAddr) -> Option<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(source.parse().unwrap()).ok()?;
        let stream = socket.connect(proxy).await.ok()?.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        Some(stream)
    })
}

#[test]
fn one_address_cannot_use_all_connections() {
    let (release, held) = mpsc::channel::<()>();
    let (held, (asked, was_asked)) = (Mutex::new(held), mpsc::channel());
    let asked = Mutex::new(asked);
    let origin = Origin::start(move |head, stream| {
        if head.starts_with("GET /held") {
            asked.lock().unwrap().send(()).unwrap();
            let _ = held.lock().unwrap().recv();
        }
        answer(stream, "200 OK", "", "hello");
    });
    for (trusted, refused) in [(&[][..], true), (&["--trust-forwarded", "127.0.0.1"], false)] {
        let flags = [&["--max-connections", "4"], trusted].concat();
        let proxy = Proxy::to(&origin.url(), &flags);
        let mut busy: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
        for (number, stream) in busy.iter_mut().enumerate() {
            write!(stream, "GET /held{number} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
            was_asked.recv_timeout(TIMEOUT).unwrap();
        }
        let response = proxy.get("/", "");
        assert_eq!(response.starts_with("HTTP/1.1 503 "), refused, "{trusted:?}: {response}");
        if refused {
            assert_eq!(header(&response, "retry-after"), Some("1"));
            let body = response.split_once("\r\n\r\n").unwrap().1;
            assert_eq!(header(&response, "content-length"), Some(&*body.len().to_string()));
            let Some(mut other) = connect_from("127.0.0.2:0", proxy.address()) else { return };
            other.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
            assert!(rest(&mut other).ends_with("\r\n\r\nhello"));
        }
        for _ in 0..3 {
            release.send(()).unwrap();
        }
        for stream in &mut busy {
            assert!(rest(stream).ends_with("\r\n\r\nhello"));
        }
    }
}
