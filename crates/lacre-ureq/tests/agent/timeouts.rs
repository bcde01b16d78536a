//! Timeouts of an agent and of a request, and the wait for an identical request.

use crate::{agent, text};
use lacre::{Driver, Policy};
use lacre_drivers::{Origin, cache, fresh, wait_until};
use lacre_ureq::AgentBuilder;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use ureq::{Error, Timeout};

#[test]
fn the_configuration_of_a_request_applies_on_the_network() {
    let origin = Origin::start(|_| fresh("body"));
    origin.hold();
    let timed_out =
        agent().get(origin.url("/")).config().timeout_global(Some(Duration::from_millis(50))).build();
    assert!(matches!(timed_out.call(), Err(Error::Timeout(_))));
    origin.release();
}

/// An origin that reports each request and answers only the first, when the test says so.
fn slow() -> (String, mpsc::Receiver<()>, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let ((received, requests), (answer, answered)) = (mpsc::channel(), mpsc::channel());
    thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        assert!(first.read(&mut [0; 4096]).unwrap() > 0);
        received.send(()).unwrap();
        let answering = thread::spawn(move || {
            if answered.recv().is_ok() {
                let head =
                    "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n";
                first.write_all(format!("{head}5\r\nfirst\r\n0\r\n\r\n").as_bytes()).unwrap();
            }
        });
        let mut held = Vec::new();
        for connection in listener.incoming() {
            held.push(connection.unwrap());
            if received.send(()).is_err() {
                break;
            }
        }
        answering.join().unwrap();
    });
    (url, requests, answer)
}

#[test]
fn a_timeout_covers_the_wait_for_an_identical_request() {
    let (url, requests, answer) = slow();
    let driver = Driver::new(cache(Policy::rfc9111()).0).coalesce_timeout(Duration::from_secs(3600));
    let agent = AgentBuilder::new(driver).build();
    thread::scope(|scope| {
        let leader = scope.spawn(|| text(&agent, &url));
        requests.recv().unwrap();
        let short = Some(Duration::from_millis(100));
        let global = agent.get(&url).config().timeout_global(short).build().call();
        assert!(matches!(global, Err(Error::Timeout(Timeout::Global))));
        let call = agent.get(&url).config().timeout_per_call(short).build().call();
        assert!(matches!(call, Err(Error::Timeout(Timeout::PerCall))));
        answer.send(()).unwrap();
        assert_eq!(leader.join().unwrap(), "first");
    });
    assert!(requests.try_recv().is_err(), "only the leader was sent");
}

#[test]
fn a_request_that_stopped_waiting_takes_the_first_response() {
    let (url, requests, answer) = slow();
    let driver = Driver::new(cache(Policy::rfc9111()).0).coalesce_timeout(Duration::from_millis(1));
    let agent = AgentBuilder::new(driver).build();
    thread::scope(|scope| {
        let leader = scope.spawn(|| text(&agent, &url));
        requests.recv().unwrap();
        let follower = scope.spawn(|| text(&agent, &url));
        requests.recv().unwrap();
        answer.send(()).unwrap();
        assert_eq!((leader.join().unwrap(), follower.join().unwrap()), ("first".into(), "first".into()));
    });
}

/// Whether a thread, named as by `/proc/thread-self`, waits for something.
fn is_blocked(thread: &Path) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(thread).join("stat"));
    status.is_ok_and(|status| status.rsplit(") ").next().is_some_and(|state| state.starts_with('S')))
}

#[test]
fn a_timeout_covers_a_body_that_another_request_started() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let origin = thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        assert!(connection.read(&mut [0; 4096]).unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\r\n";
        connection.write_all(format!("{head}5\r\nstart\r\n").as_bytes()).unwrap();
        // Waits until the client closes the connection.
        let _ = connection.read(&mut [0; 1]);
    });
    let agent = agent();
    let long = Some(Duration::from_secs(3));
    let leader = agent.get(&url).config().timeout_global(long).build().call().unwrap();
    let (started, reads) = mpsc::channel();
    let reading = thread::spawn(move || {
        let mut body = leader.into_body().into_reader();
        body.read_exact(&mut [0; 5]).unwrap();
        started.send(fs::read_link("/proc/thread-self").ok()).unwrap();
        body.read_to_end(&mut Vec::new()).map_err(Error::from)
    });
    // The reader that waits for the network does so for all: it must be the leader.
    match reads.recv().unwrap() {
        Some(reader) => wait_until(|| is_blocked(&reader)),
        None => thread::sleep(Duration::from_millis(500)),
    }
    let short = Some(Duration::from_secs(1));
    let follower = agent.get(&url).config().timeout_global(short).build().call().unwrap();
    let followed = follower.into_body().read_to_string();
    assert!(matches!(followed, Err(Error::Timeout(Timeout::Global))), "{followed:?}");
    assert!(matches!(reading.join().unwrap(), Err(Error::Timeout(Timeout::Global))));
    drop(agent);
    origin.join().unwrap();
}
