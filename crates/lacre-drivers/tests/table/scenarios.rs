//! What is asked, and what must come of it, whichever client asks.

use crate::clients::{Client, Make, Told};
use bytes::Bytes;
use http::{Method, Request};
use lacre::store::Memory;
use lacre::{Driver, Event, ManualClock, Mode, Observer, Policy, RequestOptions};
use lacre_drivers::{Origin, builder, cache, fresh, pieces, respond, until};
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A client with a cache of its own, and the cache's clock.
pub(crate) fn client(make: Make) -> (Box<dyn Client>, Arc<ManualClock>) {
    client_with(make, Policy::rfc9111())
}

pub(crate) fn client_with(make: Make, policy: Policy) -> (Box<dyn Client>, Arc<ManualClock>) {
    let (cache, clock) = cache(policy);
    (make(Driver::new(cache)), clock)
}

/// A client with a cache of its own, and what the cache did not have so far.
fn client_with_misses(make: Make) -> (Box<dyn Client>, Arc<Misses>) {
    let misses = Arc::new(Misses::default());
    let (builder, _) = builder();
    (make(Driver::new(builder.observer(Arc::clone(&misses)).build().unwrap())), misses)
}

/// How many requests found nothing. From then on, each either follows another one or learns that another one was answered.
#[derive(Debug, Default)]
struct Misses(AtomicUsize);

impl Misses {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Observer for Misses {
    fn on_event(&self, event: Event<'_>) {
        if matches!(event, Event::Miss { .. }) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

pub(crate) fn request(method: Method, url: &str, headers: &[(&str, &str)]) -> Request<Bytes> {
    let mut builder = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Bytes::new()).unwrap()
}

pub(crate) fn get(client: &dyn Client, url: &str) -> Told {
    client.ask(request(Method::GET, url, &[])).unwrap()
}

impl Told {
    fn did(&self) -> String {
        self.info.status.to_string()
    }
}

pub(crate) fn a_miss_is_stored_and_a_hit_is_the_same_byte_for_byte(make: Make) {
    let origin = Origin::start(|_| {
        let headers = [("cache-control", "max-age=60"), ("content-type", "text/plain; charset=latin1")];
        let mut response = respond(200, &headers, "hello\r\n\0\u{ff}");
        response.headers_mut().insert("x-latin", http::HeaderValue::from_bytes(b"caf\xe9").unwrap());
        response.headers_mut().append("x-twice", http::HeaderValue::from_static("1"));
        response.headers_mut().append("x-twice", http::HeaderValue::from_static("2"));
        response
    });
    let (client, _) = client(make);
    let miss = get(&*client, &origin.url("/a?b"));
    let mut hit = get(&*client, &origin.url("/a?b"));
    assert_eq!(miss.did(), "lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored");
    assert_eq!(hit.did(), "lacre; hit; ttl=60");
    assert_eq!(hit.headers.remove("age").unwrap(), "0");
    assert_eq!((hit.status, &hit.headers, &hit.body), (miss.status, &miss.headers, &miss.body));
    assert_eq!(hit.body, "hello\r\n\0\u{ff}");
    assert_eq!(origin.count(), 1);
}

pub(crate) fn a_stale_response_is_validated_and_served_again(make: Make) {
    let origin = Origin::start(|request| {
        let headers = [("cache-control", "max-age=10"), ("etag", "\"1\"")];
        match request.header("if-none-match") {
            Some("\"1\"") => respond(304, &headers, ""),
            _ => respond(200, &headers, "body"),
        }
    });
    let (client, clock) = client(make);
    get(&*client, &origin.url("/"));
    clock.advance(Duration::from_secs(20));
    let validated = get(&*client, &origin.url("/"));
    assert_eq!((validated.status, &validated.body[..]), (200, &b"body"[..]));
    assert_eq!(validated.did(), "lacre; fwd=stale; fwd-status=304; ttl=10; stored");
    assert_eq!(get(&*client, &origin.url("/")).did(), "lacre; hit; ttl=10");
    assert_eq!(origin.count(), 2);
}

pub(crate) fn a_stale_response_is_served_while_it_is_refreshed_once(make: Make) {
    let answered = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let headers = [("cache-control", "max-age=10, stale-while-revalidate=60")];
        respond(200, &headers, answered.fetch_add(1, Ordering::SeqCst).to_string())
    });
    let (client, clock) = client(make);
    get(&*client, &origin.url("/"));
    clock.advance(Duration::from_secs(20));
    origin.hold();
    for _ in 0..3 {
        let stale = get(&*client, &origin.url("/"));
        assert_eq!(stale.body, "0");
        assert_eq!(stale.did(), "lacre; hit; ttl=-10; detail=stale-while-revalidate");
    }
    origin.release();
    until(|| get(&*client, &origin.url("/")).did() == "lacre; hit; ttl=10");
    assert_eq!((&get(&*client, &origin.url("/")).body[..], origin.count()), (&b"1"[..], 2));
}

