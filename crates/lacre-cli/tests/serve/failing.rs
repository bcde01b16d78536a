//! What becomes of requests while the origin fails or is silent, and something stale is stored.

use crate::origin::{Origin, answer};
use crate::proxy::{Proxy, rest};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

const WELL: u8 = 0;
const FAILING: u8 = 1;
const SILENT: u8 = 2;

/// An origin whose page is stale a second after it was sent, and its mood.
fn moody(control: &'static str) -> (Origin, Arc<AtomicU8>) {
    let mood = Arc::new(AtomicU8::new(WELL));
    let now = Arc::clone(&mood);
    let origin = Origin::start(move |_, stream| match now.load(Ordering::SeqCst) {
        WELL => answer(stream, "200 OK", control, "hello"),
        FAILING => answer(stream, "503 Service Unavailable", "", "bad"),
        _ => drop(rest(stream)),
    });
    (origin, mood)
}

/// What twenty clients get at once.
fn twenty(proxy: &Proxy) -> Vec<String> {
    let clients: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = proxy.connect();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: front.test\r\nconnection: close\r\n\r\n").unwrap();
            thread::spawn(move || rest(&mut stream))
        })
        .collect();
    clients.into_iter().map(|client| client.join().unwrap()).collect()
}

#[test]
fn a_failing_or_silent_origin_is_asked_by_one_and_everybody_gets_what_is_stale() {
    for bad in [FAILING, SILENT] {
        let (origin, mood) = moody("cache-control: max-age=1, stale-if-error=600\r\n");
        let proxy = Proxy::to(&origin.url(), &[]);
        proxy.get("/", "");
        thread::sleep(Duration::from_millis(2100));
        mood.store(bad, Ordering::SeqCst);
        for _ in 0..3 {
            for response in twenty(&proxy) {
                assert!(response.ends_with("\r\n\r\nhello"), "{response}");
                assert!(response.contains("detail=stale-if-error"), "{response}");
            }
        }
        let asked = origin.seen().len() - 1;
        assert!(asked <= 5, "sixty requests asked {asked} times");
        mood.store(WELL, Ordering::SeqCst);
    }
}

#[test]
fn what_must_be_validated_is_never_stood_in_for() {
    let (origin, mood) = moody("cache-control: max-age=1, stale-if-error=600, must-revalidate\r\n");
    let proxy = Proxy::to(&origin.url(), &["--answer-timeout", "0.5"]);
    proxy.get("/", "");
    thread::sleep(Duration::from_millis(2100));
    for (bad, status) in [(FAILING, "503"), (SILENT, "504")] {
        mood.store(bad, Ordering::SeqCst);
        for _ in 0..2 {
            let response = proxy.get("/", "");
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        }
    }
}
