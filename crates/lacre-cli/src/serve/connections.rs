//! The connections of clients: how many there may be, and which is closed to make room for another.
//!
//! A connection waits for its client until a request has come in, and again once the answer has been written; in between it is being answered.
//! To make room, the connection that has waited longest is closed; one that is being answered never is. A connection whose request body
//! comes in more slowly than [`LEAST_RATE`] counts as waiting, too: its request is answered with 408.

use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

/// The bytes of a request's body that must come in each second, on average, where others have no room.
const LEAST_RATE: f64 = 1024.0;

/// How long the client may be waited for in a request's body before the rate counts.
const UPLOAD_GRACE: Duration = Duration::from_secs(5);

/// How long a connection that was told to close is waited for before another one is told, too.
const CLOSING: Duration = Duration::from_millis(100);

/// The open connections, and how many of them there may be.
pub(crate) struct Connections {
    most: usize,
    most_per_address: usize,
    state: Mutex<Open>,
    /// There may be room by now.
    changed: Notify,
}

#[derive(Default)]
struct Open {
    by_id: HashMap<u64, Arc<Connection>>,
    /// How many there are of an address; those without a limit are not counted.
    by_address: HashMap<IpAddr, usize>,
    /// Connections that wait, longest first, each with its turn then. Those that no longer do are skipped.
    waiting: VecDeque<(u64, u64)>,
    next: u64,
}

/// Whether an address has a limit of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    Limited,
    Unlimited,
}

/// One address has all the connections that it may have, and all of them are being answered.
#[derive(Debug)]
pub(crate) struct TooManyFromThere;

impl Connections {
    pub(crate) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        let (state, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { most, most_per_address, state, changed })
    }

    /// Waits until there is room for a connection from `peer`.
    ///
    /// # Errors
    /// Its address has all the connections that it may have, and none of them waits for its client.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        peer: IpAddr,
        share: Share,
    ) -> Result<Admitted, TooManyFromThere> {
        let address = (share == Share::Limited).then(|| network(peer));
        let mut closing = false;
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look at what there is, so that no change goes unnoticed.
            changed.as_mut().enable();
            {
                let mut open = self.open();
                let of_address = address.map_or(0, |address| open.of(address));
                if of_address >= self.most_per_address {
                    if !closing {
                        closing = open.close_one(|other| other.address == address);
                        if !closing {
                            return Err(TooManyFromThere);
                        }
                    }
                } else if open.by_id.len() < self.most {
                    return Ok(Admitted { connection: open.add(self, address) });
                } else if !closing {
                    closing = open.close_one(|_| true);
                }
            }
            if timeout(CLOSING, changed).await.is_err() {
                closing = false;
            }
        }
    }

    /// Closes the connection that has waited longest, where there is one: files are scarce.
    pub(crate) fn make_room(&self) {
        self.open().close_one(|_| true);
    }

    /// Closes all connections that wait for their clients.
    pub(crate) fn close_waiting(&self) {
        let mut open = self.open();
        while open.close_waiting(|_| true) {}
    }

    /// How many there are.
    #[cfg(test)]
    fn count(&self) -> usize {
        self.open().by_id.len()
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        // No holder can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn of(&self, address: IpAddr) -> usize {
        self.by_address.get(&address).copied().unwrap_or_default()
    }

    fn add(&mut self, connections: &Arc<Connections>, address: Option<IpAddr>) -> Arc<Connection> {
        let id = self.next;
        self.next += 1;
        let state = Mutex::new(State { waiting: true, ..State::default() });
        let connection = Arc::new(Connection { id, address, connections: Arc::clone(connections), state });
        self.by_id.insert(id, Arc::clone(&connection));
        if let Some(address) = address {
            *self.by_address.entry(address).or_default() += 1;
        }
        self.waits(id, 0);
        connection
    }

    fn remove(&mut self, connection: &Connection) {
        self.by_id.remove(&connection.id);
        let Some(address) = connection.address else { return };
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }

    fn waits(&mut self, id: u64, turn: u64) {
        if self.waiting.len() > 2 * self.by_id.len() + 64 {
            let by_id = &self.by_id;
            self.waiting.retain(|(id, turn)| by_id.get(id).is_some_and(|open| open.still_waits(*turn)));
        }
        self.waiting.push_back((id, turn));
    }

    /// Closes one of the connections that `may_go`. `false`: all of them are being answered.
    fn close_one(&mut self, may_go: impl Fn(&Connection) -> bool) -> bool {
        self.close_waiting(&may_go) || self.close_slowest(may_go)
    }

    /// Closes the one that has waited longest.
    fn close_waiting(&mut self, may_go: impl Fn(&Connection) -> bool) -> bool {
        let mut at = 0;
        while let Some((id, turn)) = self.waiting.get(at).copied() {
            let connection = self.by_id.get(&id).filter(|connection| connection.still_waits(turn));
            match connection {
                Some(connection) if !may_go(connection) => at += 1,
                Some(connection) => {
                    let closed = connection.close(turn);
                    self.waiting.remove(at);
                    if closed {
                        return true;
                    }
                }
                None => {
                    self.waiting.remove(at);
                }
            }
        }
        false
    }

    /// Ends the request whose body is furthest behind.
    fn close_slowest(&mut self, may_go: impl Fn(&Connection) -> bool) -> bool {
        let now = Instant::now();
        let candidates = self.by_id.values().filter(|connection| may_go(connection));
        let slow = candidates.filter_map(|connection| Some((connection.behind(now)?, connection)));
        match slow.max_by_key(|(behind, _)| *behind) {
            Some((_, connection)) => {
                connection.end_uploads();
                true
            }
            None => false,
        }
    }
}

