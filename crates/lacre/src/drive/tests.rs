use super::*;
use crate::store::Memory;
use crate::wait::Pause;
use crate::{CacheInfo, ManualClock, RequestBody, wait};
use bytes::Bytes;
use http::{Request, request};
use lacre_core::Timestamp;
use std::convert::Infallible;
use std::sync::Mutex;
use std::thread;

/// An origin that counts its requests.
#[derive(Clone, Default)]
struct Origin(Arc<AtomicUsize>);

impl Network for Origin {
    type Body = String;
    type Error = Infallible;

    fn body(&self) -> Option<Bytes> {
        Some(Bytes::new())
    }

    async fn send(&mut self, _: &request::Parts) -> Result<Response<String>, Infallible> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let response = Response::builder().header("cache-control", "max-age=10, stale-while-revalidate=60");
        Ok(response.body(String::new()).unwrap())
    }

    fn can_repeat(&self) -> bool {
        true
    }
}

impl Background for Origin {
    fn can_detach(&self) -> bool {
        true
    }

    fn detach(
        self,
        _: Option<Duration>,
    ) -> Result<impl Network<Body = String, Error = Infallible> + 'static, Self> {
        Ok(self)
    }
}

struct World {
    driver: Driver,
    clock: Arc<ManualClock>,
    origin: Origin,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_000_000)));
        let builder = Cache::builder().store(Memory::new().unwrap()).danger_ephemeral_key();
        let cache = builder.clock(Arc::clone(&clock)).build().unwrap();
        Self { driver: Driver::new(cache), clock, origin: Origin::default() }
    }

    fn ask(&self) -> Answer {
        let (head, ()) = Request::get("http://a.test/").body(()).unwrap().into_parts();
        wait(self.driver.cache().ask(head, RequestBody::Seen(b""))).unwrap()
    }

    /// Carries out an answer, waits for background work, and returns the status.
    fn carry_out(&self, answer: Answer) -> String {
        let answered = wait(self.driver.carry_out(answer, self.origin.clone(), Some(&Threads))).unwrap();
        while self.driver.refreshing.load(Ordering::SeqCst) > 0 {
            thread::yield_now();
        }
        answered.extensions().get::<CacheInfo>().unwrap().status.to_string()
    }

    fn sent(&self) -> usize {
        self.origin.0.load(Ordering::SeqCst)
    }
}

#[test]
fn a_miss_is_not_sent_if_a_response_was_stored_meanwhile() {
    let world = World::new();
    let (first, second) = (world.ask(), world.ask());
    world.carry_out(first);
    assert_eq!(world.carry_out(second), "lacre; fwd=uri-miss; ttl=10; collapsed");
    assert_eq!(world.sent(), 1);
}

#[test]
fn a_response_that_was_refreshed_meanwhile_is_not_refreshed_again() {
    let world = World::new();
    world.carry_out(world.ask());
    world.clock.advance(Duration::from_secs(20));
    let (first, second) = (world.ask(), world.ask());
    for answer in [first, second] {
        assert_eq!(world.carry_out(answer), "lacre; hit; ttl=-10; detail=stale-while-revalidate");
    }
    assert_eq!(world.sent(), 2);
}

#[test]
fn a_response_that_is_stale_again_is_refreshed_again() {
    let world = World::new();
    world.carry_out(world.ask());
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(20));
        world.carry_out(world.ask());
    }
    assert_eq!(world.sent(), 4);
}

/// An origin of a page with `stale-if-error`.
#[derive(Clone)]
struct Moody(Arc<(AtomicUsize, Mutex<Mood>)>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Well,
    Gone,
    Failing,
    Silent,
}

impl Network for Moody {
    type Body = String;
    type Error = &'static str;

    fn body(&self) -> Option<Bytes> {
        Some(Bytes::new())
    }

    async fn send(&mut self, _: &request::Parts) -> Result<Response<String>, &'static str> {
        self.0.0.fetch_add(1, Ordering::SeqCst);
        while *self.0.1.lock().unwrap() == Mood::Silent {
            Pause::new(Duration::from_millis(1)).await;
        }
        let mood = *self.0.1.lock().unwrap();
        let response = match mood {
            Mood::Gone => return Err("gone"),
            Mood::Failing => Response::builder().status(503),
            Mood::Well | Mood::Silent => {
                Response::builder().header("cache-control", "max-age=10, stale-if-error=600")
            }
        };
        Ok(response.body(String::new()).unwrap())
    }

    fn can_repeat(&self) -> bool {
        true
    }
}

impl Background for Moody {
    fn can_detach(&self) -> bool {
        true
    }

    fn detach(
        self,
        _: Option<Duration>,
    ) -> Result<impl Network<Body = String, Error = &'static str> + 'static, Self> {
        Ok(self)
    }
}

