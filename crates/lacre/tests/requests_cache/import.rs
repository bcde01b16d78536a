//! From their files into a sealed store, and from there to a client: what was imported is a hit for
//! the same request.

use crate::{THEN, answer, get, pairs, shared};
use http::HeaderMap;
use lacre::interchange::requests_cache::{Imported, Importer, Request, Response, Serializer, Source};
use lacre::store::{Memory, Store};
use lacre::{Answer, Builder, Cache, Keyring, ManualClock, Policy, RequestBody, Timestamp};
use std::sync::Arc;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
/// When the responses are imported, and asked for.
const NOW: Timestamp = Timestamp::from_seconds(1_700_000_600);

struct World {
    store: Arc<dyn Store>,
    keyring: Keyring,
}

impl World {
    fn new() -> Self {
        Self { store: Arc::new(Memory::new().unwrap()), keyring: Keyring::generate().unwrap() }
    }

    fn builder(&self) -> Builder {
        Cache::builder().store(Arc::clone(&self.store)).keyring(self.keyring.clone())
    }

    fn import(&self, policy: Policy, response: &Response) -> Imported {
        let importer = Importer::new(self.builder(), policy).unwrap();
        lacre::wait(importer.import(response, NOW)).unwrap()
    }

    /// Asks as a client would: its own headers, and the default policy.
    fn ask(&self, policy: Policy, request: http::request::Builder, body: &[u8], now: Timestamp) -> Answer {
        let cache = self.builder().policy(policy).clock(Arc::new(ManualClock::new(now))).build().unwrap();
        let parts = request.body(()).unwrap().into_parts().0;
        lacre::wait(cache.ask(parts, RequestBody::Seen(body))).unwrap()
    }

    /// The headers and the body of the answer from the cache, if there is one.
    fn hit(&self, request: http::request::Builder) -> Option<(HeaderMap, Vec<u8>)> {
        match self.ask(Policy::rfc9111(), request, b"", NOW) {
            Answer::Hit(reply) => Some(read(reply)),
            _ => None,
        }
    }
}

fn read(reply: lacre::Reply) -> (HeaderMap, Vec<u8>) {
    let (parts, body) = reply.response.into_parts();
    (parts.headers, lacre::wait(body.bytes()).unwrap().to_vec())
}

fn ask(url: &str) -> http::request::Builder {
    http::Request::get(url).header("accept", "*/*")
}

#[test]
fn imported_response_is_a_hit_for_another_client() {
    let world = World::new();
    let headers =
        [("Content-Type", "text/plain"), ("Set-Cookie", "a=1, b=2"), ("Transfer-Encoding", "chunked")];
    let response = answer(get("http://example.com/x?a=1"), &headers, b"hello");
    assert_eq!(world.import(Policy::rfc9111(), &response), Imported::Stored);
    let (headers, body) = world.hit(ask("http://example.com/x?a=1")).unwrap();
    assert_eq!(body, b"hello");
    assert_eq!(
        (&headers["content-type"], &headers["content-length"], &headers["age"]),
        (&"text/plain".parse().unwrap(), &"5".parse().unwrap(), &"600".parse().unwrap())
    );
    assert_eq!(headers.get_all("set-cookie").iter().count(), 2);
    assert!(!headers.contains_key("transfer-encoding"));
}

#[test]
fn a_decoded_body_is_a_hit_whichever_codings_a_client_accepts() {
    let world = World::new();
    let headers = [("Content-Encoding", "gzip"), ("Content-Length", "7"), ("Vary", "Accept-Encoding")];
    world.import(Policy::rfc9111(), &answer(get("http://example.com/"), &headers, b"decoded body"));
    for request in [ask("http://example.com/"), ask("http://example.com/").header("accept-encoding", "br")] {
        let (headers, body) = world.hit(request).unwrap();
        assert_eq!(body, b"decoded body");
        assert!(!headers.contains_key("content-encoding") && !headers.contains_key("vary"));
        assert_eq!(headers["content-length"], "12");
    }
}

#[test]
fn a_body_in_a_coding_that_requests_could_not_decode_keeps_it() {
    let world = World::new();
    let headers = [("Content-Encoding", "br"), ("Content-Length", "3"), ("Vary", "Accept-Encoding")];
    world.import(Policy::rfc9111(), &answer(get("http://example.com/"), &headers, b"\x8b\xff\x80"));
    let (headers, _) =
        world.hit(ask("http://example.com/").header("accept-encoding", "gzip, deflate")).unwrap();
    assert_eq!(headers["content-encoding"], "br");
    assert!(world.hit(ask("http://example.com/")).is_none());
}

