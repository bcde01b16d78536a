use super::*;
use crate::store::Memory;
use crate::{ManualClock, wait};
use http::{Request, request};
use lacre_core::Timestamp;
use std::convert::Infallible;
use std::thread;

/// An origin that counts.
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

    /// What was done, with nothing left to do in the background.
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
fn a_miss_that_was_looked_up_before_another_was_stored_is_not_sent() {
    let world = World::new();
    let (first, second) = (world.ask(), world.ask());
    world.carry_out(first);
    assert_eq!(world.carry_out(second), "lacre; fwd=uri-miss; ttl=10; collapsed");
    assert_eq!(world.sent(), 1);
}

#[test]
fn what_was_seen_stale_before_it_was_refreshed_is_not_refreshed_again() {
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
fn what_is_stale_again_is_refreshed_again() {
    let world = World::new();
    world.carry_out(world.ask());
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(20));
        world.carry_out(world.ask());
    }
    assert_eq!(world.sent(), 4);
}
