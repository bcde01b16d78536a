//! `CDN-Cache-Control` (RFC 9213): directives for shared caches, which replace `Cache-Control` and
//! `Expires` there.
//!
//! Unlike `Cache-Control`, it is a Dictionary Structured Field: its syntax is strict and
//! case-sensitive, and an invalid field is ignored as a whole.

use crate::ResponseDirectives;
use crate::directives::saturated;
use http::{HeaderMap, HeaderName, HeaderValue};
use sfv::{BareItem, Dictionary, ListEntry, Parser};
use std::time::Duration;

const CDN_CACHE_CONTROL: HeaderName = HeaderName::from_static("cdn-cache-control");

/// Parses the field. §2.1: a cache ignores a field that is absent, empty, not a dictionary, or has
/// a value of the wrong type.
pub(crate) fn parse(response: &HeaderMap) -> Option<ResponseDirectives> {
    if !response.contains_key(CDN_CACHE_CONTROL) {
        return None;
    }
    let lines: Vec<&[u8]> = response.get_all(CDN_CACHE_CONTROL).iter().map(HeaderValue::as_bytes).collect();
    let dictionary: Dictionary = Parser::new(&lines.join(&b", "[..])).parse().ok()?;
    if dictionary.is_empty() {
        return None;
    }
    let mut directives = ResponseDirectives::default();
    for (name, value) in &dictionary {
        match name.as_str() {
            "no-store" => directives.no_store = flag(value)?,
            "no-cache" => directives.no_cache = flag_or_fields(value)?,
            "private" => directives.private = flag_or_fields(value)?,
            "public" => directives.public = flag(value)?,
            "must-revalidate" => directives.must_revalidate = flag(value)?,
            "proxy-revalidate" => directives.proxy_revalidate = flag(value)?,
            "must-understand" => directives.must_understand = flag(value)?,
            "immutable" => directives.immutable = flag(value)?,
            "no-transform" => directives.no_transform = flag(value)?,
            "max-age" => directives.max_age = Some(seconds(value)?),
            "s-maxage" => directives.s_maxage = Some(seconds(value)?),
            "stale-while-revalidate" => directives.stale_while_revalidate = Some(seconds(value)?),
            "stale-if-error" => directives.stale_if_error = Some(seconds(value)?),
            _ => {}
        }
    }
    Some(directives)
}

/// The value of a directive. §2.1: parameters are ignored.
fn item(value: &ListEntry) -> Option<&BareItem> {
    match value {
        ListEntry::Item(item) => Some(&item.bare_item),
        ListEntry::InnerList(_) => None,
    }
}

fn flag(value: &ListEntry) -> Option<bool> {
    item(value)?.as_boolean()
}

/// A list of fields counts as the directive without a list, which is stricter.
fn flag_or_fields(value: &ListEntry) -> Option<bool> {
    match item(value)? {
        BareItem::Boolean(flag) => Some(*flag),
        BareItem::String(_) => Some(true),
        _ => None,
    }
}

/// A negative number of seconds counts as zero.
fn seconds(value: &ListEntry) -> Option<Duration> {
    let seconds: i64 = item(value)?.as_integer()?.into();
    Some(saturated(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(lines: &[&'static str]) -> Option<ResponseDirectives> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(CDN_CACHE_CONTROL, HeaderValue::from_static(line));
        }
        parse(&headers)
    }

    #[test]
    fn invalid_dictionary_is_ignored_as_a_whole() {
        for text in [
            "",
            "max-age=60, &&&&&",
            "max-age=\"60\"",
            "max-age=60.0",
            "max-age",
            "max-age =60",
            "max-age= 60",
            "MaX-aGe=60",
            "max-age=(60)",
            "max-age=60,",
            "no-store=1",
            "private=1, max-age=60",
        ] {
            assert_eq!(parsed(&[text]), None, "{text}");
        }
        assert_eq!(parsed(&[]), None);
        assert_eq!(parsed(&["max-age=60", "&&&"]), None);
    }

    #[test]
    fn every_directive_is_read() {
        let (text, directives) = crate::directives::tests::every_directive();
        assert_eq!(parsed(&[text]), Some(directives));
    }

    #[test]
    fn lines_are_combined_and_the_last_value_counts() {
        let directives =
            parsed(&["max-age=60;ext=1, no-cache=\"a\", foo=(1 2)", "max-age=5, public=?0"]).unwrap();
        let expected = ResponseDirectives {
            max_age: Some(Duration::from_secs(5)),
            no_cache: true,
            ..ResponseDirectives::default()
        };
        assert_eq!(directives, expected);
    }

    #[test]
    fn seconds_are_limited_to_the_maximum() {
        let max_age = |text| parsed(&[text]).unwrap().max_age.unwrap().as_secs();
        assert_eq!(max_age("max-age=99999999999"), 1 << 31);
        assert_eq!(max_age("max-age=-1"), 0);
    }
}
