//! Stale responses while the origin fails or is silent.

use crate::origin::{Origin, answer};
use crate::proxy::{Proxy, rest};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

const HEALTHY: u8 = 0;
const FAILING: u8 = 1;
const SILENT: u8 = 2;

/// An origin with these `Cache-Control` lines, and its switchable behaviour.
fn switchable_origin(control: &'static str) -> (Origin, Arc<AtomicU8>) {
    let behaviour = Arc::new(AtomicU8::new(HEALTHY));
    let now = Arc::clone(&behaviour);
    let origin = Origin::start(move |_, stream| match now.load(Ordering::SeqCst) {
        HEALTHY => answer(stream, "200 OK", control, "hello"),
        FAILING => answer(stream, "503 Service Unavailable", "", "bad"),
        _ => drop(rest(stream)),
    });
    (origin, behaviour)
}

/// The responses to twenty concurrent requests.
fn twenty_responses(proxy: &Proxy) -> Vec<String> {
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
fn stale_response_is_served_while_origin_fails_or_is_silent() {
    for bad in [FAILING, SILENT] {
        let (origin, behaviour) = switchable_origin("cache-control: max-age=1, stale-if-error=600\r\n");
        let proxy = Proxy::to(&origin.url(), &[]);
        proxy.get("/", "");
        thread::sleep(Duration::from_millis(2100));
        behaviour.store(bad, Ordering::SeqCst);
        for _ in 0..3 {
            for response in twenty_responses(&proxy) {
                assert!(response.ends_with("\r\n\r\nhello"), "{response}");
                assert!(response.contains("detail=stale-if-error"), "{response}");
            }
        }
        let asked = origin.seen().len() - 1;
        assert!(asked <= 5, "sixty requests asked {asked} times");
        behaviour.store(HEALTHY, Ordering::SeqCst);
    }
}

#[test]
fn a_response_with_must_revalidate_is_never_served_stale() {
    let (origin, behaviour) =
        switchable_origin("cache-control: max-age=1, stale-if-error=600, must-revalidate\r\n");
    let proxy = Proxy::to(&origin.url(), &["--answer-timeout", "0.5"]);
    proxy.get("/", "");
    thread::sleep(Duration::from_millis(2100));
    for (bad, status) in [(FAILING, "503"), (SILENT, "504")] {
        behaviour.store(bad, Ordering::SeqCst);
        for _ in 0..2 {
            let response = proxy.get("/", "");
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        }
    }
}
