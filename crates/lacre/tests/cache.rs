//! The cache over a store: what goes in comes out, sealed to its place, and nothing else does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use lacre::store::{Memory, OwnedRecord, Sqlite, Store, StoreExt, Usage};
use lacre::{
    Answer, Cache, Error, ErrorKind, Event, Key, ManualClock, Observer, OnTamper, Outcome, Policy, Reply,
    RequestBody, Settlement, Suite, Timestamp, stage, wait,
};
use lacre_seal::BodyId;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// Remembers what it was told, by name.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<&'static str>>);

impl Observer for Notes {
    fn on_event(&self, event: Event<'_>) {
        let name = match event {
            Event::Hit { .. } => "hit",
            Event::Miss { .. } => "miss",
            Event::Stored { .. } => "stored",
            Event::Refused { .. } => "refused",
            Event::StoreFailed { .. } => "store failed",
            _ => "other",
        };
        self.0.lock().unwrap().push(name);
    }
}

struct World {
    cache: Cache,
    /// Which tests reach into while the cache uses it.
    store: Arc<Memory>,
    clock: Arc<ManualClock>,
    notes: Arc<Notes>,
}

impl World {
    fn new(adjust: impl FnOnce(lacre::Builder) -> lacre::Builder) -> Self {
        let store = Arc::new(Memory::new().unwrap());
        let (clock, notes) = (Arc::new(ManualClock::new(START)), Arc::new(Notes::default()));
        let builder = Cache::builder()
            .store(store.clone())
            .keyring(lacre::Keyring::parse(KEY).unwrap())
            .clock(clock.clone())
            .observer(notes.clone());
        Self { cache: adjust(builder).build().unwrap(), store, clock, notes }
    }