pub(crate) fn an_origin_that_is_gone_leaves_stale_answers_to_serve(make: Make) {
    let mut origin = Origin::start(|_| fresh("body"));
    let (client, clock) = client(make);
    get(&*client, &origin.url("/"));
    clock.advance(Duration::from_secs(3600));
    origin.stop();
    let stale = get(&*client, &origin.url("/"));
    assert_eq!(stale.body, "body");
    assert_eq!(stale.did(), "lacre; fwd=stale; ttl=-3540; detail=stale-if-error");
    client.ask(request(Method::GET, &origin.url("/never-seen"), &[])).unwrap_err();
}

pub(crate) fn redirects_are_followed_and_answered_hop_by_hop(make: Make) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/a" => respond(301, &[("location", "b"), ("cache-control", "max-age=60")], ""),
        "/b" => respond(302, &[("location", "/c?d"), ("cache-control", "no-store")], ""),
        "/c?d" => respond(307, &[("location", "/end"), ("cache-control", "max-age=60")], ""),
        _ => fresh("end"),
    });
    let (client, _) = client(make);
    for _ in 0..2 {
        let end = get(&*client, &origin.url("/a"));
        assert_eq!((end.status, &end.body[..]), (200, &b"end"[..]));
    }
    let asked: Vec<String> = origin.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(asked, ["/a", "/b", "/c?d", "/end", "/b"]);
}

pub(crate) fn a_loop_of_redirects_ends(make: Make) {
    let origin = Origin::start(|_| respond(302, &[("location", "/")], ""));
    let (client, _) = client(make);
    client.ask(request(Method::GET, &origin.url("/"), &[])).unwrap_err();
    assert_eq!(origin.count(), 11);
}

pub(crate) fn a_redirect_elsewhere_takes_no_credential_along(make: Make) {
    let end = Origin::start(|_| fresh("end"));
    let elsewhere = end.url("/");
    let origin = Origin::start(move |_| respond(302, &[("location", &elsewhere)], ""));
    let (client, _) = client(make);
    let headers = [("authorization", "Bearer hidden"), ("cookie", "hidden=1"), ("accept", "text/html")];
    client.ask(request(Method::GET, &origin.url("/"), &headers)).unwrap();
    let seen = end.seen().pop().unwrap();
    assert_eq!((seen.header("authorization"), seen.header("cookie")), (None, None));
    assert_eq!(seen.header("accept"), Some("text/html"));
}

/// Where lacre follows redirects itself.
pub(crate) fn a_redirect_elsewhere_takes_nothing_of_the_callers_own_along(make: Make) {
    let end = Origin::start(|_| fresh("end"));
    let elsewhere = end.url("/");
    let origin = Origin::start(move |_| respond(302, &[("location", &elsewhere)], ""));
    let (client, _) = client(make);
    let own = ["x-secret-sauce", "x-tenant-id", "x-functions-key", "x-whatever", "origin", "referer"];
    let headers = own.map(|name| (name, "hidden"));
    client.ask(request(Method::GET, &origin.url("/"), &headers)).unwrap();
    let seen = end.seen().pop().unwrap();
    assert!(seen.headers.values().all(|value| value != "hidden"), "{:?}", seen.headers.keys());
}

