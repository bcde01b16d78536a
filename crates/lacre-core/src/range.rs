//! One range of bytes of a stored response (RFC 9110 §14). Several at once, and other units, are not read: such a
//! request is answered in full.

use http::HeaderValue;

/// What a `Range` header with one range of bytes asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeSpec {
    /// From `first` to `last`, inclusive; to the end where there is no `last`.
    From { first: u64, last: Option<u64> },
    /// The last so many bytes.
    Last(u64),
}

/// A [`RangeSpec`] applied to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// The bytes from `first` to `last`, inclusive; both lie within the body.
    Slice { first: u64, last: u64 },
    /// The body has no such bytes.
    Unsatisfiable,
}

impl RangeSpec {
    /// Reads `bytes=first-last`, `bytes=first-` or `bytes=-length`; `None` for anything else.
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

    /// The bytes this means in a body of `length` bytes (§14.1.2).
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

/// What a `Content-Range` header says (§14.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentRange {
    /// The bytes from `first` to `last`, inclusive, of `length`.
    Slice { first: u64, last: u64, length: u64 },
    /// None of `length` bytes.
    Unsatisfiable { length: u64 },
}

impl ContentRange {
    /// The header's value.
    pub(crate) fn to_value(self) -> HeaderValue {
        let text = match self {
            Self::Slice { first, last, length } => format!("bytes {first}-{last}/{length}"),
            Self::Unsatisfiable { length } => format!("bytes */{length}"),
        };
        #[expect(clippy::expect_used, reason = "digits and ASCII punctuation always make a header value")]
        HeaderValue::try_from(text).expect("visible ASCII")
    }
}

/// The number that digits write; a number too great for any body stays too great.
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
    fn each_form_names_its_bytes() {
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
    fn bytes_that_are_not_there_are_unsatisfiable() {
        for text in ["bytes=10-", "bytes=10-12", "bytes=-0", "bytes=18446744073709551616-"] {
            assert_eq!(slice(text, 10), Some(Resolved::Unsatisfiable), "{text}");
        }
        for text in ["bytes=0-", "bytes=0-0", "bytes=-1"] {
            assert_eq!(slice(text, 0), Some(Resolved::Unsatisfiable), "{text}");
        }
    }

    #[test]
    fn what_is_not_one_range_of_bytes_is_ignored() {
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
    fn content_range_is_written_as_the_rfc_has_it() {
        assert_eq!(ContentRange::Slice { first: 0, last: 1, length: 10 }.to_value(), "bytes 0-1/10");
        assert_eq!(ContentRange::Unsatisfiable { length: 10 }.to_value(), "bytes */10");
    }

    proptest! {
        #[test]
        fn a_slice_always_lies_within_the_body(text in "bytes=[0-9]{0,3}-[0-9]{0,3}", length in 0u64..1000) {
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
