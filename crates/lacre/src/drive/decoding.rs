//! Content codings that clients decode above the cache (RFC 9110 §8.4).
//!
//! The cache keeps a body as it came from the network. The rules that all clients share are here:
//! which codings they ask for, which responses they decode, and how far a body may expand. The
//! decoders themselves are the clients'.

use crate::{Error, ErrorKind};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A content coding that clients can decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// `gzip`, also named `x-gzip`.
    Gzip,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
    /// `deflate`
    Deflate,
}

impl Coding {
    /// The single content coding of a response with a whole body.
    ///
    /// `None` if there is no body (HEAD, 1xx, 204, 304), no coding, more than one, or an unknown
    /// one; and for 206, because a part of an encoded body cannot be decoded.
    fn of_response(method: &Method, status: StatusCode, headers: &HeaderMap) -> Option<Self> {
        let whole = !status.is_informational()
            && ![StatusCode::NO_CONTENT, StatusCode::PARTIAL_CONTENT, StatusCode::NOT_MODIFIED]
                .contains(&status);
        if *method == Method::HEAD || !whole {
            return None;
        }
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let (value, None) = (values.next()?, values.next()) else { return None };
        let named = |name: &str| value.as_bytes().trim_ascii().eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if named("gzip") || named("x-gzip") => Some(Self::Gzip),
            () if named("br") => Some(Self::Brotli),
            () if named("zstd") => Some(Self::Zstd),
            () if named("deflate") => Some(Self::Deflate),
            () => None,
        }
    }

    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }
}

/// The codings that one client can decode, which depend on the features it was built with.
#[derive(Clone, Copy, Debug)]
pub struct Codings(&'static [Coding]);

impl Codings {
    /// These codings, the preferred one first.
    #[must_use]
    pub const fn new(codings: &'static [Coding]) -> Self {
        Self(codings)
    }

    /// The value of `Accept-Encoding` that asks for them; `None` if there are none.
    #[must_use]
    pub fn accept_encoding(self) -> Option<HeaderValue> {
        let names: Vec<_> = self.0.iter().map(|coding| coding.as_str()).collect();
        HeaderValue::try_from(names.join(", ")).ok().filter(|value| !value.is_empty())
    }

    /// The coding to decode in a response to a request with this method, or `None` to leave the
    /// response as it is.
    ///
    /// A response is left alone if it has no body, is a part (206), has several codings, or has one
    /// that is not listed.
    #[must_use]
    pub fn to_decode(self, method: &Method, status: StatusCode, headers: &HeaderMap) -> Option<Coding> {
        Coding::of_response(method, status, headers).filter(|coding| self.0.contains(coding))
    }
}

/// Stops a small encoded body from expanding without end.
///
/// A body may decode to 64 MiB, or to 1100 times its encoded length where that is more. Ordinary
/// text does not compress that well. Clones count the same body: one counts the encoded bytes, the
/// other the decoded ones.
#[derive(Clone, Debug, Default)]
pub struct ExpansionLimit(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    encoded: AtomicU64,
    decoded: AtomicU64,
}

impl ExpansionLimit {
    /// Always allowed, in bytes.
    const MIN_LIMIT: u64 = 64 << 20;
    const MAX_RATIO: u64 = 1100;

    /// Counts encoded bytes that were read.
    pub fn add_encoded(&self, bytes: usize) {
        self.0.encoded.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts decoded bytes.
    ///
    /// # Errors
    /// The decoded body is now too long.
    pub fn add_decoded(&self, bytes: usize) -> Result<(), Error> {
        let bytes = bytes as u64;
        let decoded = self.0.decoded.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        let encoded = self.0.encoded.load(Ordering::Relaxed);
        if decoded <= encoded.saturating_mul(Self::MAX_RATIO).max(Self::MIN_LIMIT) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Broken, "the response body decodes to more than 1100 times its length")
            .with_hint(
                "ask for it with `Accept-Encoding: identity`, or build the client with no_compression()",
            ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn coding(method: &Method, status: u16, values: &[&'static str]) -> Option<Coding> {
        let values = values.iter().map(|value| (header::CONTENT_ENCODING, HeaderValue::from_static(value)));
        let mut headers = HeaderMap::new();
        for (name, value) in values {
            headers.append(name, value);
        }
        Coding::of_response(method, StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn only_a_whole_body_in_one_known_coding_is_decoded() {
        assert_eq!(coding(&Method::GET, 200, &["gzip"]), Some(Coding::Gzip));
        assert_eq!(coding(&Method::POST, 404, &["X-GZIP"]), Some(Coding::Gzip));
        assert_eq!(coding(&Method::GET, 200, &["br"]), Some(Coding::Brotli));
        for (method, status, values) in [
            (Method::HEAD, 200, &["gzip"][..]),
            (Method::GET, 204, &["gzip"]),
            (Method::GET, 206, &["gzip"]),
            (Method::GET, 304, &["gzip"]),
            (Method::GET, 200, &["gzip", "br"]),
            (Method::GET, 200, &["gzip, br"]),
            (Method::GET, 200, &["aes128gcm"]),
            (Method::GET, 200, &[]),
        ] {
            assert_eq!(coding(&method, status, values), None, "{method} {status} {values:?}");
        }
    }

    #[test]
    fn a_client_asks_for_and_decodes_only_the_codings_that_it_has() {
        let gzip = Codings::new(&[Coding::Gzip]);
        assert_eq!(gzip.accept_encoding().unwrap(), "gzip");
        assert_eq!(Codings::new(&[Coding::Brotli, Coding::Gzip]).accept_encoding().unwrap(), "br, gzip");
        assert_eq!(Codings::new(&[]).accept_encoding(), None);
        for (name, decoded) in [("gzip", Some(Coding::Gzip)), ("br", None)] {
            let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(name))]);
            assert_eq!(gzip.to_decode(&Method::GET, StatusCode::OK, &headers), decoded);
        }
    }

    #[test]
    fn a_body_that_expands_beyond_the_limit_is_an_error() {
        let encoded = ExpansionLimit::default();
        let decoded = encoded.clone();
        encoded.add_encoded(1000);
        decoded.add_decoded(64 << 20).unwrap();
        decoded.add_decoded(1).unwrap_err();
        encoded.add_encoded(1 << 20);
        decoded.add_decoded(64 << 20).unwrap();
    }
}
