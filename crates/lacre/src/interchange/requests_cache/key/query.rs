//! Normalises queries and forms: parses as Python's `parse_qsl`, sorts, and writes as `urlencode`.

use super::REDACTED;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The characters that Python's `quote` never escapes.
pub(super) const ALWAYS_SAFE: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'_').remove(b'.').remove(b'-').remove(b'~');

/// The sorted parameters of `query`. Those with an empty value are dropped; those without `=` come
/// last.
pub(super) fn normalized(query: &str, ignored: &[String]) -> String {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut parameters: Vec<(String, String)> = query
        .split('&')
        .filter_map(|parameter| parameter.split_once('='))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (decoded(name), decoded(value)))
        .collect();
    parameters.sort();
    let mut names: Vec<&str> =
        query.split('&').filter(|parameter| !parameter.is_empty() && !parameter.contains('=')).collect();
    names.sort_unstable();
    let written = parameters.iter().map(|(name, value)| {
        let value = if ignored.contains(name) { REDACTED } else { value };
        format!("{}={}", encoded(name), encoded(value))
    });
    written.chain(names.iter().map(|name| (*name).to_owned())).collect::<Vec<_>>().join("&")
}

/// Python's `quote_plus`.
fn encoded(text: &str) -> String {
    const SAFE: &AsciiSet = &ALWAYS_SAFE.remove(b' ');
    utf8_percent_encode(text, SAFE).to_string().replace(' ', "+")
}
