//! Secrets in `multipart/form-data` (RFC 7578): the contents of parts with secret names.

use http::HeaderValue;
use std::ops::Range;

/// The maximum length of a boundary (RFC 2046 §5.1.1).
const MAX_BOUNDARY_LEN: usize = 70;

/// Finds the contents of secret parts, ascending.
pub(super) fn secrets(
    content_type: &str,
    body: &[u8],
    is_secret: impl Fn(&[u8]) -> bool,
) -> Vec<Range<usize>> {
    let boundary = parameter(content_type, "boundary").unwrap_or_default();
    if boundary.is_empty() || boundary.len() > MAX_BOUNDARY_LEN {
        return Vec::new();
    }
    let delimiter = format!("\r\n--{boundary}");
    let mut secrets = Vec::new();
    let mut start = 0;
    while start < body.len() {
        let end = find(body, start, delimiter.as_bytes()).unwrap_or(body.len());
        if let Some(blank) = find(&body[..end], start, b"\r\n\r\n")
            && name(&body[start..blank]).is_some_and(|name| is_secret(name.as_bytes()))
        {
            secrets.push(blank + 4..end);
        }
        start = end + delimiter.len();
    }
    secrets
}

/// Splits a body at its delimiters. `None` if it is not multipart. Bodies that differ only in their
/// boundary have equal parts.
pub(crate) fn parts<'a>(content_type: Option<&HeaderValue>, body: &'a [u8]) -> Option<Vec<&'a [u8]>> {
    let content_type = content_type?.to_str().ok()?;
    let (essence, _) = content_type.split_once(';')?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty())?;
    if boundary.len() > MAX_BOUNDARY_LEN {
        return None;
    }
    let delimiter = format!("\r\n--{boundary}");
    // The first delimiter has no line break before it.
    let mut rest = body.strip_prefix(&delimiter.as_bytes()[2..])?;
    let mut parts = Vec::new();
    while let Some(end) = find(rest, 0, delimiter.as_bytes()) {
        parts.push(&rest[..end]);
        rest = &rest[end + delimiter.len()..];
    }
    parts.push(rest);
    Some(parts)
}

/// The name in the headers of a part.
fn name(head: &[u8]) -> Option<String> {
    String::from_utf8_lossy(head)
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.eq_ignore_ascii_case("content-disposition"))
        .and_then(|(_, value)| parameter(value, "name"))
}

/// The value of a header parameter, as in `form-data; name="a"`.
fn parameter(value: &str, wanted: &str) -> Option<String> {
    let (mut quoted, mut escaped) = (false, false);
    value
        .split(|letter| {
            let outside = !quoted;
            match letter {
                _ if escaped => escaped = false,
                '\\' => escaped = quoted,
                '"' => quoted = !quoted,
                _ => {}
            }
            outside && letter == ';'
        })
        .filter_map(|parameter| parameter.split_once('='))
        .find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))
        .map(|(_, value)| unquoted(value.trim()))
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').map(|inner| inner.strip_suffix('"').unwrap_or(inner)) else {
        return value.to_owned();
    };
    let mut letters = inner.chars();
    std::iter::from_fn(|| match letters.next() {
        Some('\\') => letters.next(),
        letter => letter,
    })
    .collect()
}

fn find(text: &[u8], start: usize, wanted: &[u8]) -> Option<usize> {
    text.get(start..)?.windows(wanted.len()).position(|window| window == wanted).map(|found| start + found)
}
