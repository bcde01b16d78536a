//! Vary (RFC 9111 §4.1): the request headers that select a response, and the normalization of their
//! values.

use http::{HeaderMap, HeaderName, header};

/// The request headers that a response varies by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Varies {
    /// These headers: lower case, ascending, without duplicates. Often there are none.
    By(Vec<HeaderName>),
    /// `*` or an invalid name. No later request matches.
    ByAnything,
}

/// Parses all `Vary` lines of a response.
pub fn varies(response: &HeaderMap) -> Varies {
    let mut names = Vec::new();
    for line in response.get_all(header::VARY) {
        for member in line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match HeaderName::from_bytes(member) {
                _ if member.is_empty() => {}
                Ok(name) if member != b"*" => names.push(name),
                _ => return Varies::ByAnything,
            }
        }
    }
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    names.dedup();
    Varies::By(names)
}

/// Normalizes a request header for comparison (§4.1): combines lines, removes whitespace around
/// members, and for lists of preferences ignores case and sorts by weight. `None` if the header is
/// absent.
pub(crate) fn normalized(headers: &HeaderMap, name: &HeaderName) -> Option<Vec<u8>> {
    let mut members: Vec<&[u8]> = Vec::new();
    for line in headers.get_all(name) {
        members.extend(split_outside_quotes(line.as_bytes(), b','));
    }
    if !headers.contains_key(name) {
        return None;
    }
    if [header::ACCEPT_LANGUAGE, header::ACCEPT_ENCODING, header::ACCEPT_CHARSET].contains(name) {
        return Some(preferences(&members));
    }
    Some(members.join(&b", "[..]))
}

/// Splits a list and trims its members. A separator inside quotes does not count.
pub(crate) fn split_outside_quotes(line: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(move |byte| {
        let separates = *byte == separator && !quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        separates
    })
    .map(<[u8]>::trim_ascii)
}

/// The language with the highest weight, lower case. `None` if there is no single one.
pub(crate) fn preferred_language(request: &HeaderMap) -> Option<Vec<u8>> {
    let lines = request.get_all(header::ACCEPT_LANGUAGE).iter();
    let members: Vec<&[u8]> = lines.flat_map(|line| split_outside_quotes(line.as_bytes(), b',')).collect();
    let mut ranking = ranked(&members).into_iter();
    let (weight, language) = ranking.next()?;
    let alone = ranking.next().is_none_or(|(next, _)| next < weight);
    (alone && weight > 0 && language != b"*").then_some(language)
}

/// The language of a response, lower case. `None` if there is no single one.
pub(crate) fn content_language(response: &HeaderMap) -> Option<Vec<u8>> {
    let mut lines = response.get_all(header::CONTENT_LANGUAGE).iter();
    let language = lines.next()?.as_bytes().trim_ascii();
    let alone = lines.next().is_none() && !language.is_empty() && !language.contains(&b',');
    alone.then(|| language.to_ascii_lowercase())
}

/// Encodes a list of preferences in the order of [`ranked`], so that equivalent lists are equal
/// bytes.
fn preferences(members: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for (weight, value) in ranked(members) {
        out.extend_from_slice(&value);
        out.extend_from_slice(format!(";{weight},").as_bytes());
    }
    out
}

/// Sorts a list of preferences by weight, highest first (RFC 9110 §12.4.2), then alphabetically.
/// Values are lower case, weights in thousandths.
fn ranked(members: &[&[u8]]) -> Vec<(u16, Vec<u8>)> {
    let mut ranked: Vec<(u16, Vec<u8>)> = members
        .iter()
        .filter(|member| !member.is_empty())
        .map(|member| {
            let mut parts = member.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let value = parts.next().unwrap_or_default().to_ascii_lowercase();
            (parts.find_map(weight).unwrap_or(1000), value)
        })
        .collect();
    ranked.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    ranked
}

/// Parses `q=0.5` to thousandths.
fn weight(parameter: &[u8]) -> Option<u16> {
    let value = parameter.strip_prefix(b"q=").or_else(|| parameter.strip_prefix(b"Q="))?;
    let value: f32 = std::str::from_utf8(value).ok()?.parse().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to 0..=1000 the line above"
    )]
    (0.0..=1.0).contains(&value).then_some((value * 1000.0).round() as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn same(name: &'static str, a: &'static str, b: &'static str) -> bool {
        let of = |value| normalized(&headers(&[(name, value)]), &HeaderName::from_static(name));
        of(a) == of(b)
    }

    #[test]
    fn a_star_anywhere_on_any_line_matches_nothing() {
        for lines in [
            vec![("vary", "*")],
            vec![("vary", "accept, *")],
            vec![("vary", "accept"), ("vary", "*, foo")],
            vec![("vary", "a b")],
        ] {
            assert_eq!(varies(&headers(&lines)), Varies::ByAnything, "{lines:?}");
        }
    }

    #[test]
    fn names_are_collected_from_all_lines_in_order_without_duplicates() {
        let Varies::By(names) = varies(&headers(&[("vary", "Foo, ,bar"), ("vary", "BAR")])) else {
            panic!("a star")
        };
        assert_eq!(names, ["bar", "foo"]);
        assert_eq!(varies(&HeaderMap::new()), Varies::By(Vec::new()));
    }

    #[test]
    fn lines_and_whitespace_do_not_distinguish_values() {
        assert!(same("foo", "1, 2", "1 ,2"));
        assert!(!same("foo", "1, 2", "2, 1"));
        assert!(!same("foo", "\"1,2\"", "\"1, 2\""));
        let name = HeaderName::from_static("foo");
        assert_eq!(
            normalized(&headers(&[("foo", "1"), ("foo", "2")]), &name),
            normalized(&headers(&[("foo", "1, 2")]), &name)
        );
    }

    #[test]
    fn second_line_distinguishes_values() {
        let name = HeaderName::from_static("accept");
        assert_ne!(
            normalized(&headers(&[("accept", "a"), ("accept", "b")]), &name),
            normalized(&headers(&[("accept", "a")]), &name)
        );
        assert_ne!(normalized(&headers(&[("accept", "")]), &name), normalized(&HeaderMap::new(), &name));
    }

    #[test]
    fn preferred_language_must_be_unique() {
        let preferred = |value| preferred_language(&headers(&[("accept-language", value)]));
        for (value, language) in [
            ("de", Some("de")),
            ("fr;q=0.5, DE;q=1.0", Some("de")),
            ("fr;q=0.5", Some("fr")),
            ("en, de", None),
            ("*", None),
            ("*, de;q=0.5", None),
            ("de;q=0", None),
            ("", None),
        ] {
            assert_eq!(preferred(value), language.map(|language| language.as_bytes().to_vec()), "{value}");
        }
        assert_eq!(preferred_language(&HeaderMap::new()), None);
    }

    #[test]
    fn content_language_must_be_unique() {
        let language = |lines: &[(&'static str, &'static str)]| content_language(&headers(lines));
        assert_eq!(language(&[("content-language", " DE ")]), Some(b"de".to_vec()));
        assert_eq!(language(&[("content-language", "de, en")]), None);
        assert_eq!(language(&[("content-language", "de"), ("content-language", "en")]), None);
        assert_eq!(language(&[("content-language", "")]), None);
    }

    #[test]
    fn preferences_compare_by_weight_not_by_order_or_case() {
        assert!(same("accept-language", "en, de", "DE,EN"));
        assert!(same("accept-language", "en;q=0.5, de", "de, en; q=0.5"));
        assert!(!same("accept-language", "en;q=0.5, de", "en, de;q=0.5"));
    }
}
