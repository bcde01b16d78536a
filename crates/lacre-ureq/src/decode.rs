//! Decodes compressed responses above the cache, which keeps the bytes as they came.

use crate::body::with_content_type;
use http::{HeaderValue, Request, Response, header};
use lacre::{Coding, Codings, ExpansionLimit};
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Body, Error, SendBody};

/// A middleware that decodes compressed responses.
///
/// [`AgentBuilder`](crate::AgentBuilder) adds it and asks for compression. In a stack of your own,
/// place it above the cache.
///
/// The features of this crate decide what it decodes: `gzip` (on by default) and `brotli`. Like
/// ureq, it removes `Content-Encoding` and `Content-Length` from a response that it decodes. It
/// leaves parts (206), responses to HEAD, and responses with several codings as they are. A body
/// that decodes to more than 64 MiB and more than 1100 times its length ends with an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decompress;

/// Whether the agent asks for compressed responses and decodes them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    Decode,
    Off,
}

impl Decompress {
    /// The value of `Accept-Encoding` to send, or `None` if no coding is enabled.
    #[must_use]
    pub fn accepted() -> Option<HeaderValue> {
        CODINGS.accept_encoding()
    }
}

/// The codings that the features enable.
const CODINGS: Codings = Codings::new(&[
    #[cfg(feature = "gzip")]
    Coding::Gzip,
    #[cfg(feature = "brotli")]
    Coding::Brotli,
]);

impl Middleware for Decompress {
    fn handle(
        &self,
        request: Request<SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<Response<Body>, Error> {
        let method = request.method().clone();
        let response = next.handle(request)?;
        Ok(match CODINGS.to_decode(&method, response.status(), response.headers()) {
            Some(coding) => decoded(response, coding),
            None => response,
        })
    }
}

fn decoded(response: Response<Body>, coding: Coding) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head.headers.remove(header::CONTENT_ENCODING);
    head.headers.remove(header::CONTENT_LENGTH);
    let limit = ExpansionLimit::default();
    let encoded = Encoded { reader: body.into_reader(), limit: limit.clone() };
    let decoder = Mutex::new(decoder(coding, encoded));
    let body = with_content_type(&head.headers, Decoded { decoder, limit });
    Response::from_parts(head, body)
}

type Decoder = Box<dyn Read + Send>;

fn decoder(coding: Coding, encoded: impl Read + Send + 'static) -> Decoder {
    match coding {
        #[cfg(feature = "gzip")]
        Coding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(encoded)),
        #[cfg(feature = "brotli")]
        Coding::Brotli => Box::new(brotli::Decompressor::new(encoded, 8 << 10)),
        _ => Box::new(encoded),
    }
}

/// Counts the bytes that the decoder reads.
struct Encoded<R> {
    reader: R,
    limit: ExpansionLimit,
}

impl<R: Read> Read for Encoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.limit.add_encoded(read);
        Ok(read)
    }
}

/// Counts the bytes that the decoder returns.
struct Decoded {
    /// Never locked. The mutex makes the reader `Sync`, which ureq requires.
    decoder: Mutex<Decoder>,
    limit: ExpansionLimit,
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.get_mut().unwrap_or_else(PoisonError::into_inner).read(buffer)?;
        self.limit.add_decoded(read).map_err(io::Error::other)?;
        Ok(read)
    }
}