/// An address as far as it tells clients apart: whoever has one IPv6 address usually has 2⁶⁴ of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// A place among the connections, given back when it is dropped.
pub(crate) struct Admitted {
    connection: Arc<Connection>,
}

impl Admitted {
    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let connections = &self.connection.connections;
        connections.open().remove(&self.connection);
        connections.changed.notify_waiters();
    }
}

/// What is known of one connection.
pub(crate) struct Connection {
    id: u64,
    address: Option<IpAddr>,
    connections: Arc<Connections>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Grows whenever it begins to wait or ceases to.
    turn: u64,
    /// No request is there, and all answers are written.
    waiting: bool,
    closed: bool,
    /// How many requests are there.
    requests: usize,
    /// The bodies of those that are not answered yet.
    uploads: Vec<Arc<Upload>>,
    reader: Option<Waker>,
}

impl Connection {
    /// A request came in, with its body where it has one. `None`: too late, for the connection is being closed.
    pub(crate) fn begin(self: &Arc<Self>, upload: Option<Arc<Upload>>) -> Option<Request> {
        let mut state = self.state();
        if state.closed {
            return None;
        }
        if std::mem::replace(&mut state.waiting, false) {
            state.turn += 1;
        }
        state.requests += 1;
        state.uploads.extend(upload.clone());
        drop(state);
        Some(Request { connection: Arc::clone(self), upload })
    }