/// Where lacre follows redirects itself.
pub(crate) fn redirects_of_a_virtual_host_stay_there(make: Make) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/a" => respond(302, &[("location", "/b")], ""),
        "/b" => respond(302, &[("location", "http://virtual.example/c")], ""),
        _ => fresh(request.header("host").unwrap_or_default().to_owned()),
    });
    let (client, _) = client(make);
    let asked = request(Method::GET, &origin.url("/a"), &[("host", "virtual.example")]);
    assert_eq!(client.ask(asked).unwrap().body, "virtual.example");
    assert_eq!(origin.count(), 3);
}

pub(crate) fn a_post_arrives_whole_and_invalidates(make: Make) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client(make);
    get(&*client, &origin.url("/"));
    let long = Bytes::from(vec![b'x'; 3 << 20]);
    for body in [Bytes::from("form"), long] {
        let post = request(Method::POST, &origin.url("/"), &[]).map(|_| body.clone());
        let posted = client.ask(post).unwrap();
        assert_eq!(posted.did(), "lacre; fwd=method; fwd-status=200");
        let seen = origin.seen().pop().unwrap();
        assert_eq!((&seen.method, seen.body.len()), (&Method::POST, body.len()));
        assert_eq!(seen.header("content-length"), Some(body.len().to_string().as_str()));
        assert!(get(&*client, &origin.url("/")).did().contains("fwd=uri-miss"));
    }
}

pub(crate) fn a_post_that_is_looked_up_is_told_from_others_by_its_body(make: Make) {
    let origin = Origin::start(|request| fresh(request.body.clone()));
    let (client, _) = client_with(make, Policy::rfc9111().methods([Method::GET, Method::POST]));
    for _ in 0..2 {
        for body in ["a", "b"] {
            let post = request(Method::POST, &origin.url("/"), &[]).map(|_| Bytes::from(body));
            assert_eq!(client.ask(post).unwrap().body, body);
        }
    }
    assert_eq!(origin.count(), 2);
    assert_eq!(origin.seen()[0].header("content-length"), Some("1"));
}

pub(crate) fn head_is_answered_from_get(make: Make) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client(make);
    let head = || client.ask(request(Method::HEAD, &origin.url("/"), &[])).unwrap();
    let passed = head();
    assert_eq!((passed.body.len(), passed.headers["content-length"].as_bytes()), (0, &b"4"[..]));
    get(&*client, &origin.url("/"));
    let hit = head();
    assert_eq!((hit.body.len(), hit.headers["content-length"].as_bytes()), (0, &b"4"[..]));
    assert_eq!((hit.did().as_str(), origin.count()), ("lacre; hit; ttl=60", 2));
}

pub(crate) fn head_alone_is_stored(make: Make) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client(make);
    for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
        let head = client.ask(request(Method::HEAD, &origin.url("/"), &[])).unwrap();
        assert_eq!((head.body.len(), head.headers["content-length"].as_bytes()), (0, &b"4"[..]));
        assert_eq!(head.did(), expected);
    }
    assert!(get(&*client, &origin.url("/")).did().contains("fwd=uri-miss"), "it is no answer to GET");
    client.ask(request(Method::POST, &origin.url("/"), &[])).unwrap();
    let head = client.ask(request(Method::HEAD, &origin.url("/"), &[])).unwrap();
    assert!(head.did().contains("fwd=uri-miss"), "POST invalidates both");
}

