//! [`Via`]: the name of this proxy in the field `Via` (RFC 9110 §7.6.3), by which it detects a
//! loop.

use http::{HeaderMap, HeaderValue, Version, header};
use std::hash::{BuildHasher, Hasher, RandomState};

/// The name of this process in `Via`: a random pseudonym, so that the proxy recognises a request
/// that it has forwarded before.
#[derive(Debug)]
pub(crate) struct Via {
    pseudonym: String,
    http_1_0: HeaderValue,
    http_1_1: HeaderValue,
    http_2: HeaderValue,
}

impl Via {
    /// A new pseudonym, which reveals nothing about this machine.
    pub(crate) fn new() -> Self {
        // The seed of a hasher is random enough to differ from the other proxies of a chain.
        let random = RandomState::new().build_hasher().finish() >> 16;
        let pseudonym = format!("lacre-{random:012x}");
        let value = |version| {
            HeaderValue::try_from(format!("{version} {pseudonym}"))
                .unwrap_or_else(|_| HeaderValue::from_static("1.1 lacre"))
        };
        Self { http_1_0: value("1.0"), http_1_1: value("1.1"), http_2: value("2"), pseudonym }
    }

    /// Adds this proxy to the field. `version` is the version of the message as it was received.
    pub(crate) fn add(&self, headers: &mut HeaderMap, version: Version) {
        let value = match version {
            Version::HTTP_10 => &self.http_1_0,
            Version::HTTP_2 => &self.http_2,
            _ => &self.http_1_1,
        };
        headers.append(header::VIA, value.clone());
    }

    /// Whether this proxy is already in the field, which means that the request loops.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::VIA).iter();
        // A comment may contain commas. It cannot forge an entry: the pseudonym is unknown to
        // others.
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).any(|entry| {
            let mut words = entry.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
            words.nth(1).is_some_and(|name| name.eq_ignore_ascii_case(self.pseudonym.as_bytes()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_recognises_only_itself_in_via() {
        let (this, other) = (Via::new(), Via::new());
        let mut headers = HeaderMap::new();
        other.add(&mut headers, Version::HTTP_11);
        assert!(other.is_in(&headers) && !this.is_in(&headers));
        this.add(&mut headers, Version::HTTP_2);
        assert!(this.is_in(&headers));
        let name = &this.pseudonym;
        for (line, is_known) in [
            (format!("1.0 fred, HTTP/1.1 {name}"), true),
            (format!("1.1 a (comment), 1.1\t {} (again)", name.to_uppercase()), true),
            (format!("1.1 {name}-2"), false),
            (format!("1.1 fred ({name})"), false),
            (name.clone(), false),
        ] {
            let headers = HeaderMap::from_iter([(header::VIA, line.parse().unwrap())]);
            assert_eq!(this.is_in(&headers), is_known, "{line}");
        }
    }
}
