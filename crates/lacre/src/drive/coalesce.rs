//! Coalescing: of identical requests at the same time, one is sent. Its leader sends it; the
//! waiters read the leader's response while it arrives, or wait until it is done and ask the cache
//! again.
//!
//! This is no caching rule, and it knows no runtime: a driver joins before it sends, and awaits if
//! it becomes a waiter.

use crate::body::in_flight::{InFlight, WeakInFlight};
use crate::clock::MonotonicTime;
use crate::storage::lease::HeldLease;
use crate::{CacheInfo, Reply, Ticket};
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::Shared;
use http::{Method, header};
use lacre_core::{Collapsed, Forward, Key};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// The leaders of requests in flight, by the key that their responses are stored under. Cheap to
/// clone; clones share the leaders.
#[derive(Clone, Default)]
pub(crate) struct Coalescer(Arc<Mutex<Leaders>>);

#[derive(Default)]
struct Leaders {
    leaders: HashMap<Key, Shared<oneshot::Receiver<Update>>>,
    /// The leaders that ended last, and when.
    ended: VecDeque<(Key, MonotonicTime)>,
}

/// How many ended leaders are remembered: enough for those that end during one lookup. If more end,
/// a request may be sent needlessly.
const MAX_ENDED: usize = 64;

/// A request's role among the requests for the same key.
#[derive(Debug)]
pub(crate) enum Role {
    /// The first request, which the others wait for.
    Leader(Leader),
    /// A request that waits for the leader.
    Waiter(Waiter),
    /// A request whose response others cannot share, or that must not wait.
    Alone,
}

/// The first request for a key. If it is dropped without [`done`](Self::done), a waiter takes its
/// place.
pub(crate) struct Leader {
    coalescer: Coalescer,
    key: Key,
    late: bool,
    updates: Mutex<Option<oneshot::Sender<Update>>>,
    /// Released when the leader ends.
    lease: Option<Arc<HeldLease>>,
}

/// A waiting request. Resolves when the leader has news for its waiters.
pub(crate) struct Waiter(Shared<oneshot::Receiver<Update>>);

/// The first news of a leader to its waiters.
#[derive(Clone)]
enum Update {
    InFlight(WeakInFlight),
    Done,
}

/// The outcome of a leader, as a waiter sees it.
#[derive(Debug)]
pub(crate) enum LeaderOutcome {
    /// Its response is in flight, and may answer other requests.
    InFlight(InFlight),
    /// It was answered, and a storable response is stored: ask again, and send if that is no hit.
    Done,
    /// It was dropped, for instance because its caller went away: ask again, and join again.
    Abandoned,
}

impl Coalescer {
    /// Joins the requests for the same key.
    pub(crate) fn join(&self, ticket: &Ticket) -> Role {
        let Some(key) = ticket.shared_key() else { return Role::Alone };
        let mut state = self.state();
        match state.leaders.get(&key) {
            Some(leader) => Role::Waiter(Waiter(leader.clone())),
            None => Role::Leader(self.first(&mut state, key, ticket.since())),
        }
    }

    /// Makes a request the leader that must not wait, such as a background refresh. `None`: another
    /// one leads.
    pub(crate) fn try_lead(&self, ticket: &Ticket) -> Option<Leader> {
        let key = *ticket.key()?;
        let mut state = self.state();
        (!state.leaders.contains_key(&key)).then(|| self.first(&mut state, key, ticket.since()))
    }

    fn first(&self, state: &mut Leaders, key: Key, since: MonotonicTime) -> Leader {
        let (sender, receiver) = oneshot::channel();
        state.leaders.insert(key, receiver.shared());
        let late = state.ended.iter().any(|&(other, end)| other == key && end >= since);
        Leader { coalescer: self.clone(), key, late, updates: Mutex::new(Some(sender)), lease: None }
    }