pub(crate) fn a_condition_on_a_stale_response_is_judged_by_what_the_origin_has(make: Make) {
    let asked = AtomicUsize::new(1);
    let origin = Origin::start(move |_| {
        let version = asked.fetch_add(1, Ordering::SeqCst);
        let etag = format!("\"{version}\"");
        respond(200, &[("cache-control", "max-age=10"), ("etag", &etag)], version.to_string())
    });
    let (client, clock) = client(make);
    get(&*client, &origin.url("/"));
    clock.advance(Duration::from_secs(20));
    let has_the_second = || request(Method::GET, &origin.url("/"), &[("if-none-match", "\"2\"")]);
    let told = client.ask(has_the_second()).unwrap();
    assert_eq!(
        (told.status, &told.body[..], told.headers["etag"].as_bytes()),
        (304, &b""[..], &b"\"2\""[..])
    );
    // It was stored for those who have not.
    until(|| get(&*client, &origin.url("/")).body == "2");
    assert_eq!(client.ask(has_the_second()).unwrap().did(), "lacre; hit; ttl=10");
    clock.advance(Duration::from_secs(20));
    assert_eq!(client.ask(has_the_second()).unwrap().status, 200, "it has only the second");
}

pub(crate) fn what_cannot_be_stored_is_not_said_to_be(make: Make) {
    let origin = Origin::start(|_| fresh("x".repeat(100)));
    let (client, _) = client_with(make, Policy::rfc9111().max_body(99));
    let told = get(&*client, &origin.url("/"));
    assert_eq!(told.did(), "lacre; fwd=uri-miss; fwd-status=200; detail=too-large");
    assert_eq!(told.info.stored_at, None);
}

pub(crate) fn what_the_store_did_not_take_is_not_said_to_be_stored(make: Make) {
    let origin = Origin::start(|_| respond(204, &[("cache-control", "max-age=60")], ""));
    let full = builder().0.store(Memory::with_capacity(16).unwrap()).build().unwrap();
    let told = get(&*make(Driver::new(full)), &origin.url("/"));
    assert_eq!(told.did(), "lacre; fwd=uri-miss; fwd-status=204; ttl=60; detail=store-unavailable");
}

/// `text`, as gzip makes it.
fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const ZIPPED: [(&str, &str); 3] =
    [("cache-control", "max-age=60"), ("content-encoding", "gzip"), ("vary", "accept-encoding")];

pub(crate) fn a_compressed_response_is_stored_as_it_came_and_read_decoded(make: Make) {
    let text = "hello ".repeat(100_000);
    let zipped = gzip(&text);
    let origin = Origin::start(move |request| {
        assert!(request.header("accept-encoding").unwrap().contains("gzip"));
        respond(200, &ZIPPED, zipped.clone())
    });
    let (cache, _) = cache(Policy::rfc9111());
    let client = make(Driver::new(cache.clone()));
    for _ in 0..2 {
        let told = get(&*client, &origin.url("/"));
        assert!(told.body == text);
        assert!(
            !told.headers.contains_key("content-encoding") && !told.headers.contains_key("content-length")
        );
        // Who asks for it gets it decoded, too.
        let asked = request(Method::GET, &origin.url("/own"), &[("accept-encoding", "gzip")]);
        assert!(client.ask(asked).unwrap().body == text);
    }
    assert_eq!(origin.count(), 2);
    let usage = lacre::wait(cache.usage()).unwrap();
    assert!(usage.bytes < 10_000, "{usage:?}");
}

pub(crate) fn what_is_not_a_whole_compressed_body_is_not_decoded(make: Make) {
    let zipped = gzip("hello");
    let (whole, part) = (zipped.clone(), zipped[2..5].to_vec());
    let origin = Origin::start(move |request| {
        let mut answer = match (&request.method, request.header("range")) {
            (&Method::HEAD, _) => respond(200, &ZIPPED, whole.clone()),
            (_, Some(_)) => {
                let mut answer = respond(206, &ZIPPED, part.clone());
                let range = format!("bytes 2-4/{}", whole.len());
                answer.headers_mut().insert("content-range", range.parse().unwrap());
                answer
            }
            _ => respond(200, &[("content-encoding", "unheard-of")], "as it is"),
        };
        answer
            .headers_mut()
            .insert("x-asked", request.header("accept-encoding").unwrap_or("nothing").parse().unwrap());
        answer
    });
    let (client, _) = client(make);
    let head = client.ask(request(Method::HEAD, &origin.url("/"), &[])).unwrap();
    assert_eq!((head.body.len(), head.headers["content-encoding"].as_bytes()), (0, &b"gzip"[..]));
    let told = client.ask(request(Method::GET, &origin.url("/"), &[("range", "bytes=2-4")])).unwrap();
    assert_eq!((told.status, &told.body[..]), (206, &zipped[2..5]));
    assert_eq!(told.headers["x-asked"], "nothing", "a part of what would be of no use");
    let strange = get(&*client, &origin.url("/strange"));
    assert_eq!(
        (&strange.body[..], strange.headers["content-encoding"].as_bytes()),
        (&b"as it is"[..], &b"unheard-of"[..])
    );
}

