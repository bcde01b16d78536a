//! One answer that several read, whoever holds it, and however it ends.

use crate::clients::{Client, Make};
use crate::scenarios::{client, request};
use bytes::Bytes;
use http::Method;
use lacre::{Driver, Policy};
use lacre_drivers::{Origin, cache, fresh, pieces, respond};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// A client that would rather wait than ask twice.
fn patient(make: Make, policy: Policy) -> Box<dyn Client> {
    make(Driver::new(cache(policy).0).patience(Duration::from_secs(60)))
}

/// So many pieces, each of which differs from the others.
fn different(count: u8) -> (impl Iterator<Item = io::Result<Bytes>> + Clone, Vec<u8>) {
    let piece = |index| vec![index; 64 << 10];
    ((0..count).map(move |index| Ok(piece(index).into())), (0..count).flat_map(piece).collect())
}

pub(crate) fn an_answer_that_somebody_holds_unread_is_shared_whatever_its_framing(make: Make) {
    let (parts, whole) = different(40);
    let body = whole.clone();
    let origin = Origin::start(move |request| match request.path.as_str() {
        "/length" => fresh(body.clone()),
        _ => fresh("").map(|_| pieces(parts.clone())),
    });
    let client = patient(make, Policy::rfc9111());
    for path in ["/length", "/chunks"] {
        let begin = || client.begin(request(Method::GET, &origin.url(path), &[])).unwrap();
        let (first, second, third) = (begin(), begin(), begin());
        // The last one first, and all on one thread.
        for answer in [third, second, first] {
            assert!(answer().unwrap().body == whole, "{path}");
        }
    }
    assert_eq!(origin.count(), 2);
}

pub(crate) fn an_answer_that_is_not_stored_holds_nobody_up(make: Make) {
    let (parts, whole) = different(3);
    let origin = Origin::start(move |_| {
        respond(200, &[("cache-control", "no-store")], "").map(|_| pieces(parts.clone()))
    });
    let client = patient(make, Policy::rfc9111());
    let begin = || client.begin(request(Method::GET, &origin.url("/"), &[])).unwrap();
    for answer in [begin(), begin()] {
        assert!(answer().unwrap().body == whole);
    }
    assert_eq!(origin.count(), 2);
}

pub(crate) fn a_body_that_turns_out_too_long_reaches_all_who_share_it(make: Make) {
    let (parts, whole) = different(60);
    let origin = Origin::start(move |_| fresh("").map(|_| pieces(parts.clone())));
    let client = patient(make, Policy::rfc9111().max_body(1 << 20));
    let begin = || client.begin(request(Method::GET, &origin.url("/"), &[])).unwrap();
    let (leader, follower) = (begin(), begin());
    assert_eq!(origin.count(), 1);
    // Nobody reads what the leader was given, so that the other one goes on by itself.
    assert!(follower().unwrap().body == whole);
    assert!(leader().unwrap().body == whole);
    assert_eq!(origin.count(), 2);
}

pub(crate) fn those_who_share_an_answer_that_breaks_off_go_on_by_themselves(make: Make) {
    let (parts, whole) = different(20);
    let asked = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let length = if asked.fetch_add(1, Ordering::SeqCst) == 0 { 10 } else { 20 };
        let end = (length < 20).then(|| Err(io::Error::other("gone")));
        fresh("").map(|_| pieces(parts.clone().take(length).chain(end).collect::<Vec<_>>()))
    });
    let (client, _) = client(make);
    let begin = || client.begin(request(Method::GET, &origin.url("/"), &[])).unwrap();
    let (leader, follower) = (begin(), begin());
    assert!(follower().unwrap().body == whole);
    leader().unwrap_err();
    assert_eq!(origin.count(), 2);
}