#[test]
fn variants_stay_apart() {
    let world = World::new();
    for (language, body) in [("de", "hallo"), ("fr", "salut")] {
        let mut request = get("http://example.com/");
        request.headers.extend(pairs(&[("Accept-Language", language)]));
        world.import(Policy::rfc9111(), &answer(request, &[("Vary", "Accept-Language")], body.as_bytes()));
    }
    let hit = |language| world.hit(ask("http://example.com/").header("accept-language", language));
    assert_eq!(hit("de").unwrap().1, b"hallo");
    assert_eq!(hit("fr").unwrap().1, b"salut");
    assert!(hit("it").is_none());
}

#[test]
fn older_variant_is_not_imported() {
    let world = World::new();
    let at = |seconds, language| {
        let mut request = get("http://example.com/");
        request.headers.extend(pairs(&[("Accept-Language", language)]));
        let answer = answer(request, &[("Vary", "Accept-Language")], b"x");
        Response { created: THEN.plus(Duration::from_secs(seconds)), ..answer }
    };
    assert_eq!(world.import(Policy::rfc9111(), &at(60, "de")), Imported::Stored);
    assert_eq!(world.import(Policy::rfc9111(), &at(0, "fr")), Imported::Known);
    assert_eq!(world.import(Policy::rfc9111(), &at(120, "it")), Imported::Stored);
}

#[test]
fn lifetimes_carry_over() {
    let world = World::new();
    let fresh = Response {
        expires: Some(THEN.plus(HOUR)),
        ..answer(get("http://example.com/"), &[("ETag", "\"1\""), ("Cache-Control", "no-store")], b"x")
    };
    assert_eq!(world.import(Policy::rfc9111(), &fresh), Imported::Stored);
    let at = |after| world.ask(Policy::rfc9111(), ask("http://example.com/"), b"", THEN.plus(after));
    let Answer::Hit(reply) = at(HOUR / 2) else { panic!("it is fresh") };
    assert_eq!(reply.info.status.to_string(), "lacre; hit; ttl=1800");
    assert_eq!(reply.info.stored_at, Some(THEN));
    let Answer::Send(ticket) = at(HOUR * 2) else { panic!("it is stale") };
    assert_eq!(ticket.request().headers["if-none-match"], "\"1\"");
    let ended = Response {
        expires: Some(THEN.minus(HOUR * 24 * 31)),
        ..answer(get("http://example.com/ended"), &[], b"x")
    };
    assert_eq!(world.import(Policy::rfc9111(), &ended), Imported::Ended);
    let never = answer(get("http://example.com/never"), &[], b"x");
    world.import(Policy::rfc9111(), &never);
    let later = THEN.plus(HOUR * 24 * 3650);
    assert!(matches!(
        world.ask(Policy::rfc9111(), ask("http://example.com/never"), b"", later),
        Answer::Hit(_)
    ));
}

#[test]
fn response_from_the_future_is_dated_now() {
    let world = World::new();
    let response = Response {
        created: Timestamp::from_seconds(4_000_000_000),
        expires: Some(Timestamp::from_seconds(4_000_000_060)),
        ..answer(get("http://example.com/"), &[], b"x")
    };
    world.import(Policy::rfc9111(), &response);
    let Answer::Hit(reply) = world.ask(Policy::rfc9111(), ask("http://example.com/"), b"", NOW.plus(HOUR))
    else {
        panic!("it has an hour")
    };
    assert_eq!(reply.info.stored_at, Some(NOW));
}

#[test]
fn each_redirect_is_stored_under_its_own_request() {
    let world = World::new();
    let hop = |url: &str, location: &str| Response {
        status: http::StatusCode::FOUND,
        ..answer(get(url), &[("Location", location)], b"")
    };
    let response = Response {
        history: vec![hop("http://example.com/a", "/b"), hop("http://example.com/b", "/c")],
        ..answer(get("http://example.com/c"), &[], b"at last")
    };
    assert_eq!(world.import(Policy::rfc9111(), &response), Imported::Stored);
    assert_eq!(world.hit(ask("http://example.com/a")).unwrap().0["location"], "/b");
    assert_eq!(world.hit(ask("http://example.com/b")).unwrap().0["location"], "/c");
    assert_eq!(world.hit(ask("http://example.com/c")).unwrap().1, b"at last");
}

#[test]
fn a_newer_response_is_never_replaced() {
    let world = World::new();
    let at = |seconds, body: &str| Response {
        created: THEN.plus(Duration::from_secs(seconds)),
        ..answer(get("http://example.com/"), &[], body.as_bytes())
    };
    assert_eq!(world.import(Policy::rfc9111(), &at(60, "newer")), Imported::Stored);
    assert_eq!(world.import(Policy::rfc9111(), &at(60, "newer")), Imported::Known);
    assert_eq!(world.import(Policy::rfc9111(), &at(0, "older")), Imported::Known);
    assert_eq!(world.hit(ask("http://example.com/")).unwrap().1, b"newer");
    assert_eq!(world.import(Policy::rfc9111(), &at(120, "newest")), Imported::Stored);
    assert_eq!(world.hit(ask("http://example.com/")).unwrap().1, b"newest");
}