pub(crate) fn a_range_is_answered_from_the_whole(make: Make) {
    let origin = Origin::start(|_| fresh("0123456789"));
    let (client, _) = client(make);
    get(&*client, &origin.url("/"));
    let part = client.ask(request(Method::GET, &origin.url("/"), &[("range", "bytes=2-4")])).unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &b"234"[..]));
    assert_eq!(part.headers["content-range"], "bytes 2-4/10");
    assert_eq!(origin.count(), 1);
}

pub(crate) fn a_part_from_the_origin_is_not_taken_for_the_whole(make: Make) {
    let origin = Origin::start(|request| match request.header("range") {
        Some(_) => {
            let headers = [("cache-control", "max-age=60"), ("content-range", "bytes 2-4/10")];
            respond(206, &headers, "234")
        }
        None => fresh("0123456789"),
    });
    let (client, _) = client(make);
    let part = client.ask(request(Method::GET, &origin.url("/"), &[("range", "bytes=2-4")])).unwrap();
    assert_eq!((part.status, &part.body[..]), (206, &b"234"[..]));
    assert_eq!(get(&*client, &origin.url("/")).body, "0123456789");
    assert_eq!(origin.count(), 2);
}

pub(crate) fn variants_are_kept_apart(make: Make) {
    let origin = Origin::start(|request| {
        let language = request.header("accept-language").unwrap_or("none").to_owned();
        respond(200, &[("cache-control", "max-age=60"), ("vary", "accept-language")], language)
    });
    let (client, _) = client(make);
    for _ in 0..2 {
        for language in ["de", "fr"] {
            let asked = request(Method::GET, &origin.url("/"), &[("accept-language", language)]);
            assert_eq!(client.ask(asked).unwrap().body, language);
        }
        assert_eq!(get(&*client, &origin.url("/")).body, "none");
    }
    assert_eq!(origin.count(), 3);
}

pub(crate) fn credentials_are_kept_apart(make: Make) {
    let origin =
        Origin::start(|request| fresh(request.header("authorization").unwrap_or("nobody").to_owned()));
    let (client, _) = client(make);
    for token in ["a", "b", "a", "b"] {
        let asked = request(Method::GET, &origin.url("/"), &[("authorization", token)]);
        assert_eq!(client.ask(asked).unwrap().body, token);
    }
    assert_eq!(get(&*client, &origin.url("/")).body, "nobody");
}

pub(crate) fn api_keys_and_identities_are_kept_apart(make: Make) {
    const NAMES: [&str; 8] = [
        "x-api-key",
        "x-functions-key",
        "x-jfrog-art-api",
        "cf-access-jwt-assertion",
        "remote-user",
        "client-cert",
        "dpop",
        "x-tenant-id",
    ];
    let origin = Origin::start(|request| {
        let who = NAMES.into_iter().find_map(|name| request.header(name));
        fresh(who.unwrap_or("nobody").to_owned())
    });
    let (client, _) = client(make);
    for name in NAMES {
        for who in ["a", "b", "a", "b"] {
            let asked = request(Method::GET, &origin.url("/"), &[(name, who)]);
            assert_eq!(client.ask(asked).unwrap().body, who, "{name}");
        }
    }
    assert_eq!(get(&*client, &origin.url("/")).body, "nobody");
    assert_eq!(origin.count(), 2 * NAMES.len() + 1);
}