    fn state(&self) -> MutexGuard<'_, Leaders> {
        // No foreign code runs under the lock, so a panic cannot leave the state half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Leader {
    /// The key of the response.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Whether another leader ended after the cache was asked for this request. A response may be
    /// stored by now, so ask again.
    pub(crate) fn is_late(&self) -> bool {
        self.late
    }

    /// Attaches the lease under which the request is sent for all processes.
    pub(crate) fn hold_lease(&mut self, lease: Arc<HeldLease>) {
        self.lease = Some(lease);
    }

    /// Shows the response to the waiters, and to those who join later, while it arrives.
    pub(crate) fn show(&self, response: WeakInFlight) {
        self.update(Update::InFlight(response));
    }

    /// Wakes the waiters: the request was answered, or failed for good.
    pub(crate) fn done(self) {
        self.update(Update::Done);
    }

    /// Sends the first update to the waiters; later ones are dropped.
    fn update(&self, update: Update) {
        let mut sender = self.updates.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.take() {
            // There may be no waiters.
            let _ = sender.send(update);
        }
    }
}

/// Wakes the waiters of a leader, if there is one.
pub(crate) fn done(leader: Option<Leader>) {
    if let Some(leader) = leader {
        leader.done();
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // Before the waiters wake, so that one of them can become the leader.
        let mut state = self.coalescer.state();
        state.leaders.remove(&self.key);
        state.ended.truncate(MAX_ENDED - 1);
        state.ended.push_front((self.key, MonotonicTime::now()));
    }
}

impl Future for Waiter {
    type Output = LeaderOutcome;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<LeaderOutcome> {
        Poll::Ready(match ready!(self.0.poll_unpin(context)) {
            Ok(Update::InFlight(response)) => {
                response.upgrade().map_or(LeaderOutcome::Abandoned, LeaderOutcome::InFlight)
            }
            Ok(Update::Done) => LeaderOutcome::Done,
            Err(oneshot::Canceled) => LeaderOutcome::Abandoned,
        })
    }
}

impl Ticket {
    /// The key whose response this request may share with requests in flight. `None`: it asks for
    /// another response than the stored one (`no-cache`), or its method or range makes its response
    /// useless to others.
    #[must_use]
    pub fn shared_key(&self) -> Option<Key> {
        let request = self.request();
        let wants_what_is_stored =
            matches!(self.info().status.forward, Some(Forward::UriMiss | Forward::VaryMiss | Forward::Stale));
        let whole = request.method == Method::GET && !request.headers.contains_key(header::RANGE);
        self.key().copied().filter(|_| wants_what_is_stored && whole)
    }
}

impl Reply {
    /// Marks the reply as collapsed (RFC 9211 §2.5): without another request, this one would have
    /// been sent, as `would_be` says.
    #[must_use]
    pub fn collapsed(mut self, would_be: CacheInfo) -> Self {
        self.info.status.forward = would_be.status.forward;
        self.info.status.collapsed = Collapsed::Yes;
        self.response.extensions_mut().insert(self.info);
        self
    }
}

impl fmt::Debug for Coalescer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coalescer").field("leaders", &self.state().leaders.len()).finish()
    }
}

