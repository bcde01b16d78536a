//! Resuming a body on a request of one's own. A reader of an in-flight response whose transfer
//! fails sends its own request, and skips the bytes that it has read already. Those bytes must be
//! the same in both responses; otherwise the reader gets an error.

use crate::{Error, ErrorKind};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderValue, StatusCode, header, response};
use lacre_core::Entry;
use std::pin::Pin;
use std::time::Duration;

/// A request that a reader can send itself.
pub(crate) trait Resume: Send {
    /// Sends it.
    fn send(self: Box<Self>) -> Pin<Box<dyn Future<Output = Result<OwnAnswer, Error>> + Send>>;

    /// Resolves after `time`.
    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The response to such a request.
pub(crate) struct OwnAnswer {
    pub(crate) head: response::Parts,
    pub(crate) body: Rest,
}

/// The bytes that a reader was given so far.
#[derive(Clone, Default)]
pub(crate) struct Progress {
    bytes: u64,
    /// Boxed: it has 2 KB, and every reply may have one.
    digest: Box<blake3::Hasher>,
}

impl Progress {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.digest.update(piece);
    }

    fn equals(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.digest.finalize() == other.digest.finalize()
    }
}

/// The head of the first response, as the reader knows it. The second response must agree with it.
pub(crate) struct Expected {
    status: StatusCode,
    encoding: Option<HeaderValue>,
    length: Option<u64>,
}

impl Expected {
    pub(crate) fn of<B>(entry: &Entry<B>, length: Option<u64>) -> Self {
        let encoding = entry.headers.get(header::CONTENT_ENCODING).cloned();
        Self { status: entry.status, encoding, length }
    }

    fn agrees(&self, head: &response::Parts) -> bool {
        self.status == head.status && self.encoding.as_ref() == head.headers.get(header::CONTENT_ENCODING)
    }
}

/// The error of a reader of an in-flight response that gets no more of it.
pub(crate) fn broken_off() -> Error {
    Error::new(ErrorKind::Gone, "the response broke off while several requests were reading it")
        .with_hint("send the request again")
}

/// A body, or the rest of one.
pub(crate) type Rest = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

pub(crate) fn rest(resume: Box<dyn Resume>, read: Progress, expected: Expected) -> Rest {
    let resuming =
        Resuming { resume: Some(resume), body: None, read, skipped: Progress::default(), at: 0, expected };
    Box::pin(stream::unfold(Some(resuming), |resuming| async {
        let mut resuming = resuming?;
        match resuming.step().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(resuming))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    }))
}

struct Resuming {
    /// `None` once it was sent.
    resume: Option<Box<dyn Resume>>,
    body: Option<Rest>,
    read: Progress,
    /// The bytes skipped in the second response.
    skipped: Progress,
    at: u64,
    expected: Expected,
}

impl Resuming {
    async fn step(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(resume) = self.resume.take() {
            let OwnAnswer { head, body } = resume.send().await?;
            if !self.expected.agrees(&head) {
                return Err(broken_off());
            }
            self.body = Some(body);
        }
        let Some(body) = &mut self.body else { return Ok(None) };
        while let Some(piece) = body.next().await {
            let mut piece = piece?;
            self.at += piece.len() as u64;
            let missing = self.read.bytes - self.skipped.bytes;
            if missing > 0 {
                let again = piece.split_to(usize::try_from(missing).unwrap_or(usize::MAX).min(piece.len()));
                self.skipped.add(&again);
                if self.skipped.bytes == self.read.bytes && !self.skipped.equals(&self.read) {
                    return Err(broken_off());
                }
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        let complete = self.skipped.bytes == self.read.bytes
            && self.expected.length.is_none_or(|length| length == self.at);
        if complete { Ok(None) } else { Err(broken_off()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait;
    use http::Response;

    struct Canned(Response<Vec<&'static [u8]>>);

    impl Resume for Canned {
        fn send(self: Box<Self>) -> Pin<Box<dyn Future<Output = Result<OwnAnswer, Error>> + Send>> {
            let (head, pieces) = self.0.into_parts();
            let body = Box::pin(stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from_static(piece)))));
            Box::pin(async { Ok(OwnAnswer { head, body }) })
        }

        fn pause(&self, _: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
            Box::pin(async {})
        }
    }

    fn resumed(
        response: Response<Vec<&'static [u8]>>,
        read: &[u8],
        length: Option<u64>,
    ) -> Result<Vec<u8>, Error> {
        let mut progress = Progress::default();
        progress.add(read);
        let expected = Expected { status: StatusCode::OK, encoding: None, length };
        let pieces: Vec<_> = wait(rest(Box::new(Canned(response)), progress, expected).collect());
        pieces.into_iter().collect::<Result<Vec<_>, _>>().map(|pieces| pieces.concat())
    }

    #[test]
    fn a_reader_resumes_at_its_position() {
        for read in [&b""[..], b"o", b"one ", b"one t", b"one two"] {
            let own = Response::new(vec![&b"one "[..], b"two"]);
            assert_eq!(resumed(own, read, Some(7)).unwrap(), b"one two"[read.len()..]);
        }
    }

    #[test]
    fn a_different_response_is_never_joined_to_the_first() {
        let own = |pieces: &[&'static [u8]]| Response::new(pieces.to_vec());
        resumed(own(&[b"another"]), b"one", None).unwrap_err();
        resumed(own(&[b"on"]), b"one", None).unwrap_err();
        resumed(own(&[b"one two"]), b"one", Some(9)).unwrap_err();
        let mut failed = own(&[b"one two"]);
        *failed.status_mut() = StatusCode::NOT_FOUND;
        resumed(failed, b"one", None).unwrap_err();
        let encoded =
            Response::builder().header("content-encoding", "gzip").body(vec![&b"one two"[..]]).unwrap();
        resumed(encoded, b"", None).unwrap_err();
    }
}
