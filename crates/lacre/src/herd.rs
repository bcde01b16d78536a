//! Requests for the same thing at the same time, sent once: the first leads, the others read its answer while it comes, or wait until it
//! is done and ask again.
//!
//! This is no rule of caching, and it knows no runtime: a driver joins before it sends, and awaits where it is told to follow.

use crate::cache::{Glimpse, Held, UnderWay};
use crate::clock::MonotonicTime;
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

/// The requests under way, by the row that their answers go to. Cheap to clone; clones are the same herd.
#[derive(Clone, Default)]
pub(crate) struct Herd(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    led: HashMap<Key, Shared<oneshot::Receiver<News>>>,
    /// The leads that ended last, and when.
    ended: VecDeque<(Key, MonotonicTime)>,
}

/// How many leads that ended are remembered: enough for those that end in the time of one lookup. Where it is not, a request is sent that
/// need not have been.
const REMEMBERED: usize = 64;

/// A request's place among those for the same row.
#[derive(Debug)]
pub(crate) enum Place {
    /// It is the first: the others wait for it.
    Lead(Lead),
    /// Another one leads.
    Follow(Follow),
    /// It asks for what others cannot share, or would not want to wait for.
    Alone,
}

/// The first request for a row. Whoever drops it without [`done`](Self::done) gives up, and one of the followers takes its place.
pub(crate) struct Lead {
    herd: Herd,
    key: Key,
    late: bool,
    news: Mutex<Option<oneshot::Sender<News>>>,
    /// Ends with it.
    lease: Option<Arc<Held>>,
}

/// Resolves when there is something for followers to do.
pub(crate) struct Follow(Shared<oneshot::Receiver<News>>);

/// What followers hear first.
#[derive(Clone)]
enum News {
    Shown(Glimpse),
    Done,
}

/// What a leader left to its followers.
#[derive(Debug)]
pub(crate) enum Passed {
    /// Its answer comes in, and may be an answer to others: ask beside it.
    Shown(UnderWay),
    /// It was answered. What could be stored is stored: ask again, and where that is of no use, go alone.
    Done,
    /// It gave up, for instance because its caller went away: ask again, and join again.
    Abandoned,
}

impl Herd {
    /// Where a request stands.
    pub(crate) fn join(&self, ticket: &Ticket) -> Place {
        let Some(key) = ticket.shared_key() else { return Place::Alone };
        let mut rows = self.rows();
        match rows.led.get(&key) {
            Some(leader) => Place::Follow(Follow(leader.clone())),
            None => Place::Lead(self.first(&mut rows, key, ticket.since())),
        }
    }

    /// The lead for a request that would not follow, such as a refresh in the background; `None`: another one has it.
    pub(crate) fn lead(&self, ticket: &Ticket) -> Option<Lead> {
        let key = *ticket.key()?;
        let mut rows = self.rows();
        (!rows.led.contains_key(&key)).then(|| self.first(&mut rows, key, ticket.since()))
    }

    fn first(&self, rows: &mut Rows, key: Key, since: MonotonicTime) -> Lead {
        let (news, wait) = oneshot::channel();
        rows.led.insert(key, wait.shared());
        let late = rows.ended.iter().any(|&(other, end)| other == key && end >= since);
        Lead { herd: self.clone(), key, late, news: Mutex::new(Some(news)), lease: None }
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        // No holder can leave them half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lead {
    /// The row.
    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    /// Whether another lead ended after the cache was asked for this request, so that there may be an answer by now: ask again.
    pub(crate) fn is_late(&self) -> bool {
        self.late
    }

    /// The request is sent for other processes, too.
    pub(crate) fn hold(&mut self, lease: Arc<Held>) {
        self.lease = Some(lease);
    }

    /// Lets the followers, and those who join from now on, see the answer as it comes in.
    pub(crate) fn show(&self, answer: Glimpse) {
        self.tell(News::Shown(answer));
    }

    /// The request was answered, or failed in a way that others need not wait for: the followers go on.
    pub(crate) fn done(self) {
        self.tell(News::Done);
    }

    /// Only the first news counts.
    fn tell(&self, news: News) {
        let mut sender = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = sender.take() {
            // Nobody follows: nobody needs to know.
            let _ = sender.send(news);
        }
    }
}

/// Those who follow, if anybody led them, go on.
pub(crate) fn done(lead: Option<Lead>) {
    if let Some(lead) = lead {
        lead.done();
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        // Before the followers wake, so that one of them can take the place.
        let mut rows = self.herd.rows();
        rows.led.remove(&self.key);
        rows.ended.truncate(REMEMBERED - 1);
        rows.ended.push_front((self.key, MonotonicTime::now()));
    }
}

impl Future for Follow {
    type Output = Passed;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Passed> {
        Poll::Ready(match ready!(self.0.poll_unpin(context)) {
            Ok(News::Shown(answer)) => answer.catch().map_or(Passed::Abandoned, Passed::Shown),
            Ok(News::Done) => Passed::Done,
            Err(oneshot::Canceled) => Passed::Abandoned,
        })
    }
}

impl Ticket {
    /// The row whose answer this request may share with others that are under way: not where it wants another answer than what is stored
    /// (`no-cache`), and not where its answer, by its method or range, is of no use to the others.
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
        f.debug_struct("Herd").field("leaders", &self.rows().led.len()).finish()
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
        assert!(followers.into_iter().all(|follow| matches!(wait(follow), Passed::Done)));
        assert!(matches!(herd.join(&asker.page()), Place::Lead(_)));
    }

    #[test]
    fn a_leader_that_gives_up_leaves_its_place_to_a_follower() {
        let (asker, herd) = (Asker::new(), Herd::default());
        let Place::Lead(lead) = herd.join(&asker.page()) else { panic!() };
        let Place::Follow(follow) = herd.join(&asker.page()) else { panic!() };
        drop(lead);
        assert!(matches!(wait(follow), Passed::Abandoned));
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
        assert!(matches!(wait(stays), Passed::Done));
    }

    #[test]
    fn whoever_asked_before_another_was_done_is_late() {
        let (asker, herd) = (Asker::new(), Herd::default());
        let before = [asker.page(), asker.page()];
        let Place::Lead(lead) = herd.join(&asker.page()) else { panic!() };
        assert!(!lead.is_late());
        lead.done();
        for ticket in before {
            let Place::Lead(lead) = herd.join(&ticket) else { panic!() };
            assert!(lead.is_late());
        }
        let Place::Lead(after) = herd.join(&asker.page()) else { panic!() };
        assert!(!after.is_late());
    }

    #[test]
    fn no_more_ends_are_remembered_than_matter() {
        let (asker, herd) = (Asker::new(), Herd::default());
        for index in 0..3 * REMEMBERED {
            drop(herd.lead(&asker.ticket(Request::get(format!("http://a.test/{index}")))));
        }
        assert_eq!(herd.rows().ended.len(), REMEMBERED);
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