#[test]
fn response_to_a_credential_is_not_shared() {
    let with = |value: &str| {
        let mut request = get("http://example.com/");
        request.headers.extend(pairs(&[("Authorization", value)]));
        request
    };
    let world = World::new();
    world.import(Policy::rfc9111(), &answer(with("REDACTED"), &[], b"private"));
    assert!(world.hit(ask("http://example.com/")).is_none());
    assert!(world.hit(ask("http://example.com/").header("authorization", "Bearer a")).is_none());
    let shared = || Policy::rfc9111().danger_share_across_credentials();
    world.import(shared(), &answer(with("REDACTED"), &[], b"shared"));
    let request = ask("http://example.com/").header("authorization", "Bearer a");
    assert!(matches!(world.ask(shared(), request, b"", NOW), Answer::Hit(_)));
}

#[test]
fn bodies_and_methods_tell_requests_apart() {
    let world = World::new();
    let post = |body: &'static str| Request {
        method: "POST".into(),
        body: body.into(),
        ..get("http://example.com/")
    };
    world.import(Policy::rfc9111(), &answer(post("a"), &[], b"answer to a"));
    let policy = || Policy::rfc9111().methods([http::Method::GET, http::Method::POST]);
    let asked = |body: &[u8]| {
        let request = http::Request::post("http://example.com/").header("accept", "*/*");
        world.ask(policy(), request, body, NOW)
    };
    assert!(matches!(asked(b"a"), Answer::Hit(_)));
    assert!(matches!(asked(b"b"), Answer::Send(_)));
    assert!(world.hit(ask("http://example.com/")).is_none());
}

#[test]
fn invalid_request_is_an_error_that_shows_nothing() {
    let world = World::new();
    let importer = Importer::new(world.builder(), Policy::rfc9111()).unwrap();
    for request in [
        get("no url hidden"),
        get("/hidden"),
        get("ftp://hidden/"),
        Request { method: "hidden x".into(), ..get("http://example.com/") },
        Request { headers: pairs(&[("a b", "hidden")]), ..get("http://example.com/") },
    ] {
        let error = lacre::wait(importer.import(&answer(request, &[], b""), NOW)).unwrap_err();
        assert_eq!(error.kind(), lacre::ErrorKind::Broken);
        assert!(!format!("{error:?}").contains("hidden"));
    }
}

#[test]
fn an_imported_answer_to_head_removes_no_answer_to_get() {
    let world = World::new();
    world.import(Policy::rfc9111(), &answer(get("http://example.com/"), &[("Content-Length", "4")], b"body"));
    let head = Request { method: "HEAD".into(), ..get("http://example.com/") };
    let mut other = answer(head, &[("Content-Length", "5")], b"");
    other.created = other.created.plus(Duration::from_secs(1));
    assert!(matches!(world.import(Policy::rfc9111(), &other), Imported::Declined(_)));
    assert_eq!(world.hit(ask("http://example.com/")).unwrap().1, b"body");
}

#[test]
fn every_response_of_every_sample_becomes_a_hit() {
    let Some(samples) = shared("samples") else { return };
    for file in ["sqlite_pickle.sqlite", "filesystem_json", "filesystem_yaml", "redis_pickle_dump.json"] {
        let mut responses: Vec<Response> = Source::open(samples.join(file))
            .unwrap()
            .iter()
            .map(|stored| Serializer::danger_unsigned().decode(&stored.value.unwrap()).unwrap())
            .collect();
        responses.sort_by_key(|response| response.created);
        let now = responses.last().unwrap().created.plus(Duration::from_secs(1));
        let world = World::new();
        let importer = Importer::new(world.builder(), Policy::rfc9111()).unwrap();
        for response in &responses {
            let imported = lacre::wait(importer.import(response, now)).unwrap();
            // Whoever asks with HEAD gets what is stored for GET.
            let head = response.request.method == "HEAD";
            assert!(matches!(imported, Imported::Declined(_)) == head, "{file}: {imported:?}");
        }
        for response in responses.iter().filter(|response| response.request.method != "HEAD") {
            let request = &response.request;
            let mut asked = http::Request::builder().method(&*request.method).uri(&*request.url);
            for (name, value) in request.headers.iter().filter(|(name, _)| name != "Cache-Control") {
                asked = asked.header(name, value);
            }
            let policy = Policy::rfc9111().methods([http::Method::GET, http::Method::POST]);
            let Answer::Hit(reply) = world.ask(policy, asked, &request.body, now) else {
                panic!("{file}: {} {} is no hit", request.method, request.url)
            };
            let is_same =
                |other: &&Response| other.request.url == request.url && other.request.body == request.body;
            let body = read(reply).1;
            assert!(
                responses.iter().filter(is_same).any(|other| other.body == body),
                "{file}: {}",
                request.url
            );
        }
    }
}