pub(crate) fn hosts_that_are_sent_are_kept_apart(make: Make) {
    let origin = Origin::start(|request| fresh(request.header("host").unwrap_or_default().to_owned()));
    let (client, _) = client(make);
    let url = origin.url("/");
    for host in ["a.example", "b.example", "a.example", "b.example"] {
        assert_eq!(client.ask(request(Method::GET, &url, &[("host", host)])).unwrap().body, host);
    }
    let own = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    assert_eq!(get(&*client, &url).body, own);
    let named = client.ask(request(Method::GET, &url, &[("host", &own)])).unwrap();
    assert_eq!(named.did(), "lacre; hit; ttl=60");
    assert_eq!(origin.count(), 3);
    client.ask(request(Method::POST, &url, &[("host", "a.example")])).unwrap();
    let left: Vec<_> = ["a.example", "b.example", &own]
        .into_iter()
        .filter(|host| {
            let asked = request(Method::GET, &url, &[("host", host)]);
            client.ask(asked).unwrap().did().starts_with("lacre; hit")
        })
        .collect();
    assert_eq!(left, ["b.example", &own]);
}

pub(crate) fn an_error_of_the_origin_is_stored_as_long_as_it_says(make: Make) {
    let origin = Origin::start(|_| respond(404, &[("cache-control", "max-age=60")], "nothing here"));
    let (client, _) = client(make);
    for expected in ["lacre; fwd=uri-miss; fwd-status=404; ttl=60; stored", "lacre; hit; ttl=60"] {
        let told = get(&*client, &origin.url("/"));
        assert_eq!((told.status, &told.body[..]), (404, &b"nothing here"[..]));
        assert_eq!(told.did(), expected);
    }
}

pub(crate) fn only_if_cached_never_asks_the_network(make: Make) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client(make);
    let asked = || {
        let mut asked = request(Method::GET, &origin.url("/"), &[]);
        asked.extensions_mut().insert(RequestOptions::new().mode(Mode::OnlyIfCached));
        client.ask(asked).unwrap()
    };
    assert_eq!((asked().status, origin.count()), (504, 0));
    get(&*client, &origin.url("/"));
    assert_eq!((asked().status, origin.count()), (200, 1));
}

/// What comes in pieces, as many as `count`, fresh for a minute.
fn in_pieces(count: usize) -> http::Response<lacre_drivers::Body> {
    let piece = Bytes::from(vec![b'x'; 64 << 10]);
    fresh("").map(|_| pieces((0..count).map(move |_| Ok(piece.clone()))))
}

pub(crate) fn what_is_dropped_half_read_is_not_stored(make: Make) {
    let origin = Origin::start(|_| in_pieces(200));
    let (client, _) = client(make);
    assert!(!client.look(request(Method::GET, &origin.url("/"), &[])).unwrap().is_empty());
    assert!(get(&*client, &origin.url("/")).did().contains("fwd=uri-miss"));
    assert_eq!(get(&*client, &origin.url("/")).did(), "lacre; hit; ttl=60");
}

pub(crate) fn what_breaks_off_is_not_stored(make: Make) {
    let asked = AtomicUsize::new(0);
    let origin = Origin::start(move |_| match asked.fetch_add(1, Ordering::SeqCst) {
        0 => fresh("").map(|_| pieces([Ok(Bytes::from("half")), Err(io::Error::other("gone"))])),
        1 => {
            let mut broken =
                fresh("").map(|_| pieces([Ok(Bytes::from("half")), Err(io::Error::other("gone"))]));
            broken.headers_mut().insert("content-length", 8.into());
            broken
        }
        _ => fresh("whole"),
    });
    let (client, _) = client(make);
    for _ in 0..2 {
        client.ask(request(Method::GET, &origin.url("/"), &[])).unwrap_err();
    }
    let whole = get(&*client, &origin.url("/"));
    assert_eq!(whole.body, "whole");
    assert!(whole.did().contains("fwd=uri-miss"));
}

