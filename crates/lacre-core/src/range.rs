//! Byte ranges (RFC 9110 §14). Only a single range of bytes is supported. A request for several
//! ranges or another unit gets the complete response; such a response is not stored.

use crate::framing;
use http::{HeaderMap, HeaderValue, Method, header, request};

/// Returns the `Range` field if the request asks for one range of bytes. §14.2: a server ignores
/// Range unless the method is GET.
pub(crate) fn requested(request: &request::Parts) -> Option<&HeaderValue> {
    let range = request.headers.get(header::RANGE).filter(|_| request.method == Method::GET)?;
    RangeSpec::parse(range).map(|_| range)
}

/// A `Range` field with one range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeSpec {
    /// From `first` to `last`, inclusive. Without `last`, to the end.
    From { first: u64, last: Option<u64> },
    /// The last bytes, by their number.
    Last(u64),
}

/// A [`RangeSpec`] resolved against a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// The bytes from `first` to `last`, inclusive. Both are within the body.
    Slice { first: u64, last: u64 },
    /// The body has no such bytes.
    Unsatisfiable,
}

impl RangeSpec {
    /// Parses `bytes=first-last`, `bytes=first-` or `bytes=-length`. `None` for anything else.
    pub(crate) fn parse(value: &HeaderValue) -> Option<Self> {
        let (unit, range) = value.to_str().ok()?.split_once('=')?;
        let (first, last) = range.trim_matches([' ', '\t']).split_once('-')?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        match (first, last) {
            ("", length) => Some(Self::Last(position(length)?)),
            (first, "") => Some(Self::From { first: position(first)?, last: None }),
            (first, last) => {
                let (first, last) = (position(first)?, position(last)?);
                (first <= last).then_some(Self::From { first, last: Some(last) })
            }
        }
    }

    /// Resolves the range against a body of `length` bytes (§14.1.2).
    pub(crate) fn resolve(self, length: u64) -> Resolved {
        let Some(end) = length.checked_sub(1) else {
            return Resolved::Unsatisfiable;
        };
        match self {
            Self::From { first, .. } if first > end => Resolved::Unsatisfiable,
            Self::From { first, last } => {
                Resolved::Slice { first, last: last.map_or(end, |last| last.min(end)) }
            }
            Self::Last(0) => Resolved::Unsatisfiable,
            Self::Last(count) => Resolved::Slice { first: length.saturating_sub(count), last: end },
        }
    }
}

/// A `Content-Range` field (§14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// The bytes from `first` to `last`, inclusive, of `length`. `None` if the length is unknown.
    Slice { first: u64, last: u64, length: Option<u64> },
    /// No bytes: the range is unsatisfiable. The complete length is `length`.
    Unsatisfiable { length: u64 },
}

impl ContentRange {
    /// Formats the field value.
    pub(crate) fn to_value(self) -> HeaderValue {
        let text = match self {
            Self::Slice { first, last, length: Some(length) } => format!("bytes {first}-{last}/{length}"),
            Self::Slice { first, last, length: None } => format!("bytes {first}-{last}/*"),
            Self::Unsatisfiable { length } => format!("bytes */{length}"),
        };
        #[expect(clippy::expect_used, reason = "digits and ASCII punctuation always make a header value")]
        HeaderValue::try_from(text).expect("visible ASCII")
    }
}

/// The part that a 206 contains, by its `Content-Range`. It is trusted only as far as the body
/// reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    first: u64,
    last: u64,
    /// The complete length, if known.
    length: Option<u64>,
    /// The value of `Content-Length`.
    declared: Option<u64>,
}

