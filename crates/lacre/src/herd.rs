//! Requests for the same thing at the same time, sent once: the first leads, the others wait until it is done and ask again.
//!
//! This is no rule of caching, and it knows no runtime: a driver joins before it sends, and awaits where it is told to follow.

use crate::{CacheInfo, Reply, Ticket};
use futures_channel::oneshot;
use futures_util::FutureExt;
use futures_util::future::Shared;
use http::{Method, header};
use lacre_core::{Collapsed, Forward, Key};
use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// The requests under way, by the row that their answers go to. Cheap to clone; clones are the same herd.
///
/// ```
/// # use lacre::{Answer, Cache, Herd, Passed, Place, RequestBody, store::Memory};
/// # lacre::wait(async {
/// # let cache = Cache::builder().store(Memory::new()?).danger_ephemeral_key().build()?;
/// let herd = Herd::default();
/// let request = || http::Request::get("http://example.com/").body(()).unwrap().into_parts().0;
/// let Answer::Send(first) = cache.ask(request(), RequestBody::Seen(b"")).await? else { panic!("nothing is stored") };
/// let Answer::Send(second) = cache.ask(request(), RequestBody::Seen(b"")).await? else { panic!("nothing is stored") };
///
/// let Place::Lead(lead) = herd.join(&first) else { panic!("it is the first") };
/// let Place::Follow(follow) = herd.join(&second) else { panic!("it is the second") };
/// lead.done(); // The first was answered, and its answer stored.
/// assert_eq!(follow.await, Passed::Done); // Now the second asks again.
/// # Ok::<(), lacre::Error>(())
/// # })?;
/// # Ok::<(), lacre::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Herd(Arc<Mutex<UnderWay>>);

/// A request's place among those for the same row.
#[derive(Debug)]
pub enum Place {
    /// It is the first: the others wait for it.
    Lead(Lead),
    /// Another one leads.
    Follow(Follow),
    /// It asks for what others cannot share, or would not want to wait for.
    Alone,
}

/// The first request for a row. Whoever drops it without [`done`](Self::done) gives up, and one of the followers takes its place.
pub struct Lead {
    herd: Herd,
    key: Key,
    done: Option<oneshot::Sender<()>>,
}

/// Resolves when the leader is out of the way.
pub struct Follow(Shared<oneshot::Receiver<()>>);

/// How a leader got out of the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passed {
    /// It was answered. What could be stored is stored: ask again, and where that is of no use, go alone.
    Done,
    /// It gave up, for instance because its caller went away: ask again, and join again.
    Abandoned,
}

impl Herd {
    /// Where a request stands.
    pub fn join(&self, ticket: &Ticket) -> Place {
        let Some(key) = shared(ticket) else { return Place::Alone };
        let mut under_way = self.under_way();
        match under_way.get(&key) {
            Some(leader) => Place::Follow(Follow(leader.clone())),
            None => Place::Lead(self.first(&mut under_way, key)),
        }
    }

    /// The lead for a request that would not follow, such as a refresh in the background; `None`: another one has it.
    pub fn lead(&self, ticket: &Ticket) -> Option<Lead> {
        let key = *ticket.key()?;
        let mut under_way = self.under_way();
        (!under_way.contains_key(&key)).then(|| self.first(&mut under_way, key))
    }

