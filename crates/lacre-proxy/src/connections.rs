//! The connections of clients: how many may be open, and which one is closed to admit another.
//!
//! A connection is idle while it waits for a request from its client, and until its last response
//! is written it is in use. To admit a new connection, the proxy closes the one that has been
//! idle the longest, never one in use. A connection whose uploads are all slower than the minimum
//! rate of [`UploadProgress`] counts as closable, too: its requests are answered with 408.

use crate::upload::UploadProgress;
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

/// The time to wait for one connection to close before another one is asked to.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(100);

/// The open connections, and their limits.
pub(crate) struct Connections {
    max: usize,
    max_per_address: usize,
    open: Mutex<OpenConnections>,
    /// Notified when a connection closes or becomes idle.
    changed: Notify,
}

#[derive(Default)]
struct OpenConnections {
    by_id: HashMap<u64, Arc<Connection>>,
    /// The connections of each address that has a limit.
    per_address: HashMap<IpAddr, usize>,
    /// The ids of idle connections with their generation, idle the longest first. Entries of
    /// connections that are in use again are skipped.
    idle: VecDeque<(u64, u64)>,
    next_id: u64,
}

/// Whether the limit per address applies to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressLimit {
    Applies,
    /// The connection comes from a proxy that the operator named.
    Exempt,
}

/// An address has as many connections as it may have, and all of them are in use.
#[derive(Debug)]
pub(crate) struct AddressLimitReached;

impl Connections {
    pub(crate) fn new(max: usize, max_per_address: usize) -> Arc<Self> {
        let (open, changed) = (Mutex::default(), Notify::new());
        Arc::new(Self { max, max_per_address, open, changed })
    }

    /// Waits until a connection from `peer` may be open.
    ///
    /// # Errors
    /// Its address has as many connections as it may have, and none of them is idle.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        peer: IpAddr,
        limit: AddressLimit,
    ) -> Result<ConnectionGuard, AddressLimitReached> {
        let address = (limit == AddressLimit::Applies).then(|| client_network(peer));
        let mut is_closing_one = false;
        loop {
            let mut changed = pin!(self.changed.notified());
            // Registered before the limits are compared, so that no change is missed.
            changed.as_mut().enable();
            {
                let mut open = self.open();
                let of_address = address.map_or(0, |address| open.count_of(address));
                if of_address >= self.max_per_address {
                    if !is_closing_one {
                        is_closing_one = open.close_one(|other| other.address == address);
                        if !is_closing_one {
                            return Err(AddressLimitReached);
                        }
                    }
                } else if open.by_id.len() < self.max {
                    return Ok(ConnectionGuard { connection: open.add(self, address) });
                } else if !is_closing_one {
                    is_closing_one = open.close_one(|_| true);
                }
            }
            if timeout(CLOSE_TIMEOUT, changed).await.is_err() {
                is_closing_one = false;
            }
        }
    }

    /// Closes the connection that has been idle the longest, if any, to free a file descriptor.
    pub(crate) fn close_one(&self) {
        self.open().close_one(|_| true);
    }

    /// Closes all idle connections.
    pub(crate) fn close_idle(&self) {
        let mut open = self.open();
        while open.close_longest_idle(|_| true) {}
    }

    #[cfg(test)]
    fn count(&self) -> usize {
        self.open().by_id.len()
    }

    fn open(&self) -> MutexGuard<'_, OpenConnections> {
        // No holder of the lock can leave the state half changed.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenConnections {
    fn count_of(&self, address: IpAddr) -> usize {
        self.per_address.get(&address).copied().unwrap_or_default()
    }

    fn add(&mut self, connections: &Arc<Connections>, address: Option<IpAddr>) -> Arc<Connection> {
        let id = self.next_id;
        self.next_id += 1;
        let state = Mutex::new(State { is_idle: true, ..State::default() });
        let connection = Arc::new(Connection { id, address, connections: Arc::clone(connections), state });
        self.by_id.insert(id, Arc::clone(&connection));
        if let Some(address) = address {
            *self.per_address.entry(address).or_default() += 1;
        }
        self.push_idle(id, 0);
        connection
    }

    fn remove(&mut self, connection: &Connection) {
        self.by_id.remove(&connection.id);
        let Some(address) = connection.address else { return };
        if let Some(count) = self.per_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.per_address.remove(&address);
            }
        }
    }

    fn push_idle(&mut self, id: u64, generation: u64) {
        if self.idle.len() > 2 * self.by_id.len() + 64 {
            let by_id = &self.by_id;
            self.idle.retain(|(id, generation)| {
                by_id.get(id).is_some_and(|connection| connection.is_idle_since(*generation))
            });
        }
        self.idle.push_back((id, generation));
    }

    /// Closes one of the connections for which `may_close` is true. Returns `false` if all of them
    /// are in use.
    fn close_one(&mut self, may_close: impl Fn(&Connection) -> bool) -> bool {
        self.close_longest_idle(&may_close) || self.close_slowest_upload(may_close)
    }

    fn close_longest_idle(&mut self, may_close: impl Fn(&Connection) -> bool) -> bool {
        let mut index = 0;
        while let Some((id, generation)) = self.idle.get(index).copied() {
            let connection = self.by_id.get(&id).filter(|connection| connection.is_idle_since(generation));
            match connection {
                Some(connection) if !may_close(connection) => index += 1,
                Some(connection) => {
                    let closed = connection.close(generation);
                    self.idle.remove(index);
                    if closed {
                        return true;
                    }
                }
                None => {
                    self.idle.remove(index);
                }
            }
        }
        false
    }

    /// Cuts off the uploads of the connection that is furthest behind the minimum rate.
    fn close_slowest_upload(&mut self, may_close: impl Fn(&Connection) -> bool) -> bool {
        let now = Instant::now();
        let candidates = self.by_id.values().filter(|connection| may_close(connection));
        let slow = candidates.filter_map(|connection| Some((connection.upload_delay(now)?, connection)));
        match slow.max_by_key(|(delay, _)| *delay) {
            Some((_, connection)) => {
                connection.cut_off_uploads();
                true
            }
            None => false,
        }
    }
}

