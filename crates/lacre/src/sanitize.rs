//! Makes untrusted text safe for a terminal, a log line or JSON. The result moves no cursor,
//! changes no text direction and starts no line. URLs lose their secrets.

use crate::Policy;
use serde::Serialize;
use serde_json::ser::{CharEscape, CompactFormatter, Formatter, Serializer};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

/// The longest URL to show, in characters.
const MAX_URL: usize = 2000;

/// Replaces every character that a terminal could interpret, line breaks included, by U+FFFD.
pub fn replace_controls(text: &str) -> Cow<'_, str> {
    if text.contains(is_unsafe) {
        Cow::Owned(text.replace(is_unsafe, "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A URL for a log line: secrets and the values of its query removed, unsafe characters
/// percent-encoded, cut after `MAX_URL` characters.
pub fn url(policy: &Policy, url: &str) -> String {
    let redacted = policy.redact_url(url);
    let mut shown = CutText::default();
    let (base, query) = match redacted.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (&*redacted, None),
    };
    let (scheme, rest) = without_userinfo(base);
    shown.push(scheme);
    shown.push(rest);
    for (index, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        shown.push(if index == 0 { "?" } else { "&" });
        match parameter.split_once('=') {
            Some((name, _)) => {
                shown.push(name);
                shown.push("=");
            }
            // Without `=`, the text may be a secret value.
            None => shown.push("…"),
        }
    }
    shown.text
}

/// A value as one line of JSON with unsafe characters escaped.
///
/// # Errors
/// The value cannot be represented in JSON.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let mut line = Vec::with_capacity(128);
    value.serialize(&mut Serializer::with_formatter(&mut line, Escaping))?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// Whether a character is a control, a direction mark, a line separator or invisible.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Splits a URL into its scheme and the rest, without userinfo. The target of CONNECT has no
/// scheme.
fn without_userinfo(base: &str) -> (&str, &str) {
    let start = match base.find("://") {
        Some(at) => at + 3,
        None if base.starts_with('/') => return ("", base),
        None => 0,
    };
    let (scheme, rest) = base.split_at(start);
    let authority = rest.split('/').next().unwrap_or_default();
    (scheme, authority.rfind('@').map_or(rest, |at| &rest[at + 1..]))
}

/// The text of a URL, up to `MAX_URL` characters.
#[derive(Default)]
struct CutText {
    text: String,
    length: usize,
}

impl CutText {
    fn push(&mut self, text: &str) {
        for c in text.chars() {
            if self.length > MAX_URL {
                return;
            }
            self.length += 1;
            if self.length > MAX_URL {
                self.text.push('…');
            } else if is_unsafe(c) || c.is_whitespace() {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(self.text, "%{byte:02X}");
                }
            } else {
                self.text.push(c);
            }
        }
    }
}

/// Writes compact JSON with unsafe characters as `\u009b`.
struct Escaping;

impl Formatter for Escaping {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, character)) = rest.char_indices().find(|(_, c)| is_unsafe(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + character.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> io::Result<()> {
        CompactFormatter.write_char_escape(writer, escape)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn shown(text: &str) -> String {
        url(&Policy::rfc9111(), text)
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(
            replace_controls("a\x1b[31mb\u{202e}c\u{200f}\n"),
            "a\u{fffd}[31mb\u{fffd}c\u{fffd}\u{fffd}"
        );
        assert_eq!(
            replace_controls("\u{9b}2J\u{2028}\u{2066}\u{e0041}\u{200b}"),
            "\u{fffd}2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}"
        );
        assert!(matches!(replace_controls("plain é 家 👩‍🚀"), Cow::Borrowed(_)));
    }

    #[test]
    fn url_loses_query_values_and_userinfo() {
        for (url, expected) in [
            ("/p?token=secret&q=1", "/p?token=&q="),
            ("/p?secret", "/p?…"),
            ("http://user:secret@a.test/p", "http://a.test/p"),
            ("user:secret@a.test:443", "a.test:443"),
            ("/p", "/p"),
            ("*", "*"),
            ("a.test:443", "a.test:443"),
        ] {
            assert_eq!(shown(url), expected);
        }
    }

    #[test]
    fn url_loses_secrets_in_its_path() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";
        for (url, expected) in [
            ("/a;token=secret/b".to_owned(), "/a;token=REDACTED/b"),
            ("/a;jsessionid=secret".to_owned(), "/a;jsessionid=REDACTED"),
            (format!("/raw/{token}/file"), "/raw/REDACTED/file"),
            (format!("/verify/{jwt}"), "/verify/REDACTED"),
            (format!("/p?{token}=1"), "/p?REDACTED="),
        ] {
            assert_eq!(shown(&url), expected);
        }
    }

    #[test]
    fn unsafe_characters_of_a_url_are_percent_encoded() {
        assert_eq!(shown("/\u{9b}31mred\u{202e}gnp?\u{9b}2J=1"), "/%C2%9B31mred%E2%80%AEgnp?%C2%9B2J=");
        assert_eq!(shown("/caf\u{e9}/\u{a0}x"), "/caf\u{e9}/%C2%A0x");
    }

    #[test]
    fn long_url_is_cut() {
        let long = shown(&format!("/{}", "x".repeat(100_000)));
        assert_eq!((long.chars().count(), long.ends_with('…')), (MAX_URL + 1, true));
    }

    #[test]
    fn unsafe_characters_in_json_are_escaped_and_parse_back() {
        let text = "\u{9b}\u{202e}\u{e0041}\x1b\n\"\\é";
        let line = json(&Value::from(text)).unwrap();
        assert_eq!(line, "\"\\u009b\\u202e\\udb40\\udc41\\u001b\\n\\\"\\\\é\"");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), text);
    }
}
