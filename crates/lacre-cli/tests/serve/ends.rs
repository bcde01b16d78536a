//! How it ends.

use crate::origin::{Origin, answer};
use crate::proxy::{PATIENCE, Proxy, rest};
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// An origin that answers when it is let, and says when it was asked.
fn held() -> (Origin, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((asked, was_asked), (release, held)) = (mpsc::channel(), mpsc::channel());
    let gate = Mutex::new((asked, held));
    let origin = Origin::start(move |_, stream| {
        let gate = gate.lock().unwrap();
        gate.0.send(()).unwrap();
        if gate.1.recv().is_ok() {
            answer(stream, "200 OK", "", "hello");
        }
    });
    (origin, was_asked, release)
}

#[test]
fn a_signal_ends_it_when_all_that_is_under_way_is_answered() {
    let (origin, was_asked, release) = held();
    let proxy = Proxy::to(&origin.url(), &[]);
    let mut idle = proxy.connect();
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    was_asked.recv_timeout(PATIENCE).unwrap();
    proxy.terminate();
    // Nobody new is let in, and who was only waiting is let go.
    assert_eq!(rest(&mut idle), "");
    let begun = Instant::now();
    while TcpStream::connect(proxy.address()).is_ok() {
        assert!(begun.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(10));
    }
    release.send(()).unwrap();
    assert!(rest(&mut client).ends_with("\r\n\r\nhello"));
    assert_eq!(proxy.ended().0, Some(0));
}

#[test]
fn what_does_not_end_within_the_grace_is_cut_off() {
    let (origin, was_asked, _release) = held();
    let proxy = Proxy::to(&origin.url(), &["--grace", "0.3"]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    was_asked.recv_timeout(PATIENCE).unwrap();
    proxy.terminate();
    assert_eq!(rest(&mut client), "");
    assert_eq!(proxy.ended().0, Some(1));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let (origin, was_asked, _release) = held();
    let proxy = Proxy::to(&origin.url(), &[]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    was_asked.recv_timeout(PATIENCE).unwrap();
    proxy.terminate();
    // The first is heard when the door closes.
    while TcpStream::connect(proxy.address()).map_err(|error| error.kind()).err()
        != Some(ErrorKind::ConnectionRefused)
    {
        thread::sleep(Duration::from_millis(10));
    }
    proxy.terminate();
    assert_eq!(proxy.ended().0, Some(130));
}