/// The part of an address that identifies a client: an IPv6 client usually has a network of 64
/// bits.
fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// A place among the open connections. Dropping it frees the place.
pub(crate) struct ConnectionGuard {
    connection: Arc<Connection>,
}

impl ConnectionGuard {
    pub(crate) fn connection(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let connections = &self.connection.connections;
        connections.open().remove(&self.connection);
        connections.changed.notify_waiters();
    }
}

/// One open connection.
pub(crate) struct Connection {
    id: u64,
    /// The client's network, if the limit per address applies.
    address: Option<IpAddr>,
    connections: Arc<Connections>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Grows whenever the connection becomes idle or ceases to be.
    generation: u64,
    /// No request is in progress, and all responses are written.
    is_idle: bool,
    is_closed: bool,
    requests_in_progress: usize,
    /// The uploads of requests whose response has not begun.
    uploads: Vec<Arc<UploadProgress>>,
    reader: Option<Waker>,
}

impl Connection {
    /// Records that a request arrived, with its upload if it has a body. `None` if the connection
    /// is being closed.
    pub(crate) fn begin_request(
        self: &Arc<Self>,
        upload: Option<Arc<UploadProgress>>,
    ) -> Option<RequestInProgress> {
        let mut state = self.state();
        if state.is_closed {
            return None;
        }
        if std::mem::replace(&mut state.is_idle, false) {
            state.generation += 1;
        }
        state.requests_in_progress += 1;
        state.uploads.extend(upload.clone());
        drop(state);
        Some(RequestInProgress { connection: Arc::clone(self), upload })
    }

    /// Records that nothing can be read for now: without a request in progress and with everything
    /// written, the connection is idle. Ready once it is being closed.
    pub(crate) fn poll_closed(&self, all_written: bool, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.is_closed {
            return Poll::Ready(());
        }
        if !state.reader.as_ref().is_some_and(|reader| reader.will_wake(context.waker())) {
            state.reader = Some(context.waker().clone());
        }
        if all_written && state.requests_in_progress == 0 && !state.is_idle {
            state.is_idle = true;
            state.generation += 1;
            let generation = state.generation;
            drop(state);
            self.connections.open().push_idle(self.id, generation);
            self.connections.changed.notify_waiters();
        }
        Poll::Pending
    }

    /// Whether the connection is being closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    fn is_idle_since(&self, generation: u64) -> bool {
        self.state().is_idle_since(generation)
    }

    fn close(&self, generation: u64) -> bool {
        let mut state = self.state();
        let closes = state.is_idle_since(generation);
        if closes {
            state.is_closed = true;
            if let Some(reader) = state.reader.take() {
                reader.wake();
            }
        }
        closes
    }

    /// How far the fastest of its uploads is behind the minimum rate, if all of its requests are
    /// slow uploads.
    fn upload_delay(&self, now: Instant) -> Option<Duration> {
        let state = self.state();
        let all_are_uploads =
            state.requests_in_progress > 0 && state.requests_in_progress == state.uploads.len();
        let mut uploads = all_are_uploads.then_some(&state.uploads).into_iter().flatten();
        let first = uploads.next()?.delay(now)?;
        uploads.try_fold(first, |least, upload| upload.delay(now).map(|delay| delay.min(least)))
    }

    fn cut_off_uploads(&self) {
        for upload in &self.state().uploads {
            upload.cut_off();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No holder of the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_idle_since(&self, generation: u64) -> bool {
        self.is_idle && self.generation == generation && !self.is_closed
    }
}

/// A request on a connection, until its response has been handed over or given up.
pub(crate) struct RequestInProgress {
    connection: Arc<Connection>,
    upload: Option<Arc<UploadProgress>>,
}

impl RequestInProgress {
    /// Records that the response has begun: its upload is not cut off any more.
    pub(crate) fn response_began(&mut self) {
        if let Some(upload) = self.upload.take() {
            self.connection.state().uploads.retain(|other| !Arc::ptr_eq(other, &upload));
        }
    }
}

impl Drop for RequestInProgress {
    fn drop(&mut self) {
        self.response_began();
        self.connection.state().requests_in_progress -= 1;
    }
}

pin_project! {
    /// The body of a response. Its request is in progress until the body is dropped.
    pub(crate) struct ResponseInProgress<B> {
        #[pin]
        body: B,
        request: RequestInProgress,
    }
}

impl<B> ResponseInProgress<B> {
    pub(crate) fn new(body: B, request: RequestInProgress) -> Self {
        Self { body, request }
    }
}

impl<B: Body> Body for ResponseInProgress<B> {
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
mod tests;
