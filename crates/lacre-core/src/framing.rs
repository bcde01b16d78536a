//! Message framing (RFC 9112 §6): the end of a body, as its headers declare it. Stored and
//! forwarded headers must agree with the body. [`content_length`] is the only reader of
//! `Content-Length` in this repository.

use http::{HeaderMap, HeaderValue, StatusCode, Version, header, response};
use std::error::Error as StdError;
use std::fmt;

/// A contradiction in the framing of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FramingError {
    /// `Content-Length` is not a number, or has different numbers (RFC 9112 §6.3).
    Length,
    /// `Transfer-Encoding` is not `chunked` alone, so the body may be encoded (RFC 9112 §6.1).
    TransferCoding,
}

/// Returns the declared length of a body. `None` if there is no `Content-Length`, or if the body is
/// chunked: RFC 9112 §6.3: Transfer-Encoding overrides Content-Length.
///
/// A `Transfer-Encoding` with a single unknown word is not a coding. The body ends with the
/// connection then (§6.3).
///
/// # Errors
/// The values of `Content-Length` differ, or `Transfer-Encoding` names a coding other than
/// `chunked`.
pub fn content_length(headers: &HeaderMap) -> Result<Option<u64>, FramingError> {
    match is_chunked(headers) {
        Ok(false) => {}
        Err(_) if !names_no_coding(headers) => return Err(FramingError::TransferCoding),
        Ok(true) | Err(_) => return Ok(None),
    }
    numbers(headers.get_all(header::CONTENT_LENGTH).iter().map(HeaderValue::as_bytes))
}

/// Parses the value of a `Content-Length` field that is not in a [`HeaderMap`]. `None` if invalid.
pub fn parse_content_length(value: &[u8]) -> Option<u64> {
    numbers(std::iter::once(value)).ok().flatten()
}

/// The number in the lines of `Content-Length`. `None` if there are no lines.
fn numbers<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<Option<u64>, FramingError> {
    let mut numbers = lines.flat_map(|line| line.split(|byte| *byte == b',')).map(number);
    let Some(first) = numbers.next() else { return Ok(None) };
    let first = first.ok_or(FramingError::Length)?;
    // §6.3: a recipient may accept repeated identical values as one.
    if numbers.all(|number| number == Some(first)) { Ok(Some(first)) } else { Err(FramingError::Length) }
}

/// Whether the body is chunked.
///
/// # Errors
/// The body has another transfer coding, or `chunked` twice.
pub fn is_chunked(headers: &HeaderMap) -> Result<bool, FramingError> {
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    match (lines.next(), lines.next()) {
        (None, _) => Ok(false),
        (Some(coding), None) if coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked") => Ok(true),
        _ => Err(FramingError::TransferCoding),
    }
}

/// Whether `Transfer-Encoding` is one word that is not similar to a transfer coding (RFC 9112 §7)
/// or a content coding (RFC 9110 §8.4.1). Senders confuse the two.
fn names_no_coding(headers: &HeaderMap) -> bool {
    const CODINGS: [&[u8]; 14] = [
        b"chunked",
        b"compress",
        b"deflate",
        b"gzip",
        b"identity",
        b"trailers",
        b"brotli",
        b"zstd",
        b"lz4",
        b"lzma",
        b"bzip2",
        b"snappy",
        b"aes128gcm",
        b"pack200",
    ];
    const SHORT: [&[u8]; 8] = [b"br", b"xz", b"gz", b"zip", b"dcb", b"dcz", b"exi", b"sdch"];
    let mut lines = headers.get_all(header::TRANSFER_ENCODING).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let word = line.as_bytes().trim_ascii().to_ascii_lowercase();
    let is_similar = |coding: &&[u8]| word.windows(coding.len()).any(|part| part == *coding);
    !word.is_empty()
        && word.iter().all(u8::is_ascii_alphanumeric)
        && !SHORT.contains(&&word[..])
        && !CODINGS.iter().any(is_similar)
}

/// Makes `Content-Length` agree with the body: removes it next to `Transfer-Encoding` and for
/// statuses without content (RFC 9110 §8.6), and merges repeated values. `Transfer-Encoding` stays.
///
/// # Errors
/// Like [`content_length`]. The headers do not change then.
pub fn normalize_content_length(status: StatusCode, headers: &mut HeaderMap) -> Result<(), FramingError> {
    let length = if has_no_content(status) { None } else { content_length(headers)? };
    match length {
        Some(length) => drop(headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length))),
        None => drop(headers.remove(header::CONTENT_LENGTH)),
    }
    Ok(())
}

/// The declared length of a received response, if it may have a body.
pub(crate) fn declared(response: &response::Parts) -> Result<Option<u64>, FramingError> {
    if has_no_content(response.status) {
        return Ok(None);
    }
    // §6.1: HTTP/1.0 has no transfer codings. A recipient must treat such a message as faulty.
    if response.version == Version::HTTP_10 && response.headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(FramingError::TransferCoding);
    }
    content_length(&response.headers)
}

/// RFC 9112 §6.3, rule 1: these responses end with the header section.
pub(crate) fn has_no_content(status: StatusCode) -> bool {
    status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED
}

/// RFC 9110 §8.6: a Content-Length consists of digits.
fn number(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

impl fmt::Display for FramingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "Content-Length is not one number",
            Self::TransferCoding => "Transfer-Encoding is not chunked alone",
        })
    }
}

