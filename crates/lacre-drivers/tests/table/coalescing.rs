//! Concurrent identical requests: sent once, and one response for several readers (decision 17).

use crate::clients::{Client, MakeClient};
use crate::support::{chunked_response, client, client_with_misses, get, request};
use bytes::Bytes;
use http::Method;
use lacre::{Driver, Policy};
use lacre_drivers::{Origin, cache, chunked, fresh, respond, wait_until};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A client whose requests wait a minute for an identical one.
fn patient_client(make: MakeClient, policy: Policy) -> Box<dyn Client> {
    make(Driver::new(cache(policy).0).coalesce_timeout(Duration::from_secs(60)))
}

/// This many pieces, each different from the others, and the whole of them.
fn distinct_pieces(count: u8) -> (impl Iterator<Item = io::Result<Bytes>> + Clone, Vec<u8>) {
    let piece = |index| vec![index; 64 << 10];
    ((0..count).map(move |index| Ok(piece(index).into())), (0..count).flat_map(piece).collect())
}

pub(crate) fn concurrent_identical_requests_are_sent_once(make: MakeClient) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, misses) = client_with_misses(make);
    origin.hold();
    let collapsed = thread::scope(|scope| {
        let asking: Vec<_> = (0..50).map(|_| scope.spawn(|| get(&*client, &origin.url("/")))).collect();
        wait_until(|| misses.count() == 50);
        origin.release();
        let reply = asking.into_iter().map(|asking| asking.join().unwrap());
        reply
            .inspect(|reply| assert_eq!(reply.body, "body"))
            .filter(|reply| reply.cache_status().contains("collapsed"))
            .count()
    });
    assert_eq!((origin.request_count(), collapsed), (1, 49));
}

pub(crate) fn waiting_requests_continue_when_the_first_is_dropped(make: MakeClient) {
    let origin = Origin::start(|_| chunked_response(200));
    let (client, misses) = client_with_misses(make);
    origin.hold();
    thread::scope(|scope| {
        let first = scope.spawn(|| client.read_start(request(Method::GET, &origin.url("/"), &[])).unwrap());
        wait_until(|| origin.request_count() > 0);
        let others: Vec<_> = (0..4).map(|_| scope.spawn(|| get(&*client, &origin.url("/")))).collect();
        wait_until(|| misses.count() == 5);
        origin.release();
        first.join().unwrap();
        for other in others {
            assert_eq!(other.join().unwrap().body.len(), 200 << 16);
        }
    });
    assert_eq!(get(&*client, &origin.url("/")).cache_status(), "lacre; hit; ttl=60");
}

pub(crate) fn an_unread_response_is_shared_with_any_framing(make: MakeClient) {
    let (parts, whole) = distinct_pieces(40);
    let body = whole.clone();
    let origin = Origin::start(move |request| match request.path.as_str() {
        "/length" => fresh(body.clone()),
        _ => fresh("").map(|_| chunked(parts.clone())),
    });
    let client = patient_client(make, Policy::rfc9111());
    for path in ["/length", "/chunks"] {
        let start = || client.start(request(Method::GET, &origin.url(path), &[])).unwrap();
        let (first, second, third) = (start(), start(), start());
        // Read in reverse order, all on one thread.
        for answer in [third, second, first] {
            assert!(answer().unwrap().body == whole, "{path}");
        }
    }
    assert_eq!(origin.request_count(), 2);
}

pub(crate) fn a_response_that_is_not_stored_delays_no_other_request(make: MakeClient) {
    let (parts, whole) = distinct_pieces(3);
    let origin = Origin::start(move |_| {
        respond(200, &[("cache-control", "no-store")], "").map(|_| chunked(parts.clone()))
    });
    let client = patient_client(make, Policy::rfc9111());
    let start = || client.start(request(Method::GET, &origin.url("/"), &[])).unwrap();
    for answer in [start(), start()] {
        assert!(answer().unwrap().body == whole);
    }
    assert_eq!(origin.request_count(), 2);
}

pub(crate) fn a_shared_body_over_the_limit_reaches_every_reader(make: MakeClient) {
    let (parts, whole) = distinct_pieces(60);
    let origin = Origin::start(move |_| fresh("").map(|_| chunked(parts.clone())));
    let client = patient_client(make, Policy::rfc9111().max_body(1 << 20));
    let start = || client.start(request(Method::GET, &origin.url("/"), &[])).unwrap();
    let (leader, follower) = (start(), start());
    assert_eq!(origin.request_count(), 1);
    // The leader is not read, so the follower continues with a request of its own.
    assert!(follower().unwrap().body == whole);
    assert!(leader().unwrap().body == whole);
    assert_eq!(origin.request_count(), 2);
}

pub(crate) fn readers_of_a_truncated_response_continue_on_their_own(make: MakeClient) {
    let (parts, whole) = distinct_pieces(20);
    let count = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let length = if count.fetch_add(1, Ordering::SeqCst) == 0 { 10 } else { 20 };
        let end = (length < 20).then(|| Err(io::Error::other("gone")));
        fresh("").map(|_| chunked(parts.clone().take(length).chain(end).collect::<Vec<_>>()))
    });
    let (client, _) = client(make);
    let start = || client.start(request(Method::GET, &origin.url("/"), &[])).unwrap();
    let (leader, follower) = (start(), start());
    assert!(follower().unwrap().body == whole);
    leader().unwrap_err();
    assert_eq!(origin.request_count(), 2);
}
