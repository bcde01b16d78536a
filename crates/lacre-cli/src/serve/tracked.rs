//! Connections to origins that remember how they were used: whether one has answered before, and whether anything came since the last
//! request.

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

/// A connector whose connections are tracked.
#[derive(Clone)]
pub(crate) struct Tracked<C>(pub(crate) C);

/// How a connection was used; among the extensions of each response that came on it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Used(Arc<Use>);

#[derive(Debug, Default)]
struct Use {
    answered: AtomicBool,
    /// Something was read since something was last written.
    heard: AtomicBool,
}

impl Used {
    /// A response came.
    pub(crate) fn answered(&self) {
        self.0.answered.store(true, Ordering::Relaxed);
    }

    /// Whether there was a response before, and nothing at all to the last request.
    pub(crate) fn ended_in_silence(&self) -> bool {
        self.0.answered.load(Ordering::Relaxed) && !self.0.heard.load(Ordering::Relaxed)
    }
}

impl<C> Service<Uri> for Tracked<C>
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
            Ok(TokioIo::new(TrackedStream { stream, used: Used::default() }))
        })
    }
}

pin_project! {
    /// A connection to an origin.
    pub(crate) struct TrackedStream<T> {
        #[pin]
        stream: T,
        used: Used,
    }
}

impl<T: Connection> Connection for TrackedStream<T> {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.used.clone())
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
            this.used.0.heard.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl<T: AsyncWrite> AsyncWrite for TrackedStream<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.used.0.heard.store(false, Ordering::Relaxed);
        this.stream.poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        this.used.0.heard.store(false, Ordering::Relaxed);
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