impl StdError for FramingError {}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        headers
    }

    const LENGTH: &str = "content-length";
    const CODING: &str = "transfer-encoding";

    #[test]
    fn a_length_is_one_number_of_digits() {
        for (values, length) in [
            (&[][..], Ok(None)),
            (&["0"], Ok(Some(0))),
            (&[" 5\t"], Ok(Some(5))),
            (&["05"], Ok(Some(5))),
            (&["18446744073709551615"], Ok(Some(u64::MAX))),
            (&["5", "5"], Ok(Some(5))),
            (&["5, 5"], Ok(Some(5))),
            (&["5", "6"], Err(FramingError::Length)),
            (&["5, 6"], Err(FramingError::Length)),
            (&["5,"], Err(FramingError::Length)),
            (&[""], Err(FramingError::Length)),
            (&["+5"], Err(FramingError::Length)),
            (&["-5"], Err(FramingError::Length)),
            (&["0x5"], Err(FramingError::Length)),
            (&["5 5"], Err(FramingError::Length)),
            (&["5.0"], Err(FramingError::Length)),
            (&["five"], Err(FramingError::Length)),
            (&["18446744073709551616"], Err(FramingError::Length)),
        ] {
            let fields: Vec<_> = values.iter().map(|value| (LENGTH, *value)).collect();
            assert_eq!(content_length(&headers(&fields)), length, "{values:?}");
            if let [value] = values {
                assert_eq!(parse_content_length(value.as_bytes()), length.ok().flatten(), "{value:?}");
            }
        }
    }

    #[test]
    fn only_chunked_transfer_coding_is_supported() {
        for (values, chunked) in [
            (&[][..], Ok(false)),
            (&["chunked"], Ok(true)),
            (&["Chunked "], Ok(true)),
            (&["gzip"], Err(FramingError::TransferCoding)),
            (&["gzip, chunked"], Err(FramingError::TransferCoding)),
            (&["gzip", "chunked"], Err(FramingError::TransferCoding)),
            (&["chunked", "chunked"], Err(FramingError::TransferCoding)),
            (&["chunked, chunked"], Err(FramingError::TransferCoding)),
            (&["chunked, gzip"], Err(FramingError::TransferCoding)),
            (&["identity"], Err(FramingError::TransferCoding)),
            (&["chunked;q=1"], Err(FramingError::TransferCoding)),
            (&["xchunked"], Err(FramingError::TransferCoding)),
            (&[""], Err(FramingError::TransferCoding)),
        ] {
            let fields: Vec<_> = values.iter().map(|value| (CODING, *value)).collect();
            assert_eq!(is_chunked(&headers(&fields)), chunked, "{values:?}");
        }
    }

    /// The public test suite sends such fields (`headers-store-Transfer-Encoding`).
    #[test]
    fn unknown_transfer_coding_word_is_ignored() {
        for (coding, expected) in [
            ("arizqhypgxofwne", Ok(None)),
            ("gzip", Err(FramingError::TransferCoding)),
            ("X-Gzip", Err(FramingError::TransferCoding)),
            ("xchunked", Err(FramingError::TransferCoding)),
            ("chunked1", Err(FramingError::TransferCoding)),
            ("identity", Err(FramingError::TransferCoding)),
            ("br", Err(FramingError::TransferCoding)),
            ("Zstd", Err(FramingError::TransferCoding)),
            ("lz4", Err(FramingError::TransferCoding)),
            ("dcz", Err(FramingError::TransferCoding)),
            ("foo, chunked", Err(FramingError::TransferCoding)),
            ("foo, bar", Err(FramingError::TransferCoding)),
            ("foo;q=1", Err(FramingError::TransferCoding)),
            ("", Err(FramingError::TransferCoding)),
        ] {
            let fields = [(CODING, coding), (LENGTH, "3")];
            assert_eq!(content_length(&headers(&fields)), expected, "{coding}");
        }
    }

    #[test]
    fn http_1_0_has_no_transfer_codings() {
        let response = |version| {
            let builder = http::Response::builder().version(version).header(CODING, "chunked");
            builder.body(()).unwrap().into_parts().0
        };
        assert_eq!(declared(&response(Version::HTTP_10)), Err(FramingError::TransferCoding));
        assert_eq!(declared(&response(Version::HTTP_11)), Ok(None));
    }

    #[test]
    fn normalized_content_length_agrees_with_the_body() {
        for (status, fields, left) in [
            (200, &[(LENGTH, "5")][..], &["5"][..]),
            (200, &[(LENGTH, "5"), (LENGTH, "5")], &["5"]),
            (200, &[(LENGTH, "5, 5")], &["5"]),
            (200, &[(LENGTH, "3"), (CODING, "chunked")], &[]),
            (200, &[(LENGTH, "three"), (CODING, "chunked")], &[]),
            (204, &[(LENGTH, "5")], &[]),
            (304, &[(LENGTH, "5"), (LENGTH, "6")], &[]),
        ] {
            let mut headers = headers(fields);
            normalize_content_length(StatusCode::from_u16(status).unwrap(), &mut headers).unwrap();
            assert_eq!(headers.get_all(LENGTH).iter().collect::<Vec<_>>(), left, "{status} {fields:?}");
        }
        let mut contradiction = headers(&[(LENGTH, "5"), (LENGTH, "6")]);
        assert_eq!(normalize_content_length(StatusCode::OK, &mut contradiction), Err(FramingError::Length));
        assert_eq!(contradiction.get_all(LENGTH).iter().count(), 2);
    }
}
