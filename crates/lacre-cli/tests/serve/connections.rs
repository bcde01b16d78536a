//! Who is let in where there is no more room.

use crate::origin::{Origin, answer, read_head};
use crate::proxy::{PATIENCE, Proxy, header, rest};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

const ROOM: usize = 8;

/// As many connections as there is room for, in each way of waiting.
fn waiting(proxy: &Proxy, kind: &str) -> Vec<TcpStream> {
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
    std::iter::repeat_with(open).take(ROOM).collect()
}

#[test]
fn a_newcomer_gets_in_beside_any_number_of_connections_that_wait() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let room = ROOM.to_string();
    let flags = ["--max-connections", &room, "--max-connections-per-address", &room];
    for flags in [&flags[..2], &flags] {
        for kind in ["silent", "slow header", "kept after a request"] {
            let proxy = Proxy::to(&origin.url(), flags);
            let mut waiting: Vec<_> = (0..3).flat_map(|_| waiting(&proxy, kind)).collect();
            for _ in 0..2 * ROOM {
                assert!(proxy.get("/", "").ends_with("\r\n\r\nhello"), "{kind}");
            }
            assert_eq!(rest(&mut waiting[0]), "", "{kind}: the one that waited longest is closed");
        }
    }
}

#[test]
fn an_upload_that_trickles_makes_room_for_a_newcomer() {
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
    was_asked.recv_timeout(PATIENCE).unwrap();
    let mut newcomer = proxy.connect();
    newcomer.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    assert!(rest(&mut slow).starts_with("HTTP/1.1 408 "));
    assert!(rest(&mut newcomer).ends_with("\r\n\r\nhello"));
}

#[test]
fn a_connection_that_is_being_answered_is_not_closed_and_a_newcomer_waits() {
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
    was_asked.recv_timeout(PATIENCE).unwrap();
    let mut second = proxy.connect();
    second.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    second.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert_eq!(second.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    release.send(()).unwrap();
    assert!(rest(&mut first).ends_with("\r\n\r\nhello"));
    assert!(rest(&mut second).ends_with("\r\n\r\nother"));
}

/// A connection from another address of this machine; `None` where it has only one.
fn connect_from(source: &str, proxy: SocketAddr) -> Option<TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(source.parse().unwrap()).ok()?;
        let stream = socket.connect(proxy).await.ok()?.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(stream)
    })
}

#[test]
fn one_address_has_a_share_of_the_connections_and_others_get_in() {
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
            was_asked.recv_timeout(PATIENCE).unwrap();
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