/// The address of an origin that answers everybody with these bytes, and hangs up.
fn raw_origin(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let _ = stream.get_mut().write_all(answer);
        }
    });
    url
}

pub(crate) fn a_length_beside_chunks_is_not_stored_with_them(make: Make) {
    let url = raw_origin(
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: chunked\r\n\
          content-length: 3\r\ntrailer: x-sum\r\nconnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let (client, _) = client(make);
    let (miss, hit) = (get(&*client, &url), get(&*client, &url));
    assert!(miss.did().contains("; stored"), "{}", miss.did());
    assert_eq!((&miss.body[..], &hit.body[..]), (&b"hello"[..], &b"hello"[..]));
    assert_eq!(hit.did(), "lacre; hit; ttl=60");
    assert!(!hit.headers.contains_key("trailer"));
    assert!(hit.headers.get("content-length").is_none_or(|length| length == "5"), "{:?}", hit.headers);
}

pub(crate) fn a_body_in_a_transfer_coding_is_not_stored(make: Make) {
    let url = raw_origin(
        b"HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ntransfer-encoding: gzip, chunked\r\n\
          connection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let (client, _) = client(make);
    for _ in 0..2 {
        // Some clients refuse it, which is as well.
        if let Ok(told) = client.ask(request(Method::GET, &url, &[])) {
            assert_eq!(told.did(), "lacre; fwd=uri-miss; fwd-status=200; detail=framing");
        }
    }
}

pub(crate) fn a_huge_body_is_stored_and_served_whole(make: Make) {
    let origin = Origin::start(|_| in_pieces(320));
    let (client, _) = client(make);
    for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
        let told = get(&*client, &origin.url("/"));
        assert_eq!((told.did().as_str(), told.body.len()), (expected, 320 << 16));
        assert!(told.body.iter().all(|byte| *byte == b'x'));
    }
    assert_eq!(origin.count(), 1);
}

pub(crate) fn what_is_too_long_passes_and_is_not_stored(make: Make) {
    let origin = Origin::start(|_| in_pieces(40));
    let (client, _) = client_with(make, Policy::rfc9111().max_body(1 << 20));
    for _ in 0..2 {
        assert_eq!(get(&*client, &origin.url("/")).body.len(), 40 << 16);
    }
    assert_eq!(origin.count(), 2);
}

pub(crate) fn an_empty_body_is_stored(make: Make) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/204" => respond(204, &[("cache-control", "max-age=60")], ""),
        _ => fresh(""),
    });
    let (client, _) = client(make);
    for path in ["/204", "/200"] {
        let miss = get(&*client, &origin.url(path));
        let hit = get(&*client, &origin.url(path));
        assert_eq!((hit.did().as_str(), hit.body.len()), ("lacre; hit; ttl=60", 0), "{path}");
        assert_eq!(hit.status, miss.status);
    }
}

pub(crate) fn requests_at_the_same_time_are_sent_once(make: Make) {
    let origin = Origin::start(|_| fresh("body"));
    let (client, misses) = client_with_misses(make);
    origin.hold();
    let collapsed = thread::scope(|scope| {
        let asking: Vec<_> = (0..50).map(|_| scope.spawn(|| get(&*client, &origin.url("/")))).collect();
        until(|| misses.count() == 50);
        origin.release();
        let told = asking.into_iter().map(|asking| asking.join().unwrap());
        told.inspect(|told| assert_eq!(told.body, "body"))
            .filter(|told| told.did().contains("collapsed"))
            .count()
    });
    assert_eq!((origin.count(), collapsed), (1, 49));
}