    /// One request, all the way, to an origin that answers with `body`.
    fn fetch(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Reply, Error> {
        wait(async {
            let request = Request::get(format!("http://example.com{path}")).body(()).unwrap();
            let mut ticket = match self.cache.ask(request.into_parts().0, RequestBody::Seen(b"")).await? {
                Answer::Hit(reply) | Answer::Refuse(reply) | Answer::Refresh(reply, _) => return Ok(reply),
                Answer::Send(ticket) => ticket,
            };
            let response =
                headers.iter().fold(Response::builder(), |b, (name, value)| b.header(*name, *value));
            let (parts, ()) = response.body(()).unwrap().into_parts();
            loop {
                ticket = match self.cache.settle(ticket, Outcome::Response(&parts)).await? {
                    Settlement::Network { keep, info, .. } => {
                        if let Some(mut recording) = keep {
                            for piece in body.chunks(100_000) {
                                recording.write(piece).await;
                            }
                            recording.finish().await;
                        }
                        let response = Response::from_parts(parts, Bytes::copy_from_slice(body).into());
                        return Ok(Reply { response, info });
                    }
                    Settlement::Stored(reply) => return Ok(reply),
                    Settlement::Resend(ticket) => ticket,
                    Settlement::Failed(_) => panic!("the origin answered"),
                };
            }
        })
    }

    fn store(&self, path: &str, body: &[u8]) -> Reply {
        self.fetch(path, &[("cache-control", "max-age=60"), ("etag", "\"1\"")], body).unwrap()
    }

    fn rows(&self) -> Vec<(Key, OwnedRecord)> {
        let mut rows = Vec::new();
        wait(self.store.each(&mut |row| rows.push((row.key, row.record.unwrap().to_owned())))).unwrap();
        rows
    }

    fn put(&self, key: &Key, record: &OwnedRecord) {
        wait(self.store.put(key, record.lend())).unwrap();
    }

    fn told(&self, name: &str) -> bool {
        self.notes.0.lock().unwrap().contains(&name)
    }
}

fn is_hit(reply: &Reply) -> bool {
    reply.info.status.is_hit()
}

fn body_of(reply: Reply) -> Bytes {
    wait(reply.response.into_body().bytes()).unwrap()
}

#[test]
fn stored_body_of_any_size_is_the_body_from_the_network() {
    for suite in Suite::ALL {
        for length in [0, 1, 1000, 256 << 10, (256 << 10) + 1, 1_000_003] {
            let world = World::new(|builder| builder.suite(suite).stage(stage::Zstd));
            let body: Vec<u8> = (0..length).map(|index: usize| (index / 7 + index / 1000) as u8).collect();
            assert!(!is_hit(&world.store("/", &body)));
            let again = world.store("/", b"another");
            assert!(is_hit(&again), "{suite:?} {length}");
            assert_eq!(body_of(again)[..], body[..], "{suite:?} {length}");
        }
    }
}

#[test]
fn revalidated_response_keeps_its_body_and_is_fresh_again() {
    for length in [10, 600_000] {
        let world = World::new(|builder| builder);
        let body = vec![7; length];
        world.store("/", &body);
        world.clock.advance(Duration::from_secs(61));
        let request = Request::get("http://example.com/").body(()).unwrap().into_parts().0;
        let Answer::Send(ticket) = wait(world.cache.ask(request, RequestBody::Seen(b""))).unwrap() else {
            panic!()
        };
        assert_eq!(ticket.request().headers["if-none-match"], "\"1\"");
        let (parts, ()) =
            Response::builder().status(304).header("etag", "\"1\"").body(()).unwrap().into_parts();
        let Settlement::Stored(reply) = wait(world.cache.settle(ticket, Outcome::Response(&parts))).unwrap()
        else {
            panic!()
        };
        assert_eq!(body_of(reply)[..], body[..]);
        world.clock.advance(Duration::from_secs(59));
        assert_eq!(body_of(world.store("/", b""))[..], body[..]);
    }
}

#[test]
fn requests_and_responses_are_unreadable_in_the_store() {
    let world = World::new(|builder| builder);
    world
        .fetch(
            "/secret-path?q=1",
            &[("cache-control", "max-age=60"), ("x-header", "secret-header")],
            b"secret-body",
        )
        .unwrap();
    for (_, record) in world.rows() {
        for word in ["secret", "example", "max-age"] {
            assert!(!record.sealed.windows(word.len()).any(|window| window == word.as_bytes()), "{word}");
        }
    }
}

#[test]
fn any_changed_byte_is_refused_and_refetched() {
    let world = World::new(|builder| builder);
    world.store("/", b"body");
    let (key, good) = world.rows().remove(0);
    for index in 0..good.sealed.len() {
        let mut bad = good.clone();
        let mut sealed = bad.sealed.to_vec();
        sealed[index] ^= 1;
        bad.sealed = sealed.into();
        world.put(&key, &bad);
        let reply = world.store("/", b"fresh");
        assert!(!is_hit(&reply), "byte {index}");
        assert_eq!(body_of(reply), "fresh");
        assert!(world.told("refused"));
        assert_eq!(body_of(world.store("/", b"")), "fresh", "healed after byte {index}");
    }
}

#[test]
fn swapped_records_are_refused() {
    let world = World::new(|builder| builder);
    world.store("/a", b"of a");
    world.store("/b", b"of b");
    let rows = world.rows();
    world.put(&rows[0].0, &rows[1].1);
    world.put(&rows[1].0, &rows[0].1);
    assert!(!is_hit(&world.store("/a", b"new")));
    assert!(!is_hit(&world.store("/b", b"new")));
}

#[test]
fn missing_changed_or_foreign_chunk_is_refused() {
    let big = |fill: u8| vec![fill; 700_000];
    for harm in 0..3 {
        let world = World::new(|builder| builder);
        world.store("/a", &big(1));
        world.store("/b", &big(2));
        let bodies: Vec<_> = world.rows().iter().map(|(_, record)| record.body.unwrap()).collect();
        let chunk = |index: usize, n: u32| wait(world.store.fetch_chunk(bodies[index], n)).unwrap().unwrap();
        let harmed = match harm {
            0 => chunk(1, 0),
            1 => chunk(0, 1),
            _ => {
                let mut sealed = chunk(0, 0).to_vec();
                *sealed.last_mut().unwrap() ^= 1;
                sealed.into()
            }
        };
        wait(world.store.stage(bodies[0], 0, &harmed, START)).unwrap();
        let hits = ["/a", "/b"]
            .map(|path| is_hit(&world.fetch(path, &[("cache-control", "no-store")], b"new").unwrap()));
        assert_eq!(hits.iter().filter(|hit| **hit).count(), 1, "harm {harm}");
    }
}

/// 700,000 bytes that differ from chunk to chunk, stored at `/`, and the id they are stored under.
fn store_chunked(world: &World) -> (Vec<u8>, BodyId) {
    let body: Vec<u8> = (0..700_000).map(|index: usize| (index / 1000) as u8).collect();
    world.store("/", &body);
    (body, world.rows()[0].1.body.unwrap())
}

fn flip_chunk(world: &World, body: BodyId, index: u32) {
    let mut sealed = wait(world.store.fetch_chunk(body, index)).unwrap().unwrap().to_vec();
    *sealed.last_mut().unwrap() ^= 1;
    wait(world.store.stage(body, index, &sealed, START)).unwrap();
}

/// Everything until the end or an error.
fn read_on(body: &mut lacre::Body) -> (Vec<u8>, Option<Error>) {
    let mut read = Vec::new();
    while let Some(piece) = wait(body.next()) {
        match piece {
            Ok(piece) => {
                assert!(piece.len() <= 256 << 10);
                read.extend_from_slice(&piece);
            }
            Err(error) => {
                assert!(wait(body.next()).is_none(), "nothing comes after an error");
                return (read, Some(error));
            }
        }
    }
    (read, None)
}

#[test]
fn bad_chunk_aborts_the_body_and_the_next_request_refetches_it() {
    for on_tamper in [OnTamper::Refetch, OnTamper::Raise] {
        let world = World::new(|builder| builder.on_tamper(on_tamper).read_whole(0));
        let (whole, id) = store_chunked(&world);
        flip_chunk(&world, id, 1);
        let mut body = world.store("/", b"").response.into_body();
        assert_eq!(body.left(), Some(700_000));
        let (read, error) = read_on(&mut body);
        assert_eq!((&read[..], error.unwrap().kind()), (&whole[..256 << 10], ErrorKind::Tampered));
        assert_eq!(body.left(), Some(700_000 - (256 << 10)), "its length does not hide that it is short");
        assert!(world.told("refused"));
        let heals = on_tamper == OnTamper::Refetch;
        assert_eq!(is_hit(&world.store("/", b"new")), !heals);
        assert_eq!(wait(world.store.fetch_chunk(id, 2)).unwrap().is_none(), heals, "the rest goes, too");
    }
}

#[test]
fn missing_chunk_of_a_current_entry_aborts_the_body() {
    let world = World::new(|builder| builder.read_whole(0));
    let (_, id) = store_chunked(&world);
    let mut body = world.store("/", b"").response.into_body();
    wait(world.store.unstage(id, 3)).unwrap();
    let (read, error) = read_on(&mut body);
    assert_eq!((read.len(), error.unwrap().kind()), (256 << 10, ErrorKind::Broken));
    assert!(!is_hit(&world.store("/", b"new")));
}

#[test]
fn body_replaced_or_removed_during_a_read_aborts_without_an_alarm() {
    let replace = |world: &World| {
        world.clock.advance(Duration::from_secs(100));
        world.store("/", b"new");
    };
    let remove = |world: &World| assert!(wait(world.cache.remove(&world.rows()[0].0)).unwrap());
    for change in [replace as fn(&World), remove] {
        let world = World::new(|builder| builder.read_whole(0));
        store_chunked(&world);
        let mut body = world.store("/", b"").response.into_body();
        change(&world);
        let (read, error) = read_on(&mut body);
        assert_eq!((read.len(), error.unwrap().kind()), (256 << 10, ErrorKind::Gone));
        assert!(!world.told("refused"));
    }
}

#[test]
fn body_read_whole_is_verified_before_it_is_served() {
    let plain = |builder| builder;
    let compressed = |builder: lacre::Builder| builder.stage(stage::Zstd);
    for adjust in [plain as fn(lacre::Builder) -> lacre::Builder, compressed] {
        let world = World::new(adjust);
        let (whole, id) = store_chunked(&world);
        let reply = world.store("/", b"");
        assert_eq!(reply.response.body().in_memory().unwrap(), &whole);
        flip_chunk(&world, id, 2);
        assert!(!is_hit(&world.store("/", b"new")), "it is fetched again");
        assert!(world.told("refused"));

        let world = World::new(adjust);
        let (_, id) = store_chunked(&world);
        let first = wait(world.store.fetch_chunk(id, 0)).unwrap().unwrap();
        wait(world.store.unstage(id, 3)).unwrap();
        wait(world.store.stage(id, 0, &first, START)).unwrap();
        assert!(!is_hit(&world.store("/", b"new")), "lost chunks are found out, too");

        let world = World::new(|builder| adjust(builder).on_tamper(OnTamper::Raise));
        let (_, id) = store_chunked(&world);
        flip_chunk(&world, id, 2);
        assert_eq!(world.fetch("/", &[], b"").unwrap_err().kind(), ErrorKind::Tampered);
    }
}

#[test]
fn body_over_the_limit_is_read_in_pieces() {
    for (most, in_memory) in [(700_000, true), (699_999, false)] {
        let world = World::new(|builder| builder.read_whole(most));
        let (whole, _) = store_chunked(&world);
        let mut body = world.store("/", b"").response.into_body();
        assert_eq!(body.in_memory().is_some(), in_memory);
        let mut longest = 0;
        let mut read = Vec::new();
        while let Some(piece) = wait(body.next()) {
            let piece = piece.unwrap();
            longest = longest.max(piece.len());
            read.extend_from_slice(&piece);
        }
        assert_eq!((read, longest), (whole, if in_memory { 700_000 } else { 256 << 10 }));
    }
}

#[test]
fn range_of_a_large_body_reads_only_its_chunks() {
    let world = World::new(|builder| builder);
    let (whole, id) = store_chunked(&world);
    flip_chunk(&world, id, 0);
    let ask = |range: &str| {
        let request = Request::get("http://example.com/").header("range", range).body(()).unwrap();
        match wait(world.cache.ask(request.into_parts().0, RequestBody::Seen(b""))).unwrap() {
            Answer::Hit(reply) => reply,
            other => panic!("{other:?}"),
        }
    };
    for (range, bytes) in [
        ("bytes=262144-262144", 262_144..262_145),
        ("bytes=300000-600000", 300_000..600_001),
        ("bytes=-1", 699_999..700_000),
    ] {
        let reply = ask(range);
        assert_eq!(reply.response.status(), StatusCode::PARTIAL_CONTENT);
        assert_eq!(reply.response.body().left(), Some(bytes.len() as u64));
        assert_eq!(body_of(reply)[..], whole[bytes], "{range}");
    }
    assert!(!world.told("refused"));
    let head = Request::head("http://example.com/").body(()).unwrap().into_parts().0;
    let Answer::Hit(reply) = wait(world.cache.ask(head, RequestBody::Seen(b""))).unwrap() else { panic!() };
    assert_eq!(reply.response.body().left(), Some(0), "HEAD reads no chunk");
}

#[test]
fn another_key_store_or_namespace_opens_nothing() {
    let world = World::new(|builder| builder);
    world.store("/", b"body");
    let row = world.rows().remove(0);
    let foreign = [
        World::new(|builder| builder.keyring(lacre::Keyring::generate().unwrap())),
        World::new(|builder| builder),
        World::new(|builder| builder.namespace("other")),
    ];
    for other in &foreign {
        other.store("/", b"own");
        let own = other.rows().remove(0);
        other.put(&own.0, &row.1);
        assert!(!is_hit(&other.fetch("/", &[("cache-control", "no-store")], b"").unwrap()));
    }
}

#[test]
fn p41_user_chooses_how_tampering_is_handled() {
    for on_tamper in [OnTamper::Refetch, OnTamper::Raise, OnTamper::FailClosed] {
        let world = World::new(|builder| builder.on_tamper(on_tamper));
        world.store("/", b"body");
        let (key, mut record) = world.rows().remove(0);
        for index in [0, 60, record.sealed.len() - 1] {
            let mut sealed = record.sealed.to_vec();
            sealed[index] ^= 1;
            record.sealed = sealed.into();
            world.put(&key, &record);
            let got = world.fetch("/", &[("cache-control", "no-store")], b"new");
            match on_tamper {
                OnTamper::Refetch => assert_eq!(body_of(got.unwrap()), "new"),
                OnTamper::FailClosed => {
                    assert_eq!(got.unwrap().response.status(), StatusCode::GATEWAY_TIMEOUT);
                }
                OnTamper::Raise => {
                    assert!([ErrorKind::Tampered, ErrorKind::Broken].contains(&got.unwrap_err().kind()));
                }
            }
        }
    }
}

#[test]
fn lapsed_seal_is_a_miss_without_an_alarm() {
    let day = Duration::from_secs(86_400);
    let world = World::new(|builder| builder.policy(Policy::rfc9111().retention(day)));
    world.store("/", b"old");
    world.clock.advance(day * 2);
    assert!(!is_hit(&world.store("/", b"new")));
    assert!(!world.told("refused"));
}

#[test]
fn aborted_or_too_long_body_is_not_stored() {
    let world = World::new(|builder| builder.policy(Policy::rfc9111().max_body(100)));
    let short = &[("cache-control", "max-age=60"), ("content-length", "10")];
    world.fetch("/", short, b"only 9 by").unwrap();
    world.store("/long", &[0; 101]);
    assert!(world.rows().is_empty());
    world.store("/just", &[0; 100]);
    assert_eq!(world.rows().len(), 1);
}

#[test]
fn body_that_is_not_stored_leaves_nothing_behind() {
    let big = [0; 900_000];
    for length in ["900001", "899999"] {
        let world = World::new(|builder| builder);
        let headers = [("cache-control", "max-age=60"), ("vary", "accept"), ("content-length", length)];
        world.fetch("/", &headers, &big).unwrap();
        assert_eq!(wait(world.store.usage()).unwrap(), Usage::default(), "declared as {length}");
    }
    let world = World::new(|builder| builder.policy(Policy::rfc9111().max_body(800_000)));
    world.fetch("/", &[("cache-control", "max-age=60"), ("vary", "accept")], &big).unwrap();
    assert_eq!(wait(world.store.usage()).unwrap(), Usage::default());
}

#[test]
fn repeatedly_replaced_body_takes_its_space_once() {
    let world = World::new(|builder| builder);
    world.store("/", &[0; 900_000]);
    let once = wait(world.store.usage()).unwrap();
    for _ in 0..5 {
        world.clock.advance(Duration::from_secs(100));
        world.store("/", &[0; 900_000]);
    }
    assert_eq!(wait(world.store.usage()).unwrap(), once);
}

#[test]
fn entry_replaced_during_a_read_raises_no_alarm() {
    let root = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(root.path().join("cache.sqlite")).unwrap());
    let cache = || {
        let builder = Cache::builder().keyring(lacre::Keyring::parse(KEY).unwrap()).store(store.clone());
        builder.on_tamper(OnTamper::Raise).build().unwrap()
    };
    let ask = |cache: &Cache, refresh: bool| {
        let mut request = Request::get("http://example.com/").body(()).unwrap().into_parts().0;
        if refresh {
            request.headers.insert("cache-control", "no-cache".parse().unwrap());
        }
        wait(cache.ask(request, RequestBody::Seen(b"")))
    };
    let write = |cache: &Cache, fill: u8| {
        let Answer::Send(ticket) = ask(cache, true).unwrap() else {
            panic!("not to be answered from the store")
        };
        let (parts, ()) =
            Response::builder().header("cache-control", "max-age=60").body(()).unwrap().into_parts();
        wait(async {
            let Settlement::Network { keep: Some(mut recording), .. } =
                cache.settle(ticket, Outcome::Response(&parts)).await.unwrap()
            else {
                panic!("it may be stored")
            };
            recording.write(&vec![fill; 1_500_000]).await;
            recording.finish().await;
        });
    };
    write(&cache(), 0);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| (1..30).for_each(|fill| write(&cache(), fill)));
        let reader = cache();
        while !writer.is_finished() {
            let Answer::Hit(reply) = ask(&reader, false).unwrap() else { panic!("always stored") };
            match wait(reply.response.into_body().bytes()) {
                Ok(body) => assert!(body.iter().all(|byte| *byte == body[0]), "two bodies were mixed"),
                Err(error) => assert_eq!(error.kind(), ErrorKind::Gone, "{error}"),
            }
        }
    });
}

#[test]
fn p42_one_bad_row_stops_no_listing_and_verify_names_it() {
    let world = World::new(|builder| builder);
    for path in ["/a", "/b", "/c"] {
        world.store(path, &[1; 300_000]);
    }
    let (key, mut record) = world.rows().remove(1);
    record.sealed = Bytes::from_static(b"garbage");
    world.put(&key, &record);
    let mut bad = Vec::new();
    let mut good = 0;
    wait(world.cache.verify(&mut |row| match row.slot {
        Ok(_) => good += 1,
        Err(error) => bad.push((row.key, error.kind())),
    }))
    .unwrap();
    assert_eq!((good, bad), (2, vec![(key, ErrorKind::Broken)]));
}