/// A stale page of an origin that can fail.
struct Stale {
    driver: Driver,
    origin: Moody,
    clock: Arc<ManualClock>,
}

const STOOD_IN: &str = "lacre; hit; ttl=-10; detail=stale-if-error";

impl Stale {
    fn new(set: impl Fn(Driver) -> Driver) -> Self {
        let World { driver, clock, .. } = World::new();
        let origin = Moody(Arc::new((AtomicUsize::new(0), Mutex::new(Mood::Well))));
        let world = Self { driver: set(driver), origin, clock };
        world.carry_out(world.ask());
        world.clock.advance(Duration::from_secs(20));
        world
    }

    fn feels(&self, mood: Mood) {
        *self.origin.0.1.lock().unwrap() = mood;
    }

    fn ask(&self) -> Answer {
        let (head, ()) = Request::get("http://a.test/").body(()).unwrap().into_parts();
        wait(self.driver.cache().ask(head, RequestBody::Seen(b""))).unwrap()
    }

    fn carry_out(&self, answer: Answer) -> String {
        let answered = wait(self.driver.carry_out(answer, self.origin.clone(), Some(&Threads))).unwrap();
        let status = answered.extensions().get::<CacheInfo>().unwrap().status.to_string();
        if let Content::Storing(recorded) = answered.into_body() {
            wait(recorded.read_to_store());
        }
        status
    }

    /// The number of requests to the origin since the page was stored.
    fn asked(&self) -> usize {
        self.origin.0.0.load(Ordering::SeqCst) - 1
    }

    fn until(&self, done: impl Fn(&Self) -> bool) {
        let begun = std::time::Instant::now();
        while !done(self) {
            assert!(begun.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
    }
}

#[test]
fn a_failure_is_not_repeated_by_earlier_requests() {
    for mood in [Mood::Gone, Mood::Failing] {
        let world = Stale::new(|driver| driver);
        world.feels(mood);
        let waiting: Vec<_> = (0..5).map(|_| world.ask()).collect();
        for (number, answer) in waiting.into_iter().enumerate() {
            let status = world.carry_out(answer);
            assert!(status.ends_with("detail=stale-if-error"), "{number}: {status}");
        }
        assert_eq!(world.asked(), 1);
        thread::sleep(Duration::from_millis(1));
        world.feels(Mood::Well);
        assert!(world.carry_out(world.ask()).contains("fwd=stale"), "the next one asks");
        assert_eq!(world.asked(), 2);
    }
}

#[test]
fn a_failing_origin_is_asked_again_by_one_request_in_the_background_after_its_pause() {
    let world = Stale::new(|driver| driver.failure_pause(Duration::from_secs(3600)));
    world.feels(Mood::Failing);
    for _ in 0..5 {
        assert!(world.carry_out(world.ask()).ends_with("detail=stale-if-error"));
    }
    assert_eq!(world.asked(), 1);
    let world = Stale::new(|driver| driver.failure_pause(Duration::from_millis(5)));
    world.feels(Mood::Failing);
    world.carry_out(world.ask());
    thread::sleep(Duration::from_millis(6));
    world.feels(Mood::Silent);
    for _ in 0..5 {
        assert_eq!(world.carry_out(world.ask()), STOOD_IN);
    }
    world.until(|world| world.asked() == 2);
    world.feels(Mood::Well);
    world.until(|world| matches!(world.ask(), Answer::Hit(_)));
    assert_eq!(world.asked(), 2, "one asked for all");
}

#[test]
fn a_response_that_must_not_be_stale_is_requested_despite_an_earlier_failure() {
    let world = Stale::new(|driver| driver.failure_pause(Duration::from_secs(3600)));
    world.feels(Mood::Failing);
    world.carry_out(world.ask());
    let request = Request::get("http://a.test/").header("cache-control", "no-cache");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let answer = wait(world.driver.cache().ask(head, RequestBody::Seen(b""))).unwrap();
    assert!(world.carry_out(answer).contains("fwd-status=503"));
    assert_eq!(world.asked(), 2);
}

#[test]
fn a_stale_response_stands_in_for_a_slow_origin_whose_response_is_stored() {
    let world = Stale::new(|driver| driver.stand_in_after(Duration::from_millis(5)));
    world.feels(Mood::Silent);
    for _ in 0..3 {
        assert_eq!(world.carry_out(world.ask()), STOOD_IN);
    }
    assert_eq!(world.asked(), 1, "it is still being asked");
    world.feels(Mood::Well);
    world.until(|world| matches!(world.ask(), Answer::Hit(_)));
    assert_eq!(world.asked(), 1);
}