pub(crate) fn those_who_wait_go_on_when_the_first_goes_away(make: Make) {
    let origin = Origin::start(|_| in_pieces(200));
    let (client, misses) = client_with_misses(make);
    origin.hold();
    thread::scope(|scope| {
        let first = scope.spawn(|| client.look(request(Method::GET, &origin.url("/"), &[])).unwrap());
        until(|| origin.count() > 0);
        let others: Vec<_> = (0..4).map(|_| scope.spawn(|| get(&*client, &origin.url("/")))).collect();
        until(|| misses.count() == 5);
        origin.release();
        first.join().unwrap();
        for other in others {
            assert_eq!(other.join().unwrap().body.len(), 200 << 16);
        }
    });
    assert_eq!(get(&*client, &origin.url("/")).did(), "lacre; hit; ttl=60");
}

pub(crate) fn cookies_are_kept_and_told_apart(make: Make) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/log-in" => {
            let headers = [("set-cookie", "user=1"), ("location", "/"), ("cache-control", "no-store")];
            respond(302, &headers, "")
        }
        "/log-out" => respond(200, &[("set-cookie", "user=; Max-Age=0"), ("cache-control", "no-store")], ""),
        _ => {
            let headers = [("cache-control", "max-age=60"), ("vary", "Cookie")];
            respond(200, &headers, request.header("cookie").unwrap_or("nobody").to_owned())
        }
    });
    let (client, _) = client(make);
    for _ in 0..2 {
        assert_eq!(get(&*client, &origin.url("/")).body, "nobody");
        assert_eq!(get(&*client, &origin.url("/log-in")).body, "user=1");
        assert_eq!(get(&*client, &origin.url("/")).body, "user=1");
        get(&*client, &origin.url("/log-out"));
    }
    let pages = origin.seen().into_iter().filter(|seen| seen.path == "/").count();
    assert_eq!(pages, 2, "once as nobody, once as the user");
}

pub(crate) fn a_cookie_that_the_origin_rotates_costs_no_hit(make: Make) {
    let turn = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let cookie = format!("__cf_bm={}; Path=/", turn.fetch_add(1, Ordering::SeqCst));
        respond(200, &[("cache-control", "max-age=60"), ("set-cookie", &cookie)], "page")
    });
    let (client, _) = client(make);
    for path in ["/one", "/two"] {
        assert_eq!(
            get(&*client, &origin.url(path)).did(),
            "lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored"
        );
    }
    for path in ["/one", "/two", "/one"] {
        assert_eq!(get(&*client, &origin.url(path)).did(), "lacre; hit; ttl=60");
    }
    // The cookie that came last, whatever was answered from the cache since.
    get(&*client, &origin.url("/three"));
    let sent: Vec<_> = origin.seen().iter().map(|seen| seen.header("cookie").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("__cf_bm=0".into()), Some("__cf_bm=1".into())]);
}

pub(crate) fn a_lifetime_of_the_users_own_keeps_no_error(make: Make) {
    let origin = Origin::start(|request| match request.header("x-turn") {
        Some("first") => respond(request.path[1..].parse().unwrap(), &[("retry-after", "0")], "error"),
        _ => respond(200, &[], "well"),
    });
    let hour = Duration::from_secs(3600);
    for policy in [
        Policy::rfc9111().expire_after(hour),
        Policy::rfc9111().expire_after(hour).origin_headers(lacre::OriginHeaders::Ignored),
        Policy::rfc9111().expire_url_after(lacre::UrlPattern::glob("*").unwrap(), hour),
        Policy::rfc9111(),
    ] {
        let (client, _) = client_with(make, policy);
        let ask = |url: &str, turn| {
            let mut request = request(Method::GET, url, &[("x-turn", turn)]);
            request.extensions_mut().insert(RequestOptions::new().ttl(hour));
            client.ask(request).unwrap()
        };
        for status in [400, 401, 403, 404, 408, 410, 429, 500, 502, 503, 504] {
            let url = origin.url(&format!("/{status}"));
            assert_eq!(ask(&url, "first").status, status);
            assert_eq!(ask(&url, "second").body, "well", "{status}");
            assert_eq!(ask(&url, "third").did(), "lacre; hit; ttl=3600", "{status}");
        }
    }
}
