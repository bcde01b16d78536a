//! [`ConnectionUse`]: whether a connection to an origin has carried a response before, and whether
//! anything arrived on it since the last request. It decides whether a request is sent again.

use http::Uri;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

/// A connector whose connections record their [`ConnectionUse`].
#[derive(Clone)]
pub(crate) struct TrackedConnector<C>(pub(crate) C);

/// How a connection was used. It is among the extensions of each response on that connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConnectionUse(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    had_response: AtomicBool,
    /// Something was read after the last write.
    was_read: AtomicBool,
}

impl ConnectionUse {
    /// Records that a response arrived.
    pub(crate) fn record_response(&self) {
        self.0.had_response.store(true, Ordering::Relaxed);
    }

    /// Whether the connection had a response before, and not a byte in answer to the last request.
    pub(crate) fn was_reused_and_silent(&self) -> bool {
        self.0.had_response.load(Ordering::Relaxed) && !self.0.was_read.load(Ordering::Relaxed)
    }
}

impl<C> Service<Uri> for TrackedConnector<C>
where
    C: Service<Uri, Future: Send + 'static>,
{
    type Response = TokioIo<TrackedStream<TokioIo<C::Response>>>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, url: Uri) -> Self::Future {
        let connecting = self.0.call(url);
        Box::pin(async move {
            let stream = TokioIo::new(connecting.await?);
            Ok(TokioIo::new(TrackedStream { stream, usage: ConnectionUse::default() }))
        })
    }
}

pin_project! {
    /// A connection to an origin that records its use.
    pub(crate) struct TrackedStream<T> {
        #[pin]
        stream: T,
        usage: ConnectionUse,
    }
}

impl<T: Connection> Connection for TrackedStream<T> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.usage.clone())
    }
}

impl<T: AsyncRead> AsyncRead for TrackedStream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buffer.filled().len();
        let polled = this.stream.poll_read(context, buffer);
        if buffer.filled().len() > before {
            this.usage.0.was_read.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite> AsyncWrite for TrackedStream<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.usage.0.was_read.store(false, Ordering::Relaxed);
        this.stream.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.usage.0.was_read.store(false, Ordering::Relaxed);
        this.stream.poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(context)
    }
}
