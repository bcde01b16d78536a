//! [`ClientStream`]: the byte stream of a client's connection, below hyper's server.
//!
//! It closes a connection on which nothing moves for too long, writes interim responses, and gives
//! the error responses that hyper writes itself a body.
//!
//! An interim response may stand only between two final responses. hyper flushes after it has
//! written all it has, so the stream is between two responses from a flush until the next write.
//! Interim responses that arrive at another time are dropped: they are optional for the client.

use crate::connections::Connection;
use crate::interim::InterimQueue;
use crate::parse_error;
use bytes::{Buf, BytesMut};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// The byte stream of a client's connection.
pub(crate) struct ClientStream<T> {
    io: T,
    interim: InterimQueue,
    /// Bytes to write before all others: interim responses, or an error response in place of
    /// hyper's.
    unwritten: BytesMut,
    position: Position,
    idle_timeout: Duration,
    last_activity: Instant,
    timer: Pin<Box<Sleep>>,
    /// The connection that may be closed to admit another one.
    connection: Option<Arc<Connection>>,
}

/// The position in the stream of responses.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    /// Everything that was written is flushed.
    BetweenResponses,
    /// Possibly in the middle of a response.
    WithinResponse,
}

impl<T> ClientStream<T> {
    /// A stream over `io` that fails when nothing moves for `idle_timeout`.
    pub(crate) fn new(io: T, idle_timeout: Duration) -> Self {
        Self {
            io,
            interim: InterimQueue::default(),
            unwritten: BytesMut::new(),
            position: Position::BetweenResponses,
            idle_timeout,
            last_activity: Instant::now(),
            timer: Box::pin(sleep(idle_timeout)),
            connection: None,
        }
    }

    /// The same stream, which ends when `connection` is closed to admit another one.
    pub(crate) fn with_connection(self, connection: Arc<Connection>) -> Self {
        Self { connection: Some(connection), ..self }
    }

    /// The queue for the interim responses of its requests.
    pub(crate) fn interim_queue(&self) -> InterimQueue {
        self.interim.clone()
    }

    /// Records the activity of an operation that is done. Fails one that waits when the idle
    /// timeout has passed.
    fn with_idle_timeout<R>(
        &mut self,
        polled: Poll<io::Result<R>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<R>> {
        if polled.is_ready() {
            self.last_activity = Instant::now();
            return polled;
        }
        while self.timer.as_mut().poll(context).is_ready() {
            let deadline = self.last_activity + self.idle_timeout;
            if deadline <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.timer.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl<T: AsyncWrite + Unpin> ClientStream<T> {
    /// Writes the interim responses that may stand at this position, and drops the others.
    fn poll_write_interim(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pending = self.interim.lock();
        if !pending.writer.as_ref().is_some_and(|writer| writer.will_wake(context.waker())) {
            pending.writer = Some(context.waker().clone());
        }
        match self.position {
            Position::BetweenResponses => self.unwritten.unsplit(pending.bytes.split()),
            Position::WithinResponse => pending.bytes.clear(),
        }
        drop(pending);
        while !self.unwritten.is_empty() {
            let polled = Pin::new(&mut self.io).poll_write(context, &self.unwritten);
            let written = ready!(self.with_idle_timeout(polled, context))?;
            self.unwritten.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for ClientStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.connection.as_ref().is_some_and(|connection| connection.is_closed()) {
            return Poll::Ready(Ok(()));
        }
        let polled = Pin::new(&mut self.io).poll_read(context, buffer);
        let polled = self.with_idle_timeout(polled, context);
        let all_written = self.position == Position::BetweenResponses && self.unwritten.is_empty();
        match &self.connection {
            // A read of nothing tells hyper that the client closed the connection.
            Some(connection) if polled.is_pending() => connection.poll_closed(all_written, context).map(Ok),
            _ => polled,
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for ClientStream<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[io::IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_write_interim(context))?;
        if self.position == Position::BetweenResponses
            && let Some(response) = parse_error::replacement(slices)
        {
            self.unwritten.extend_from_slice(&response);
            return Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()));
        }
        self.position = Position::WithinResponse;
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.with_idle_timeout(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.position = Position::BetweenResponses;
        ready!(self.poll_write_interim(context))?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interim::InterimSender;
    use http::{HeaderMap, StatusCode, header};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const HINT: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n";

    fn send_hint(sender: &InterimSender) {
        let link = HeaderMap::from_iter([(header::LINK, "</a.css>".parse().unwrap())]);
        sender.send(StatusCode::EARLY_HINTS, &link);
    }

    fn stream() -> (ClientStream<DuplexStream>, DuplexStream) {
        let (proxy, client) = duplex(1 << 16);
        (ClientStream::new(proxy, Duration::from_secs(60)), client)
    }

    /// Everything that the client received.
    async fn received(mut client: DuplexStream, stream: ClientStream<DuplexStream>) -> String {
        drop(stream);
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test]
    async fn an_interim_response_is_written_before_the_final_one() {
        let (mut stream, client) = stream();
        let (_window, sender) = stream.interim_queue().open_window();
        send_hint(&sender);
        stream.write_all(b"final").await.unwrap();
        assert_eq!(received(client, stream).await, format!("{HINT}final"));
    }

    #[tokio::test]
    async fn an_interim_response_is_never_written_inside_a_final_one() {
        let (mut stream, client) = stream();
        let (_window, sender) = stream.interim_queue().open_window();
        stream.write_all(b"fi").await.unwrap();
        send_hint(&sender);
        stream.write_all(b"nal").await.unwrap();
        stream.flush().await.unwrap();
        send_hint(&sender);
        stream.flush().await.unwrap();
        assert_eq!(received(client, stream).await, format!("final{HINT}"));
    }

    #[tokio::test]
    async fn an_interim_response_after_the_final_one_is_dropped() {
        let (mut stream, client) = stream();
        let (window, sender) = stream.interim_queue().open_window();
        drop(window);
        send_hint(&sender);
        stream.flush().await.unwrap();
        assert_eq!(received(client, stream).await, "");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_activity_is_closed() {
        let (mut stream, _client) = stream();
        let begun = Instant::now();
        let failed = stream.read(&mut [0; 8]).await.unwrap_err();
        assert_eq!((failed.kind(), begun.elapsed()), (io::ErrorKind::TimedOut, Duration::from_secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_cut_off() {
        let (proxy, _client) = duplex(16);
        let mut stream = ClientStream::new(proxy, Duration::from_secs(60));
        let failed = stream.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_with_occasional_activity_stays_open() {
        let (mut stream, mut client) = stream();
        let slow = tokio::spawn(async move {
            for _ in 0..5 {
                sleep(Duration::from_secs(50)).await;
                client.write_all(b"x").await.unwrap();
            }
        });
        stream.read_exact(&mut [0; 5]).await.unwrap();
        slow.await.unwrap();
    }
}
