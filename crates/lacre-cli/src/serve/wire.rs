//! A client's connection: closed when nothing moves on it for too long, and a way for interim responses (RFC 9110 §15.2), which hyper's
//! server does not send.
//!
//! An interim response may only stand between two final ones. hyper flushes when it has written all it has, so whatever comes before the
//! next write stands there; what comes at any other time is dropped, for nobody may need it.

use crate::serve::connections::Connection;
use crate::serve::{headers, refusal};
use bytes::{Buf, BufMut, BytesMut};
use http::{HeaderMap, StatusCode, header};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Bytes of interim responses that wait to be written; those beyond are dropped, for an origin may send any number of them.
const MOST_WAITING: usize = 64 << 10;

/// A connection that does not stall.
pub(crate) struct Wire<T> {
    io: T,
    relays: Relays,
    /// What of interim responses, or of a refusal in other words than hyper's, is still to be written.
    interim: BytesMut,
    place: Place,
    limit: Duration,
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
    /// Its place among the others.
    connection: Option<Arc<Connection>>,
}

/// Where in the stream of responses we are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// All that was written was flushed.
    Between,
    /// In the middle of a response, for all we know.
    Within,
}

impl<T> Wire<T> {
    /// `io`, which must move at least once every `limit`.
    pub(crate) fn new(io: T, limit: Duration) -> Self {
        Self {
            io,
            relays: Relays::default(),
            interim: BytesMut::new(),
            place: Place::Between,
            limit,
            moved: Instant::now(),
            alarm: Box::pin(sleep(limit)),
            connection: None,
        }
    }

    /// The same, as one of the connections that may be closed to make room.
    pub(crate) fn among(self, connection: Arc<Connection>) -> Self {
        Self { connection: Some(connection), ..self }
    }

    /// The way for the interim responses of its requests.
    pub(crate) fn relays(&self) -> Relays {
        self.relays.clone()
    }

    /// Keeps account of an operation: done, or still waiting, but not for too long.
    fn paced<R>(&mut self, polled: Poll<io::Result<R>>, context: &mut Context<'_>) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.moved = Instant::now();
            return polled;
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            let until = self.moved + self.limit;
            if until <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl<T: AsyncWrite + Unpin> Wire<T> {
    /// Writes out the interim responses whose place is here.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut waiting = self.relays.lock();
        if !waiting.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            waiting.waker = Some(context.waker().clone());
        }
        match self.place {
            Place::Between => self.interim.unsplit(waiting.bytes.split()),
            Place::Within => waiting.bytes.clear(),
        }
        drop(waiting);
        while !self.interim.is_empty() {
            let polled = Pin::new(&mut self.io).poll_write(context, &self.interim);
            let written = ready!(self.paced(polled, context))?;
            self.interim.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.as_ref().is_some_and(|connection| connection.is_closed()) {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        let polled = self.paced(polled, context);
        let all_written = self.place == Place::Between && self.interim.is_empty();
        match &self.connection {
            // As if the client had closed it.
            Some(connection) if polled.is_pending() => connection.poll_closed(all_written, context).map(Ok),
            _ => polled,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_interim(context))?;
        if self.place == Place::Between
            && let Some(answer) = refusal::instead_of(slices)
        {
            self.interim.extend_from_slice(&answer);
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        self.place = Place::Within;
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.paced(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.place = Place::Between;
        ready!(self.poll_interim(context))?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Interim responses on their way to one connection.
#[derive(Clone, Default)]
pub(crate) struct Relays(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    bytes: BytesMut,
    waker: Option<Waker>,
    /// The request that is being answered, of all on this connection.
    request: u64,
}

impl Relays {
    /// The way for the next request's interim responses. It ends with the [`Turn`].
    pub(crate) fn next(&self) -> (Turn, Relay) {
        let mut waiting = self.lock();
        waiting.request += 1;
        (Turn(self.clone()), Relay { relays: self.clone(), request: waiting.request })
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // No holder can leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time in which a request may have interim responses: until its final one is known.
pub(crate) struct Turn(Relays);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.lock().request += 1;
    }
}

/// The way for one request's interim responses.
#[derive(Clone)]
pub(crate) struct Relay {
    relays: Relays,
    request: u64,
}

impl Relay {
    /// Passes an interim response on. `100` is hyper's own affair, and `101` is none.
    pub(crate) fn send(&self, status: StatusCode, fields: &HeaderMap) {
        if status == StatusCode::CONTINUE || status == StatusCode::SWITCHING_PROTOCOLS {
            return;
        }
        let mut waiting = self.relays.lock();
        if waiting.request != self.request {
            return;
        }
        let mut fields = fields.clone();
        // RFC 9110 §8.6: it has no body, so no length.
        fields.remove(header::CONTENT_LENGTH);
        fields.remove(header::TRAILER);
        headers::strip_hop_by_hop(&mut fields);
        if waiting.bytes.len() + headers::length(&fields) > MOST_WAITING {
            return;
        }
        let reason = status.canonical_reason().unwrap_or_default();
        let bytes = &mut waiting.bytes;
        bytes.put_slice(format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).as_bytes());
        for (name, value) in &fields {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                bytes.put_slice(part);
            }
        }
        bytes.put_slice(b"\r\n");
        if let Some(waker) = waiting.waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";

    fn hint(relay: &Relay) {
        let link = HeaderMap::from_iter([(header::LINK, "</a.css>".parse().unwrap())]);
        relay.send(StatusCode::EARLY_HINTS, &link);
    }

    fn wire() -> (Wire<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1 << 16);
        (Wire::new(near, Duration::from_secs(60)), far)
    }

    async fn read(far: &mut DuplexStream, wire: Wire<DuplexStream>) -> String {
        drop(wire);
        let mut text = String::new();
        far.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn an_interim_response_goes_out_before_the_final_one() {
        let (mut wire, mut far) = wire();
        let (_turn, relay) = wire.relays().next();
        hint(&relay);
        wire.write_all(b"final").await.unwrap();
        assert_eq!(read(&mut far, wire).await, format!("{HINT}final"));
    }

    #[tokio::test]
    async fn an_interim_response_never_lands_inside_a_final_one() {
        let (mut wire, mut far) = wire();
        let (_turn, relay) = wire.relays().next();
        wire.write_all(b"fi").await.unwrap();
        hint(&relay);
        wire.write_all(b"nal").await.unwrap();
        wire.flush().await.unwrap();
        hint(&relay);
        wire.flush().await.unwrap();
        assert_eq!(read(&mut far, wire).await, format!("final{HINT}"));
    }

    #[tokio::test]
    async fn an_interim_response_that_comes_too_late_is_dropped() {
        let (mut wire, mut far) = wire();
        let (turn, relay) = wire.relays().next();
        drop(turn);
        hint(&relay);
        wire.flush().await.unwrap();
        assert_eq!(read(&mut far, wire).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_moves_is_closed() {
        let (mut wire, _far) = wire();
        let begun = Instant::now();
        let failed = wire.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!((failed.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, Duration::from_secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_cut_off() {
        let (near, _far) = duplex(16);
        let mut wire = Wire::new(near, Duration::from_secs(60));
        let failed = wire.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_moves_now_and_then_stays() {
        let (mut wire, mut far) = wire();
        let slow = tokio::spawn(async move {
            for _ in 0..5 {
                sleep(Duration::from_secs(50)).await;
                far.write_all(b"x").await.unwrap();
            }
        });
        wire.read_exact(&mut [0; 5]).await.unwrap();
        slow.await.unwrap();
    }
}
