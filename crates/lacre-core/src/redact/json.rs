//! Secrets in JSON, at any depth and inside arrays. The text is scanned, not parsed: whatever is not a secret keeps
//! its bytes, numbers and repeated names included, and broken JSON gives up its secrets too.

use std::ops::Range;

/// Where the values of secret names lie, ascending.
pub(super) fn secrets(text: &[u8], is_secret: impl Fn(&[u8]) -> bool) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].iter().position(|byte| *byte == b'"').map(|found| at + found) {
        at = string_end(text, start);
        // In JSON, a string is a name exactly where a colon follows.
        let colon = skip_space(text, at);
        if text.get(colon) == Some(&b':') && is_secret(name(&text[start..at]).as_bytes()) {
            let value = skip_space(text, colon + 1);
            at = value_end(text, value);
            secrets.push(value..at);
        }
    }
    secrets
}

/// What a string says, escapes resolved; empty where it is no JSON string.
fn name(string: &[u8]) -> String {
    serde_json::from_slice(string).unwrap_or_default()
}

/// Where the value that starts at `start` is followed by what ends one: in broken JSON, that may be later than its own end.
fn value_end(text: &[u8], start: usize) -> usize {
    let mut depth = 0usize;
    let mut at = start;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => {
                at = string_end(text, at);
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
    }
    text.len()
}

/// Just after the quote that closes the string that opens at `start`.
fn string_end(text: &[u8], start: usize) -> usize {
    let mut escaped = false;
    for (index, byte) in text.iter().enumerate().skip(start + 1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return index + 1,
            _ => {}
        }
    }
    text.len()
}

fn skip_space(text: &[u8], start: usize) -> usize {
    let space = text[start..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    start + space
}
