//! Converts between the readers of ureq and the polled bodies of `http_body`.

use crate::deadline::Deadline;
use bytes::{Buf, Bytes};
use futures_util::future::{Either, select};
use http::{HeaderMap, header};
use http_body::{Frame, SizeHint};
use lacre::{Content, Failure, Runtime, Threads, wait};
use std::future::poll_fn;
use std::io::{self, Cursor, Read};
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use ureq::Body;

/// The size of one read from the network, in bytes.
const READ_SIZE: usize = 32 << 10;

/// The body of a response from the network. Polling it blocks.
pub(crate) enum Incoming {
    Unread(Body),
    Started {
        reader: ureq::BodyReader<'static>,
        left: Option<u64>,
    },
    /// There is no body to read, even if the headers give a length, as those of HEAD do.
    Empty(Body),
    Done,
}

impl Incoming {
    pub(crate) fn empty(body: Body) -> Self {
        Self::Empty(body)
    }

    fn left(&self) -> Option<u64> {
        match self {
            Self::Unread(body) => body.content_length(),
            Self::Started { left, .. } => *left,
            Self::Empty(_) | Self::Done => Some(0),
        }
    }

    fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Self::Unread(_) = self
            && let Self::Unread(body) = std::mem::replace(self, Self::Done)
        {
            *self = Self::Started { left: body.content_length(), reader: body.into_reader() };
        }
        let Self::Started { reader, left } = self else { return None };
        let mut piece = vec![0; READ_SIZE];
        match reader.read(&mut piece) {
            Ok(0) => {
                *self = Self::Done;
                None
            }
            Ok(read) => {
                *left = left.map(|left| left.saturating_sub(read as u64));
                piece.truncate(read);
                Some(Ok(piece.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.next(),
            Err(error) => {
                *self = Self::Done;
                Some(Err(error))
            }
        }
    }
}

impl From<Body> for Incoming {
    fn from(body: Body) -> Self {
        Self::Unread(body)
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Poll::Ready(self.next().map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty(_) | Self::Done) || self.left() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The body that the caller reads. It fails with a timeout at the deadline.
pub(crate) fn outgoing(headers: &HeaderMap, content: Content<Incoming>, deadline: Deadline) -> Body {
    let stored = match content {
        // ureq's own body keeps its metadata.
        Content::Passing(Incoming::Unread(body) | Incoming::Empty(body)) => return body,
        Content::Passing(passing) => return with_content_type(headers, BodyReader::new(passing, deadline)),
        Content::Storing(recorded) => {
            return with_content_type(headers, BodyReader::new(recorded, deadline));
        }
        Content::Stored(stored) => stored,
    };
    match stored.in_memory() {
        Some(bytes) => with_content_type(headers, Cursor::new(bytes.clone())),
        None => with_content_type(headers, BodyReader::new(stored, deadline)),
    }
}

/// A body with the media type and the charset of `Content-Type`, from which ureq decodes text.
pub(crate) fn with_content_type(headers: &HeaderMap, reader: impl Read + Send + Sync + 'static) -> Body {
    let mut builder = Body::builder();
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if let Some(content_type) = content_type {
        let (mime_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        builder = builder.mime_type(mime_type.trim());
        let charset = parameters.split(';').find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
        });
        if let Some(charset) = charset {
            builder = builder.charset(charset);
        }
    }
    builder.reader(reader)
}

type PolledBody = Pin<Box<dyn http_body::Body<Data = Bytes, Error = io::Error> + Send>>;

/// A reader over a polled body. The mutex is never locked; it makes the reader [`Sync`], which ureq
/// requires.
struct BodyReader {
    body: Mutex<PolledBody>,
    piece: Bytes,
    deadline: Deadline,
}

impl BodyReader {
    fn new<B>(body: B, deadline: Deadline) -> Self
    where
        B: http_body::Body<Data = Bytes, Error: IntoIo> + Send + 'static,
    {
        Self { body: Mutex::new(Box::pin(ErrorsToIo(Box::pin(body)))), piece: Bytes::new(), deadline }
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while !self.piece.has_remaining() {
            // Dropped before the next poll, so that the body can reuse its memory.
            self.piece = Bytes::new();
            let body = self.body.get_mut().unwrap_or_else(PoisonError::into_inner);
            self.deadline.check_reading()?;
            let frame = poll_fn(|context| body.as_mut().poll_frame(context));
            let frame = match self.deadline.left() {
                None => wait(frame),
                Some(left) => match wait(select(frame, pin!(Threads.sleep(left)))) {
                    Either::Left((frame, _)) => frame,
                    Either::Right(_) => continue,
                },
            };
            match frame {
                Some(frame) => self.piece = frame?.into_data().unwrap_or_default(),
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

/// Converts the errors of bodies to those of readers.
trait IntoIo {
    fn into_io(self) -> io::Error;
}

impl IntoIo for io::Error {
    fn into_io(self) -> io::Error {
        self
    }
}

impl IntoIo for lacre::Error {
    fn into_io(self) -> io::Error {
        io::Error::other(self)
    }
}

impl IntoIo for Failure<io::Error> {
    fn into_io(self) -> io::Error {
        match self {
            Self::Network(error) => error,
            Self::Cache(error) => error.into_io(),
        }
    }
}

struct ErrorsToIo<B>(Pin<Box<B>>);

impl<B: http_body::Body<Data = Bytes, Error: IntoIo>> http_body::Body for ErrorsToIo<B> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.as_mut().poll_frame(context).map_err(IntoIo::into_io)
    }
}
