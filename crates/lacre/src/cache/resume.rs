//! How a reader that follows another request's answer goes on by itself where that answer fails it: it sends its own request, and passes over
//! what it has read already. Nothing is handed out twice, and nothing is joined that does not belong together: the answer must begin with the
//! very bytes that were read, or the reader gets an error.

use super::transfer::broken_off;
use crate::Error;
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

/// What such a request is answered with.
pub(crate) struct OwnAnswer {
    pub(crate) head: response::Parts,
    pub(crate) body: Rest,
}

/// What a reader was given so far.
#[derive(Clone, Default)]
pub(super) struct Progress {
    bytes: u64,
    /// Boxed, since it has 2 KB, and every reply could have one.
    digest: Box<blake3::Hasher>,
}

impl Progress {
    pub(super) fn took(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        self.digest.update(piece);
    }

    fn is_that_of(&self, other: &Self) -> bool {
        self.bytes == other.bytes && self.digest.finalize() == other.digest.finalize()
    }
}

/// What the reader was told in the head of the answer that it followed, and its own must not contradict.
pub(super) struct Like {
    status: StatusCode,
    encoding: Option<HeaderValue>,
    length: Option<u64>,
}

impl Like {
    pub(super) fn of<B>(entry: &Entry<B>, length: Option<u64>) -> Self {
        let encoding = entry.headers.get(header::CONTENT_ENCODING).cloned();
        Self { status: entry.status, encoding, length }
    }

    fn agrees(&self, head: &response::Parts) -> bool {
        self.status == head.status && self.encoding.as_ref() == head.headers.get(header::CONTENT_ENCODING)
    }
}

/// A body, or what is left of it.
pub(crate) type Rest = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

pub(super) fn rest(resume: Box<dyn Resume>, read: Progress, like: Like) -> Rest {
    let resuming =
        Resuming { resume: Some(resume), body: None, read, passed: Progress::default(), at: 0, like };
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
    /// Gone once it was sent.
    resume: Option<Box<dyn Resume>>,
    body: Option<Rest>,
    read: Progress,
    /// The same, of its own answer.
    passed: Progress,
    at: u64,
    like: Like,
}

impl Resuming {
    async fn step(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(resume) = self.resume.take() {
            let OwnAnswer { head, body } = resume.send().await?;
            if !self.like.agrees(&head) {
                return Err(broken_off());
            }
            self.body = Some(body);
        }
        let Some(body) = &mut self.body else { return Ok(None) };
        while let Some(piece) = body.next().await {
            let mut piece = piece?;
            self.at += piece.len() as u64;
            let missing = self.read.bytes - self.passed.bytes;
            if missing > 0 {
                let again = piece.split_to(usize::try_from(missing).unwrap_or(usize::MAX).min(piece.len()));
                self.passed.took(&again);
                if self.passed.bytes == self.read.bytes && !self.passed.is_that_of(&self.read) {
                    return Err(broken_off());
                }
            }
            if !piece.is_empty() {
                return Ok(Some(piece));
            }
        }
        let complete =
            self.passed.bytes == self.read.bytes && self.like.length.is_none_or(|length| length == self.at);
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
        progress.took(read);
        let like = Like { status: StatusCode::OK, encoding: None, length };
        let pieces: Vec<_> = wait(rest(Box::new(Canned(response)), progress, like).collect());
        pieces.into_iter().collect::<Result<Vec<_>, _>>().map(|pieces| pieces.concat())
    }

    #[test]
    fn a_reader_goes_on_where_it_was() {
        for read in [&b""[..], b"o", b"one ", b"one t", b"one two"] {
            let own = Response::new(vec![&b"one "[..], b"two"]);
            assert_eq!(resumed(own, read, Some(7)).unwrap(), b"one two"[read.len()..]);
        }
    }

    #[test]
    fn what_does_not_belong_to_what_was_read_is_never_joined_to_it() {
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
