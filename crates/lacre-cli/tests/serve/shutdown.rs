//! Signals: shutdown and reload.

use crate::origin::{Origin, answer};
use crate::proxy::{Proxy, Signal, TIMEOUT, rest};
use serde_json::Value;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// An origin that reports each request, and answers it when it is released.
fn blocked_origin() -> (Origin, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let ((asked, was_asked), (release, released)) = (mpsc::channel(), mpsc::channel());
    let gate = Mutex::new((asked, released));
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
fn a_signal_ends_the_proxy_after_all_requests_in_progress() {
    for signal in [Signal::TERM, Signal::INT] {
        ends_by(signal);
    }
}

fn ends_by(signal: Signal) {
    let (origin, was_asked, release) = blocked_origin();
    let proxy = Proxy::to(&origin.url(), &[]);
    let mut idle = proxy.connect();
    let mut half = proxy.connect();
    half.write_all(b"GET / HTTP/1.1\r\nhost").unwrap();
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    was_asked.recv_timeout(TIMEOUT).unwrap();
    proxy.signal(signal);
    // Idle connections are closed, and no new one is accepted.
    assert_eq!(rest(&mut idle), "");
    assert_eq!(rest(&mut half), "");
    let begun = Instant::now();
    while TcpStream::connect(proxy.address()).is_ok() {
        assert!(begun.elapsed() < TIMEOUT);
        thread::sleep(Duration::from_millis(10));
    }
    release.send(()).unwrap();
    assert!(rest(&mut client).ends_with("\r\n\r\nhello"));
    assert_eq!(proxy.wait().0, Some(0));
}

#[test]
fn requests_are_cut_off_after_the_drain_timeout() {
    let (origin, was_asked, _release) = blocked_origin();
    let proxy = Proxy::to(&origin.url(), &["--drain-timeout", "0.3"]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    was_asked.recv_timeout(TIMEOUT).unwrap();
    proxy.terminate();
    assert_eq!(rest(&mut client), "");
    assert_eq!(proxy.wait().0, Some(1));
}

#[test]
fn a_second_signal_ends_the_proxy_at_once() {
    let (origin, was_asked, _release) = blocked_origin();
    let proxy = Proxy::to(&origin.url(), &[]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    was_asked.recv_timeout(TIMEOUT).unwrap();
    proxy.terminate();
    // The proxy refuses connections once it has received the first signal.
    while TcpStream::connect(proxy.address()).map_err(|error| error.kind()).err()
        != Some(ErrorKind::ConnectionRefused)
    {
        thread::sleep(Duration::from_millis(10));
    }
    proxy.terminate();
    assert_eq!(proxy.wait().0, Some(130));
}

#[test]
fn sighup_reloads_without_disturbing_requests_in_progress() {
    let (origin, was_asked, release) = blocked_origin();
    let proxy = Proxy::to(&origin.url(), &[]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    was_asked.recv_timeout(TIMEOUT).unwrap();
    for _ in 0..2 {
        proxy.signal(Signal::HUP);
    }
    proxy.wait_for_log(|line| line["schema"] == "lacre/reload/v1");
    release.send(()).unwrap();
    assert!(rest(&mut client).ends_with("\r\n\r\nhello"));
    release.send(()).unwrap();
    assert!(proxy.get("/", "").ends_with("\r\n\r\nhello"));
    proxy.terminate();
    assert_eq!(proxy.wait().0, Some(0));
}

#[test]
fn sighup_reads_the_keyring_anew_and_stored_responses_stay_usable() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let home = tempfile::tempdir().unwrap();
    let (keyring, store) = (home.path().join("keyring"), home.path().join("store/cache.sqlite"));
    std::fs::create_dir(store.parent().unwrap()).unwrap();
    let (keyring, store) = (format!("file:{}", keyring.display()), format!("sqlite:{}", store.display()));
    let lacre = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lacre"));
        let ran = command
            .args(arguments)
            .args(["--key", &keyring, "--store", &store])
            .env_clear()
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap()
    };
    lacre(&["key", "new", &keyring]);
    let flags = ["--upstream", &origin.url(), "--key", &keyring, "--store", &store];
    let proxy = Proxy::with_home(home, &flags);
    proxy.get("/before", "");
    lacre(&["key", "rotate"]);
    proxy.signal(Signal::HUP);
    proxy.wait_for_log(|line| line["schema"] == "lacre/reload/v1");
    proxy.get("/after", "");
    assert!(
        proxy.get("/before", "").contains("lacre; hit"),
        "a response sealed with the old key still opens"
    );
    let listed = lacre(&["ls", "--json"]);
    let mut keys: Vec<_> =
        listed.lines().map(|line| line.parse::<Value>().unwrap()["seal"]["key_id"].to_string()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 2, "{listed}");
    // A missing keyring does not stop the proxy.
    std::fs::remove_file(proxy.home().join("keyring")).unwrap();
    proxy.signal(Signal::HUP);
    proxy.wait_for_log(|line| {
        line["warning"]["message"].as_str().is_some_and(|text| text.contains("could not reload"))
    });
    assert!(proxy.get("/after", "").contains("lacre; hit"));
}