impl Part {
    /// Parses the headers of a 206. `None` if `Content-Range` is not one valid range of bytes
    /// (§14.4), or has fewer bytes than `Content-Length`.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::CONTENT_RANGE).iter();
        let (unit, range) = lines.next()?.to_str().ok()?.split_once(' ')?;
        let (range, length) = range.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let length = if length == "*" { None } else { Some(position(length)?) };
        let declared = framing::content_length(headers).ok().flatten();
        let part = Self { first: position(first)?, last: position(last)?, length, declared };
        let valid = unit.eq_ignore_ascii_case("bytes")
            && lines.next().is_none()
            && part.first <= part.last
            && part.length.is_none_or(|length| part.last < length)
            && declared.is_none_or(|declared| declared <= part.claimed());
        valid.then_some(part)
    }

    fn claimed(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }

    /// Resolves `range` against this part's body of `body` bytes. `None` if the range is not within
    /// the part. A body that is shorter than its `Content-Range` was truncated, unless its
    /// `Content-Length` is as short; then its bytes count from its first position.
    pub(crate) fn slice(self, range: RangeSpec, body: u64) -> Option<Resolved> {
        let whole = body == self.claimed() || (body < self.claimed() && self.declared == Some(body));
        let end = body.checked_sub(1).filter(|_| whole)?;
        let last_of_all = self.length.map(|length| length - 1);
        match range {
            RangeSpec::From { first, last } => {
                let last = match (last, last_of_all) {
                    (Some(last), Some(last_of_all)) => last.min(last_of_all),
                    (last, last_of_all) => last.or(last_of_all)?,
                };
                let (first, last) = (first.checked_sub(self.first)?, last.checked_sub(self.first)?);
                let within = first <= last.min(end) && last < self.claimed();
                within.then(|| Resolved::Slice { first, last: last.min(end) })
            }
            RangeSpec::Last(count) => {
                let within = (1..=body).contains(&count) && last_of_all == Some(self.last);
                within.then(|| Resolved::Slice { first: body - count, last: end })
            }
        }
    }

    /// The `Content-Range` of the bytes from `first` to `last` of this part's body.
    pub(crate) fn content_range(self, first: u64, last: u64) -> ContentRange {
        ContentRange::Slice { first: self.first + first, last: self.first + last, length: self.length }
    }
}

