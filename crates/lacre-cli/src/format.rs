//! Formats durations, sizes, times and bodies for people.

use crate::sanitize::replace_controls;
use lacre::Timestamp;
use serde::de::IgnoredAny;
use std::time::Duration;

/// `45s`, `4m`, `3h`, `2d`: the largest unit that fits.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// `512`, `12K`, `3M`: bytes, rounded down.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => bytes.to_string(),
        1024..0x10_0000 => format!("{}K", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{}M", bytes >> 20),
        _ => format!("{}G", bytes >> 30),
    }
}

/// `1 entry`, `2 entries`.
pub(crate) fn entries(count: usize) -> String {
    if count == 1 { "1 entry".to_owned() } else { format!("{count} entries") }
}

/// `1 record`, `2 records`.
pub(crate) fn records(count: usize) -> String {
    if count == 1 { "1 record".to_owned() } else { format!("{count} records") }
}

/// A time as RFC 3339 in UTC; `None` if it is outside the calendar.
pub(crate) fn timestamp(time: Timestamp) -> Option<String> {
    jiff::Timestamp::from_millisecond(time.as_millis()).ok().map(|time| time.to_string())
}

/// A body for a terminal, without control characters: JSON indented, other text unchanged. `None`
/// for binary data.
pub(crate) fn body(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.contains('\0'))?;
    let text = json(text).unwrap_or_else(|| text.to_owned());
    Some(text.lines().flat_map(|line| [replace_controls(line).into_owned(), "\n".to_owned()]).collect())
}

/// JSON with line breaks and indentation and every token unchanged; `None` for other text.
fn json(text: &str) -> Option<String> {
    serde_json::from_str::<IgnoredAny>(text).ok()?;
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut rest = text.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    while let Some(c) = rest.next() {
        if in_string {
            out.push(c);
            match c {
                '\\' => out.extend(rest.next()),
                '"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match c {
            c if c.is_ascii_whitespace() => {}
            '{' | '[' => {
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                out.push(c);
                match rest.next_if(|next| matches!(next, '}' | ']')) {
                    Some(end) => out.push(end),
                    None => {
                        depth += 1;
                        line(&mut out, depth);
                    }
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            c => {
                in_string = c == '"';
                out.push(c);
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_its_tokens_and_their_order() {
        let text = r#"{"b":1.10, "a":[ ], "c":["x,{\"]",null],"b":{}}"#;
        let expected = "{\n  \"b\": 1.10,\n  \"a\": [],\n  \"c\": [\n    \"x,{\\\"]\",\n    null\n  ],\n  \"b\": {}\n}\n";
        assert_eq!(body(text.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn binary_body_is_not_formatted() {
        assert_eq!(body(b"\x00\x01"), None);
        assert_eq!(body(b"\xff"), None);
        assert_eq!(body(b"a\x1b[2Jb\nc").unwrap(), "a\u{fffd}[2Jb\nc\n");
    }

    #[test]
    fn one_entry_is_singular() {
        assert_eq!([entries(0), entries(1), entries(2)], ["0 entries", "1 entry", "2 entries"]);
    }

    #[test]
    fn durations_and_sizes_are_rounded_to_one_unit() {
        let short = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(
            [short(0), short(59), short(60), short(7200), short(200_000)],
            ["0s", "59s", "1m", "2h", "2d"]
        );
        assert_eq!(
            [size(0), size(1023), size(12 << 10), size(3 << 20), size(2 << 30)],
            ["0", "1023", "12K", "3M", "2G"]
        );
    }

    #[test]
    fn times_are_formatted_as_rfc_3339() {
        assert_eq!(timestamp(Timestamp::from_seconds(784_111_777)).unwrap(), "1994-11-06T08:49:37Z");
        assert_eq!(timestamp(Timestamp::MAX), None);
    }
}
