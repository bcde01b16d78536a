//! Secrets in JSON, at any depth. The text is scanned, not parsed: all other bytes stay unchanged,
//! including numbers and repeated names, and broken JSON is redacted too.

use std::ops::Range;

/// Finds the values of secret names, ascending.
pub(super) fn secrets(text: &[u8], is_secret: impl Fn(&[u8]) -> bool) -> Vec<Range<usize>> {
    let mut secrets = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].iter().position(|byte| *byte == b'"').map(|found| at + found) {
        at = string_end(text, start);
        // In JSON, a string is a name if and only if a colon follows.
        let colon = skip_space(text, at);
        if text.get(colon) == Some(&b':') && is_secret(name(&text[start..at]).as_bytes()) {
            let value = skip_space(text, colon + 1);
            at = value_end(text, value);
            secrets.push(value..at);
        }
    }
    secrets
}

/// Decodes a string with its escapes. Empty if it is not a JSON string.
fn name(string: &[u8]) -> String {
    serde_json::from_slice(string).unwrap_or_default()
}

/// The end of the value that starts at `start`. In broken JSON, it may be later than the value's
/// own end.
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

/// The position after the closing quote of the string that starts at `start`.
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