/// Parses digits. A number over `u64` saturates, because no body is that long.
fn position(text: &str) -> Option<u64> {
    let written = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    written.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn slice(text: &str, length: u64) -> Option<Resolved> {
        RangeSpec::parse(&HeaderValue::from_str(text).unwrap()).map(|range| range.resolve(length))
    }

    #[test]
    fn each_range_form_resolves_to_its_bytes() {
        let cases = [
            ("bytes=0-1", (0, 1)),
            ("Bytes= 2-2 ", (2, 2)),
            ("bytes=3-", (3, 9)),
            ("bytes=0-99", (0, 9)),
            ("bytes=9-18446744073709551616", (9, 9)),
            ("bytes=-1", (9, 9)),
            ("bytes=-10", (0, 9)),
            ("bytes=-18446744073709551616", (0, 9)),
        ];
        for (text, (first, last)) in cases {
            assert_eq!(slice(text, 10), Some(Resolved::Slice { first, last }), "{text}");
        }
    }

    #[test]
    fn ranges_beyond_the_body_are_unsatisfiable() {
        for text in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=18446744073709551616-"] {
            assert_eq!(slice(text, 10), Some(Resolved::Unsatisfiable), "{text}");
        }
        for text in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(slice(text, 0), Some(Resolved::Unsatisfiable), "{text}");
        }
    }

    #[test]
    fn other_range_forms_are_ignored() {
        let others = [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=0",
            "bytes=2-1",
            "bytes=0-1,3-4",
            "bytes=0-0x1",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=--1",
            "bytes=0-1-2",
            "items=0-1",
            "bytes 0-1",
        ];
        for text in others {
            assert_eq!(slice(text, 10), None, "{text}");
        }
    }

    #[test]
    fn content_range_is_formatted_as_in_the_rfc() {
        let slice = |length| ContentRange::Slice { first: 0, last: 1, length }.to_value();
        assert_eq!(
            (slice(Some(10)), slice(None)),
            ("bytes 0-1/10".parse().unwrap(), "bytes 0-1/*".parse().unwrap())
        );
        assert_eq!(ContentRange::Unsatisfiable { length: 10 }.to_value(), "bytes */10");
    }

    fn part(content_range: &str, content_length: Option<u64>) -> Option<Part> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_RANGE, content_range.parse().unwrap());
        headers.extend(content_length.map(|length| (header::CONTENT_LENGTH, length.into())));
        Part::of(&headers)
    }

    #[test]
    fn part_is_parsed_from_content_range() {
        for (text, length) in [("bytes 4-9/10", None), ("BYTES 4-9/*", Some(6)), ("bytes 4-9/10", Some(5))] {
            assert!(part(text, length).is_some(), "{text} {length:?}");
        }
        let invalid = [
            ("", None),
            ("bytes", None),
            ("bytes */10", None),
            ("bytes 4-9", None),
            ("bytes 4-3/10", None),
            ("bytes 4-10/10", None),
            ("bytes 4-9/", None),
            ("bytes -9/10", None),
            ("bytes  4-9/10", None),
            ("items 4-9/10", None),
            ("bytes 4-9/10", Some(7)),
        ];
        for (text, length) in invalid {
            assert_eq!(part(text, length), None, "{text} {length:?}");
        }
    }

    #[test]
    fn part_answers_only_ranges_within_it() {
        // Content-Range, Content-Length, length of the body, Range, resolved bytes.
        for (content_range, declared, body, range, expected) in [
            ("bytes 4-9/10", None, 6, "bytes=4-9", Some((0, 5))),
            ("bytes 4-9/10", None, 6, "bytes=6-8", Some((2, 4))),
            ("bytes 4-9/10", None, 6, "bytes=6-", Some((2, 5))),
            ("bytes 4-9/10", None, 6, "bytes=6-99", Some((2, 5))),
            ("bytes 4-9/10", None, 6, "bytes=-6", Some((0, 5))),
            ("bytes 4-9/10", None, 6, "bytes=-7", None),
            ("bytes 4-9/10", None, 6, "bytes=-0", None),
            ("bytes 4-9/10", None, 6, "bytes=3-5", None),
            ("bytes 4-9/10", None, 6, "bytes=10-", None),
            ("bytes 4-8/10", None, 5, "bytes=8-9", None),
            ("bytes 4-8/10", None, 5, "bytes=6-", None),
            ("bytes 4-8/10", None, 5, "bytes=-1", None),
            ("bytes 4-9/*", None, 6, "bytes=4-9", Some((0, 5))),
            ("bytes 4-9/*", None, 6, "bytes=4-10", None),
            ("bytes 4-9/*", None, 6, "bytes=4-", None),
            ("bytes 4-9/*", None, 6, "bytes=-1", None),
            // Truncated, or longer than declared.
            ("bytes 4-9/10", None, 5, "bytes=4-5", None),
            ("bytes 4-9/10", Some(6), 5, "bytes=4-5", None),
            ("bytes 4-9/10", None, 7, "bytes=4-5", None),
            // As short as its Content-Length.
            ("bytes 4-9/10", Some(5), 5, "bytes=6-8", Some((2, 4))),
            ("bytes 4-9/10", Some(5), 5, "bytes=6-", Some((2, 4))),
            ("bytes 4-9/10", Some(5), 5, "bytes=-1", Some((4, 4))),
            ("bytes 4-9/10", Some(5), 5, "bytes=9-", None),
            ("bytes 4-9/10", Some(0), 0, "bytes=4-5", None),
        ] {
            let range = RangeSpec::parse(&HeaderValue::from_static(range)).unwrap();
            let expected = expected.map(|(first, last)| Resolved::Slice { first, last });
            let case = format!("{content_range} {declared:?} {body} {range:?}");
            assert_eq!(part(content_range, declared).unwrap().slice(range, body), expected, "{case}");
        }
    }

    proptest! {
        #[test]
        fn slice_of_a_part_equals_slice_of_the_whole(
            first in 0u64..10, held in 1u64..10, after in 0u64..10, text in "bytes=[0-9]{0,2}-[0-9]{0,2}",
        ) {
            let (last, length) = (first + held - 1, first + held + after);
            let part = part(&format!("bytes {first}-{last}/{length}"), None);
            if let Some(range) = RangeSpec::parse(&text.parse().unwrap())
                && let Some(Resolved::Slice { first: from, last: to }) = part.unwrap().slice(range, held) {
                prop_assert_eq!(range.resolve(length), Resolved::Slice { first: first + from, last: first + to });
            }
        }

        #[test]
        fn slice_is_always_within_the_body(text in "bytes=[0-9]{0,3}-[0-9]{0,3}", length in 0u64..1000) {
            if let Some(Resolved::Slice { first, last }) = slice(&text, length) {
                prop_assert!(first <= last && last < length);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(text in proptest::collection::vec(any::<u8>(), 0..60), length: u64) {
            if let Ok(value) = HeaderValue::from_bytes(&text) {
                RangeSpec::parse(&value).map(|range| range.resolve(length));
            }
        }
    }
}
