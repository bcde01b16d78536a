//! Compressed responses, decoded above the cache, which keeps the bytes as they came.

use crate::body::described;
use http::{HeaderValue, Request, Response, header};
use lacre::{Coding, DecodedLength};
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use ureq::middleware::{Middleware, MiddlewareNext};
use ureq::{Body, Error, SendBody};

/// Decodes compressed responses. [`AgentBuilder`](crate::AgentBuilder) has it, and asks for compression; in a stack of your own it goes above
/// the cache.
///
/// It decodes what the features of this crate name: `gzip` (on by default) and `brotli`. As ureq does, it takes `Content-Encoding` and
/// `Content-Length` away from what it decodes; parts (206), responses to HEAD and what has several codings stay as they are. What becomes
/// absurdly long ends with an error.
#[derive(Clone, Copy, Debug, Default)]
pub struct Decompress;

impl Decompress {
    /// What to send as `Accept-Encoding`; `None`: nothing can be decoded.
    #[must_use]
    pub fn accepted() -> Option<HeaderValue> {
        let names: Vec<_> = CODINGS.iter().map(|coding| coding.as_str()).collect();
        HeaderValue::try_from(names.join(", ")).ok().filter(|value| !value.is_empty())
    }
}

/// Those that the features allow.
const CODINGS: &[Coding] = &[
    #[cfg(feature = "gzip")]
    Coding::Gzip,
    #[cfg(feature = "brotli")]
    Coding::Brotli,
];

impl Middleware for Decompress {
    fn handle(
        &self,
        request: Request<SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<Response<Body>, Error> {
        let method = request.method().clone();
        let response = next.handle(request)?;
        let coding = Coding::of(&method, response.status(), response.headers());
        Ok(match coding.filter(|coding| CODINGS.contains(coding)) {
            Some(coding) => decoded(response, coding),
            None => response,
        })
    }
}

fn decoded(response: Response<Body>, coding: Coding) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    head.headers.remove(header::CONTENT_ENCODING);
    head.headers.remove(header::CONTENT_LENGTH);
    let length = Arc::new(Mutex::new(DecodedLength::default()));
    let encoded = Encoded { reader: body.into_reader(), length: Arc::clone(&length) };
    let decoder = Mutex::new(decoder(coding, encoded));
    let body = described(&head.headers, Decoded { decoder, length });
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

struct Encoded<R> {
    reader: R,
    length: Arc<Mutex<DecodedLength>>,
}

impl<R: Read> Read for Encoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.length.lock().unwrap_or_else(PoisonError::into_inner).came(read);
        Ok(read)
    }
}

struct Decoded {
    /// Nobody ever locks it: ureq wants it to be `Sync`.
    decoder: Mutex<Decoder>,
    length: Arc<Mutex<DecodedLength>>,
}

impl Read for Decoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.decoder.get_mut().unwrap_or_else(PoisonError::into_inner).read(buffer)?;
        let became = self.length.lock().unwrap_or_else(PoisonError::into_inner).became(read);
        became.map_err(io::Error::other)?;
        Ok(read)
    }
}
