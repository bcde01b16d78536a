//! The response as the caller gets it.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use lacre::{Content, TeeBody};
use pin_project_lite::pin_project;
use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

/// The time that the cache took to look a request up. Every response has it among its extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupTime(pub Duration);

pin_project! {
    /// The body of a response that went through the cache.
    pub struct ServedBody<R: Body> {
        #[pin]
        body: Served<R>,
    }
}

pin_project! {
    #[project = ServedProjection]
    enum Served<R: Body> {
        Stored { body: lacre::Body },
        Storing { body: TeeBody<R::Error> },
        Passing { #[pin] body: R },
    }
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl<R: Body> From<Content<R>> for ServedBody<R> {
    fn from(content: Content<R>) -> Self {
        let body = match content {
            Content::Stored(body) => Served::Stored { body },
            Content::Storing(body) => Served::Storing { body },
            Content::Passing(body) => Served::Passing { body },
        };
        Self { body }
    }
}

impl<R> Body for ServedBody<R>
where
    R: Body<Data = Bytes, Error: Into<BoxError> + Send + 'static>,
{
    type Data = Bytes;
    /// The service's own error, or a [`lacre::Error`] if a stored body could not be read to its
    /// end.
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.project().body.project() {
            ServedProjection::Stored { body } => Pin::new(body).poll_frame(context).map_err(Into::into),
            ServedProjection::Storing { body } => {
                Pin::new(body).poll_frame(context).map_err(lacre::Failure::into_cause)
            }
            ServedProjection::Passing { body } => body.poll_frame(context).map_err(Into::into),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Served::Stored { body } => body.is_end_stream(),
            Served::Storing { body } => body.is_end_stream(),
            Served::Passing { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Served::Stored { body } => body.size_hint(),
            Served::Storing { body } => body.size_hint(),
            Served::Passing { body } => body.size_hint(),
        }
    }
}

impl<R: Body> fmt::Debug for ServedBody<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match self.body {
            Served::Stored { .. } => "stored",
            Served::Storing { .. } => "recorded",
            Served::Passing { .. } => "passing",
        };
        f.debug_struct("ServedBody").field("from", &from).finish_non_exhaustive()
    }
}
