//! Which responses have a body that is to be decoded before their caller reads it (RFC 9110 §8.4), and how long it may become. Clients decode
//! above the cache, which keeps the bytes as they came.

use crate::{Error, ErrorKind};
use http::{HeaderMap, Method, StatusCode, header};

/// A coding that clients can decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coding {
    /// `gzip`, and `x-gzip`, which is another name for it.
    Gzip,
    /// `br`
    Brotli,
    /// `zstd`
    Zstd,
    /// `deflate`
    Deflate,
}

impl Coding {
    /// The coding of the body of a response to a request with this method, if there is one, and only one. A part of an encoded body is never
    /// decoded, nor is there anything to decode where the response has no body.
    #[must_use]
    pub fn of(method: &Method, status: StatusCode, headers: &HeaderMap) -> Option<Self> {
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

/// What keeps a small encoded body from becoming an endless one: no more than 64 MiB, or 1100 times of what came, is decoded. No encoder
/// makes honest text smaller than that.
#[derive(Clone, Copy, Debug, Default)]
pub struct DecodedLength {
    encoded: u64,
    decoded: u64,
}

impl DecodedLength {
    const ALWAYS: u64 = 64 << 20;
    const RATIO: u64 = 1100;

    /// So many bytes came.
    pub fn came(&mut self, encoded: usize) {
        self.encoded = self.encoded.saturating_add(encoded as u64);
    }

    /// So many were decoded.
    ///
    /// # Errors
    /// They are too many.
    pub fn became(&mut self, decoded: usize) -> Result<(), Error> {
        self.decoded = self.decoded.saturating_add(decoded as u64);
        if self.decoded <= self.encoded.saturating_mul(Self::RATIO).max(Self::ALWAYS) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Broken,
            "the response becomes more than 1100 times as long when it is decoded",
        )
        .with_hint("ask for it with `Accept-Encoding: identity`, or build the client with no_compression()"))
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
        Coding::of(method, StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn a_whole_body_in_one_coding_is_decoded_and_nothing_else() {
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
    fn a_body_that_explodes_is_an_error() {
        let mut length = DecodedLength::default();
        length.came(1000);
        length.became(64 << 20).unwrap();
        length.became(1).unwrap_err();
        length.came(1 << 20);
        length.became(64 << 20).unwrap();
    }
}