impl fmt::Debug for Leader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leader").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Waiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiter").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;
    use crate::{Answer, Cache, RequestBody, wait};
    use http::Request;

    struct Asker(Cache);

    impl Asker {
        fn new() -> Self {
            Self(Cache::builder().store(Memory::new().unwrap()).danger_ephemeral_key().build().unwrap())
        }

        fn ticket(&self, request: http::request::Builder) -> Ticket {
            let (head, ()) = request.body(()).unwrap().into_parts();
            match wait(self.0.ask(head, RequestBody::Seen(b""))).unwrap() {
                Answer::Send(ticket) => ticket,
                other => panic!("{other:?}"),
            }
        }

        fn page(&self) -> Ticket {
            self.ticket(Request::get("http://a.test/"))
        }
    }

    #[test]
    fn all_requests_but_the_first_wait_until_it_is_done() {
        let (asker, coalescer) = (Asker::new(), Coalescer::default());
        let Role::Leader(leader) = coalescer.join(&asker.page()) else { panic!() };
        let waiters: Vec<_> = (0..3)
            .map(|_| match coalescer.join(&asker.page()) {
                Role::Waiter(waiter) => waiter,
                other => panic!("{other:?}"),
            })
            .collect();
        leader.done();
        assert!(waiters.into_iter().all(|waiter| matches!(wait(waiter), LeaderOutcome::Done)));
        assert!(matches!(coalescer.join(&asker.page()), Role::Leader(_)));
    }

    #[test]
    fn a_waiter_takes_the_place_of_a_dropped_leader() {
        let (asker, coalescer) = (Asker::new(), Coalescer::default());
        let Role::Leader(leader) = coalescer.join(&asker.page()) else { panic!() };
        let Role::Waiter(waiter) = coalescer.join(&asker.page()) else { panic!() };
        drop(leader);
        assert!(matches!(wait(waiter), LeaderOutcome::Abandoned));
        assert!(matches!(coalescer.join(&asker.page()), Role::Leader(_)));
    }

    #[test]
    fn a_dropped_waiter_leaves_the_others_waiting() {
        let (asker, coalescer) = (Asker::new(), Coalescer::default());
        let Role::Leader(leader) = coalescer.join(&asker.page()) else { panic!() };
        let Role::Waiter(gone) = coalescer.join(&asker.page()) else { panic!() };
        let Role::Waiter(mut stays) = coalescer.join(&asker.page()) else { panic!() };
        drop(gone);
        assert!((&mut stays).now_or_never().is_none());
        leader.done();
        assert!(matches!(wait(stays), LeaderOutcome::Done));
    }

    #[test]
    fn a_request_that_asked_before_another_leader_ended_is_late() {
        let (asker, coalescer) = (Asker::new(), Coalescer::default());
        let before = [asker.page(), asker.page()];
        let Role::Leader(leader) = coalescer.join(&asker.page()) else { panic!() };
        assert!(!leader.is_late());
        leader.done();
        for ticket in before {
            let Role::Leader(leader) = coalescer.join(&ticket) else { panic!() };
            assert!(leader.is_late());
        }
        let Role::Leader(after) = coalescer.join(&asker.page()) else { panic!() };
        assert!(!after.is_late());
    }

    #[test]
    fn ended_leaders_are_bounded() {
        let (asker, coalescer) = (Asker::new(), Coalescer::default());
        for index in 0..3 * MAX_ENDED {
            drop(coalescer.try_lead(&asker.ticket(Request::get(format!("http://a.test/{index}")))));
        }
        assert_eq!(coalescer.state().ended.len(), MAX_ENDED);
    }

    #[test]
    fn a_request_that_others_cannot_share_goes_alone() {
        let (asker, coalescer) = (Asker::new(), Coalescer::default());
        let _leader = coalescer.join(&asker.page());
        for request in [
            Request::head("http://a.test/"),
            Request::post("http://a.test/"),
            Request::get("http://a.test/").header("range", "bytes=0-1"),
        ] {
            assert!(matches!(coalescer.join(&asker.ticket(request)), Role::Alone));
        }
        assert!(matches!(coalescer.join(&asker.ticket(Request::get("http://b.test/"))), Role::Leader(_)));
    }

    #[test]
    fn a_refresh_does_not_run_beside_another_request_for_the_row() {
        let (asker, coalescer) = (Asker::new(), Coalescer::default());
        let leader = coalescer.try_lead(&asker.page());
        assert!(leader.is_some());
        assert!(coalescer.try_lead(&asker.page()).is_none());
        drop(leader);
        assert!(coalescer.try_lead(&asker.page()).is_some());
    }
}