    fn first(&self, under_way: &mut UnderWay, key: Key) -> Lead {
        let (done, wait) = oneshot::channel();
        under_way.insert(key, wait.shared());
        Lead { herd: self.clone(), key, done: Some(done) }
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        // No holder can leave the map half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type UnderWay = HashMap<Key, Shared<oneshot::Receiver<()>>>;

/// The row that a request may share with others: not where it wants another answer than what is stored (`no-cache`), and not where its
/// answer, by its method or range, is of no use to the others.
fn shared(ticket: &Ticket) -> Option<Key> {
    let request = ticket.request();
    let wants_what_is_stored =
        matches!(ticket.info().status.forward, Some(Forward::UriMiss | Forward::VaryMiss | Forward::Stale));
    let whole = request.method == Method::GET && !request.headers.contains_key(header::RANGE);
    ticket.key().copied().filter(|_| wants_what_is_stored && whole)
}

impl Lead {
    /// The request was answered, or failed in a way that others need not wait for: the followers go on.
    pub fn done(mut self) {
        if let Some(done) = self.done.take() {
            // Nobody follows: nobody needs to know.
            let _ = done.send(());
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // Before the followers wake, so that one of them can take the place.
        self.herd.under_way().remove(&self.key);
    }
}

impl Future for Follow {
    type Output = Passed;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Passed> {
        self.0.poll_unpin(context).map(|said| match said {
            Ok(()) => Passed::Done,
            Err(oneshot::Canceled) => Passed::Abandoned,
        })
    }
}

impl Reply {
    /// The same as the answer to a request that would have been sent, as `would_be` says, had it not followed another one.
    #[must_use]
    pub fn collapsed(mut self, would_be: CacheInfo) -> Self {
        self.info.status.forward = would_be.status.forward;
        self.info.status.collapsed = Collapsed::Yes;
        self.response.extensions_mut().insert(self.info);
        self
    }
}

impl fmt::Debug for Herd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Herd").field("under_way", &self.under_way().len()).finish()
    }
}

impl fmt::Debug for Lead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead").field("key", &self.key).finish_non_exhaustive()
    }
}

impl fmt::Debug for Follow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").finish_non_exhaustive()
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
    fn all_but_the_first_follow_until_it_is_done() {
        let (asker, herd) = (Asker::new(), Herd::default());
        let Place::Lead(lead) = herd.join(&asker.page()) else { panic!() };
        let followers: Vec<_> = (0..3)
            .map(|_| match herd.join(&asker.page()) {
                Place::Follow(follow) => follow,
                other => panic!("{other:?}"),
            })
            .collect();
        lead.done();
        assert!(followers.into_iter().all(|follow| wait(follow) == Passed::Done));
        assert!(matches!(herd.join(&asker.page()), Place::Lead(_)));
    }

    #[test]
    fn a_leader_that_gives_up_leaves_its_place_to_a_follower() {
        let (asker, herd) = (Asker::new(), Herd::default());
        let Place::Lead(lead) = herd.join(&asker.page()) else { panic!() };
        let Place::Follow(follow) = herd.join(&asker.page()) else { panic!() };
        drop(lead);
        assert_eq!(wait(follow), Passed::Abandoned);
        assert!(matches!(herd.join(&asker.page()), Place::Lead(_)));
    }

    #[test]
    fn a_follower_that_goes_away_leaves_the_others_waiting() {
        let (asker, herd) = (Asker::new(), Herd::default());
        let Place::Lead(lead) = herd.join(&asker.page()) else { panic!() };
        let Place::Follow(gone) = herd.join(&asker.page()) else { panic!() };
        let Place::Follow(mut stays) = herd.join(&asker.page()) else { panic!() };
        drop(gone);
        assert!((&mut stays).now_or_never().is_none());
        lead.done();
        assert_eq!(wait(stays), Passed::Done);
    }

    #[test]
    fn what_others_cannot_share_goes_alone() {
        let (asker, herd) = (Asker::new(), Herd::default());
        let _leader = herd.join(&asker.page());
        for request in [
            Request::head("http://a.test/"),
            Request::post("http://a.test/"),
            Request::get("http://a.test/").header("range", "bytes=0-1"),
        ] {
            assert!(matches!(herd.join(&asker.ticket(request)), Place::Alone));
        }
        assert!(matches!(herd.join(&asker.ticket(Request::get("http://b.test/"))), Place::Lead(_)));
    }

    #[test]
    fn a_refresh_does_not_run_beside_another_request_for_the_row() {
        let (asker, herd) = (Asker::new(), Herd::default());
        let lead = herd.lead(&asker.page());
        assert!(lead.is_some());
        assert!(herd.lead(&asker.page()).is_none());
        drop(lead);
        assert!(herd.lead(&asker.page()).is_some());
    }
}