    /// Nothing can be read for now. Where nothing is to be written either and no request is there, the connection waits for its client. Ready:
    /// it is being closed.
    pub(crate) fn poll_closed(&self, all_written: bool, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.closed {
            return Poll::Ready(());
        }
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            state.reader = Some(context.waker().clone());
        }
        if all_written && state.requests == 0 && !state.waiting {
            state.waiting = true;
            state.turn += 1;
            let turn = state.turn;
            drop(state);
            self.connections.open().waits(self.id, turn);
            self.connections.changed.notify_waiters();
        }
        Poll::Pending
    }

    /// Whether it is being closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().closed
    }

    fn still_waits(&self, turn: u64) -> bool {
        let state = self.state();
        state.waiting && state.turn == turn && !state.closed
    }

    fn close(&self, turn: u64) -> bool {
        let mut state = self.state();
        let closes = state.waiting && state.turn == turn && !state.closed;
        if closes {
            state.closed = true;
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
        closes
    }

    /// How far its requests are behind, where all of them are slow.
    fn behind(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let all_uploads = state.requests > 0 && state.requests == state.uploads.len();
        let mut uploads = all_uploads.then_some(&state.uploads).into_iter().flatten();
        let first = uploads.next()?.behind(now)?;
        uploads.try_fold(first, |least, upload| upload.behind(now).map(|behind| behind.min(least)))
    }

    fn end_uploads(&self) {
        for upload in &self.state().uploads {
            upload.end();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No holder can leave it half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is there, until its answer has been handed over or it is given up.
pub(crate) struct Request {
    connection: Arc<Connection>,
    upload: Option<Arc<Upload>>,
}

impl Request {
    /// The answer has begun: from now on, nothing ends it.
    pub(crate) fn answered(&mut self) {
        if let Some(upload) = self.upload.take() {
            self.connection.state().uploads.retain(|other| !Arc::ptr_eq(other, &upload));
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.answered();
        self.connection.state().requests -= 1;
    }
}

/// How the body of a request comes in.
#[derive(Default)]
pub(crate) struct Upload(Mutex<Progress>);

#[derive(Default)]
struct Progress {
    bytes: u64,
    /// How long its client was waited for.
    waited: Duration,
    waits_since: Option<Instant>,
    ended: bool,
    reader: Option<Waker>,
}

impl Upload {
    /// A piece came.
    pub(crate) fn came(&self, bytes: usize) {
        let mut progress = self.progress();
        progress.bytes += bytes as u64;
        if let Some(since) = progress.waits_since.take() {
            progress.waited += since.elapsed();
        }
    }

    /// The client is waited for. Ready: no longer.
    pub(crate) fn poll_ended(&self, context: &Context<'_>) -> Poll<()> {
        let mut progress = self.progress();
        if progress.ended {
            return Poll::Ready(());
        }
        progress.waits_since.get_or_insert_with(Instant::now);
        progress.reader = Some(context.waker().clone());
        Poll::Pending
    }

    /// How much longer its client was waited for than it may be; `None`: no longer.
    fn behind(&self, now: Instant) -> Option<Duration> {
        let progress = self.progress();
        let waited = progress.waited + now.saturating_duration_since(progress.waits_since?);
        #[expect(clippy::cast_precision_loss, reason = "an estimate")]
        let due = Duration::try_from_secs_f64(progress.bytes as f64 / LEAST_RATE).unwrap_or(Duration::MAX);
        waited.checked_sub(due.saturating_add(UPLOAD_GRACE)).filter(|behind| !behind.is_zero())
    }

    fn end(&self) {
        let mut progress = self.progress();
        progress.ended = true;
        if let Some(reader) = progress.reader.take() {
            reader.wake();
        }
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // No holder can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pin_project! {
    /// The body of an answer: until it is dropped, the request is there.
    pub(crate) struct Answering<B> {
        #[pin]
        body: B,
        request: Request,
    }
}

impl<B> Answering<B> {
    pub(crate) fn new(body: B, request: Request) -> Self {
        Self { body, request }
    }
}

impl<B: Body> Body for Answering<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        self.project().body.poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const THERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    async fn admit(connections: &Arc<Connections>, peer: IpAddr) -> Admitted {
        connections.admit(peer, Share::Limited).await.unwrap()
    }

    fn waits(admitted: &Admitted) -> bool {
        let context = Context::from_waker(Waker::noop());
        admitted.connection.poll_closed(true, &context).is_pending()
    }

    /// What becomes of a connection that is told to close.
    fn leave_when_told(admitted: Admitted) {
        tokio::spawn(async move {
            std::future::poll_fn(|context| admitted.connection.poll_closed(true, context)).await;
        });
    }

    #[tokio::test(start_paused = true)]
    async fn the_connection_that_waited_longest_makes_room() {
        let connections = Connections::new(3, 3);
        let (first, second, third) = (
            admit(&connections, HERE).await,
            admit(&connections, HERE).await,
            admit(&connections, HERE).await,
        );
        // The first had a request meanwhile, so that it waits for a shorter time than the second.
        drop(first.connection.begin(None).unwrap());
        assert!(waits(&first));
        let told = Arc::clone(&second.connection);
        leave_when_told(second);
        let _newcomer = admit(&connections, THERE).await;
        assert!(told.is_closed() && waits(&first) && waits(&third));
        assert!(told.begin(None).is_none(), "what comes too late is not begun");
        assert_eq!(connections.count(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_being_answered_is_never_closed() {
        let connections = Connections::new(1, 1);
        let busy = admit(&connections, HERE).await;
        let request = busy.connection.begin(None).unwrap();
        assert!(timeout(Duration::from_secs(60), admit(&connections, THERE)).await.is_err());
        assert!(!busy.connection.is_closed());
        drop(request);
        // Its answer is not written out yet.
        let context = Context::from_waker(Waker::noop());
        assert!(busy.connection.poll_closed(false, &context).is_pending());
        assert!(timeout(Duration::from_secs(60), admit(&connections, THERE)).await.is_err());
        leave_when_told(busy);
        admit(&connections, THERE).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_has_no_more_than_its_share() {
        let connections = Connections::new(4, 2);
        let old = [admit(&connections, THERE).await, admit(&connections, THERE).await];
        let (mine, busy) = (admit(&connections, HERE).await, admit(&connections, HERE).await);
        let _request = busy.connection.begin(None).unwrap();
        leave_when_told(mine);
        let mine = admit(&connections, HERE).await;
        assert!(old.iter().all(waits), "others have waited for longer, and stay");
        let _request = mine.connection.begin(None).unwrap();
        assert!(connections.admit(HERE, Share::Limited).await.is_err());
        drop(old);
        assert!(connections.admit(HERE, Share::Limited).await.is_err());
        assert!(connections.admit(HERE, Share::Unlimited).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_that_trickles_makes_room_and_one_that_flows_does_not() {
        let connections = Connections::new(1, 1);
        let connection = admit(&connections, HERE).await;
        let upload = Arc::new(Upload::default());
        let request = connection.connection.begin(Some(Arc::clone(&upload))).unwrap();
        let trickle = async |bytes: usize| {
            for _ in 0..20 {
                let context = Context::from_waker(Waker::noop());
                assert!(upload.poll_ended(&context).is_pending());
                tokio::time::sleep(Duration::from_secs(1)).await;
                upload.came(bytes);
            }
            let context = Context::from_waker(Waker::noop());
            assert!(upload.poll_ended(&context).is_pending());
        };
        trickle(2000).await;
        assert!(timeout(Duration::from_secs(1), admit(&connections, THERE)).await.is_err());
        trickle(1).await;
        trickle(1).await;
        let _ = timeout(Duration::from_secs(1), admit(&connections, THERE)).await;
        let context = Context::from_waker(Waker::noop());
        assert!(upload.poll_ended(&context).is_ready());
        drop((request, connection));
    }

    #[tokio::test(start_paused = true)]
    async fn the_places_in_line_are_bounded() {
        let connections = Connections::new(2, 2);
        let connection = admit(&connections, HERE).await;
        for _ in 0..10_000 {
            drop(connection.connection.begin(None).unwrap());
            assert!(waits(&connection));
        }
        assert!(connections.open().waiting.len() <= 70);
    }

    #[test]
    fn addresses_that_one_client_has_count_as_one() {
        for (one, other) in
            [("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"), ("::ffff:192.0.2.1", "192.0.2.1")]
        {
            assert_eq!(network(one.parse().unwrap()), network(other.parse().unwrap()));
        }
        assert_ne!(network("2001:db8::1".parse().unwrap()), network("2001:db8:0:1::1".parse().unwrap()));
    }
}
