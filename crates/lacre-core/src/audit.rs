//! Audit of stored responses: finds likely secrets by name, by known format, or by randomness under
//! a suspicious name. It is a pure function of the entry. A finding never repeats the secret.

use crate::Entry;
use crate::key::Digest;
use crate::redact::{REDACTED, Redactor, SecretFormat, find_formats};
use http::{HeaderMap, HeaderName, header};
use regex::bytes::Regex;
use std::fmt;
use std::ops::Range;
use std::sync::LazyLock;

/// The length of the body prefix that is audited, in bytes.
pub const MAX_AUDITED_BODY: usize = 1 << 20;

/// The maximum number of findings for an entry. It may contain more.
const MAX_FINDINGS: usize = 100;

/// The result of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Audit {
    /// At most 100 findings, in the order of the entry.
    pub findings: Vec<AuditFinding>,
    /// The part of the body that was audited.
    pub body: Coverage,
}

/// The part of a body that was audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Coverage {
    /// All of it.
    Whole,
    /// The first [`MAX_AUDITED_BODY`] bytes.
    Prefix,
    /// Nothing: the body is compressed or not text.
    Skipped,
}

/// A likely secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditFinding {
    /// Its location.
    pub location: FindingLocation,
    /// The reason why it is likely a secret.
    pub detector: Detector,
    /// The fingerprint of the secret.
    pub fingerprint: Fingerprint,
}

/// The location of a finding in an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FindingLocation {
    /// The URL.
    Url,
    /// A request header.
    RequestHeader(HeaderName),
    /// A response header.
    ResponseHeader(HeaderName),
    /// A tag that the user set.
    Tag,
    /// The body.
    Body {
        /// The offset in bytes.
        offset: usize,
    },
}

/// The reason why a value is likely a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Detector {
    /// It has a known format.
    Format(SecretFormat),
    /// It has this name. Empty if it has none, as in the userinfo of a URL.
    Name(String),
    /// It is random and has this name.
    Random(String),
}

/// Identifies a secret without revealing it: four bytes of a keyed digest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 4]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Detector {
    /// The kind of detector: the name of the format, `name` or `random`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Format(format) => format.as_str(),
            Self::Name(_) => "name",
            Self::Random(_) => "random",
        }
    }

    /// The name of the value, if the name is the reason. It may be text from the origin.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Format(_) => None,
            Self::Name(name) | Self::Random(name) => Some(name),
        }
    }
}

/// Audits an entry with its body, or the first [`MAX_AUDITED_BODY`] bytes of it.
pub(crate) fn audit<B>(redactor: &Redactor, digest: &dyn Digest, entry: &Entry<B>, body: &[u8]) -> Audit {
    let mut auditor = Auditor { redactor, digest, findings: Vec::new() };
    auditor.scan(&FindingLocation::Url, entry.url.as_bytes(), redactor.in_url(entry.url.as_bytes()));
    auditor.headers(FindingLocation::RequestHeader, &entry.request_headers);
    auditor.headers(FindingLocation::ResponseHeader, &entry.headers);
    for tag in &entry.tags {
        auditor.scan(&FindingLocation::Tag, tag.as_bytes(), Vec::new());
    }
    let coverage = auditor.body(&entry.headers, body);
    Audit { findings: auditor.findings, body: coverage }
}

struct Auditor<'a> {
    redactor: &'a Redactor,
    digest: &'a dyn Digest,
    findings: Vec<AuditFinding>,
}

impl Auditor<'_> {
    fn headers(&mut self, location: fn(HeaderName) -> FindingLocation, headers: &HeaderMap) {
        for (name, value) in headers {
            // The header name is part of the text, because it may be the reason.
            let start = name.as_str().len() + 2;
            let text = [name.as_str().as_bytes(), b": ", value.as_bytes()].concat();
            let by_name = self.redactor.in_header(name, value.as_bytes());
            let by_name = by_name.into_iter().map(|range| range.start + start..range.end + start);
            self.scan(&location(name.clone()), &text, by_name.collect());
        }
    }

    fn body(&mut self, headers: &HeaderMap, body: &[u8]) -> Coverage {
        let coverage = if body.len() > MAX_AUDITED_BODY { Coverage::Prefix } else { Coverage::Whole };
        let body = &body[..body.len().min(MAX_AUDITED_BODY)];
        if headers.contains_key(header::CONTENT_ENCODING) || body.contains(&0) {
            return Coverage::Skipped;
        }
        let mut by_name = self.redactor.in_body(headers.get(header::CONTENT_TYPE), body);
        by_name.retain(|range| is_specific(unquoted(&body[range.clone()])));
        self.scan(&FindingLocation::Body { offset: 0 }, body, by_name);
        coverage
    }

    /// Audits a text in which the values at `by_name` have secret names. A value is reported once,
    /// by its format rather than by its name.
    fn scan(&mut self, location: &FindingLocation, text: &[u8], by_name: Vec<Range<usize>>) {
        let by_format = find_formats(text).map(|(format, range)| (range, Detector::Format(format)));
        let by_name =
            by_name.into_iter().map(|range| (range.clone(), Detector::Name(name_before(text, range.start))));
        let random =
            SUSPICIOUS_PAIR.iter().flat_map(|pattern| pattern.captures_iter(text)).filter_map(|found| {
                let (name, value) = (found.get(1)?, found.get(2)?);
                is_random(value.as_bytes())
                    .then(|| (value.range(), Detector::Random(lossy_text(name.as_bytes()))))
            });
        let mut seen: Vec<(Range<usize>, Detector)> = Vec::new();
        for (range, detector) in by_format.chain(by_name).chain(random) {
            let known = seen.iter().any(|(other, _)| other.start < range.end && range.start < other.end);
            if !known && self.findings.len() + seen.len() < MAX_FINDINGS {
                seen.push((range, detector));
            }
        }
        seen.sort_by_key(|(range, _)| range.start);
        for (range, detector) in seen {
            let secret = unquoted(&text[range.clone()]);
            // A name alone does not make a flag secret.
            let is_word = matches!(detector, Detector::Name(_)) && is_flag(secret);
            if !secret.is_empty() && secret != REDACTED.as_bytes() && !is_word {
                let location = if let FindingLocation::Body { .. } = location {
                    FindingLocation::Body { offset: range.start }
                } else {
                    location.clone()
                };
                self.findings.push(AuditFinding {
                    location,
                    detector,
                    fingerprint: self.fingerprint(secret),
                });
            }
        }
    }

    fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        let [a, b, c, d, ..] = self.digest.digest(&[LABEL, secret].concat());
        Fingerprint([a, b, c, d])
    }
}

/// Separates fingerprints from row keys, which are digests with the same key (docs/format.md §5).
const LABEL: &[u8] = b"lacre/v1/audit";

/// Matches `name=value` and `"name": "value"` with a suspicious name.
static SUSPICIOUS_PAIR: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let name = "[a-z0-9_.-]{0,40}(?:auth|credential|key|passw|secret|token)[a-z0-9_.-]{0,40}";
    Regex::new(&format!(r#"(?i-u)({name})["']?\s{{0,8}}[=:]\s{{0,8}}["']?([a-z0-9+/_~.-]{{20,200}}=*)"#)).ok()
});

/// Whether a text is random rather than words or a path: by its letters, digits and entropy.
fn is_random(text: &[u8]) -> bool {
    let count = |belongs: fn(&u8) -> bool| text.iter().filter(|byte| belongs(byte)).count();
    let separators = count(|byte| b"/_~.-".contains(byte));
    let mixed = count(u8::is_ascii_digit) >= 2 && count(u8::is_ascii_alphabetic) >= 2;
    mixed && separators * 8 <= text.len() && entropy(text) >= 3.2
}

/// The Shannon entropy in bits per byte.
fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0_u32; 256];
    text.iter().for_each(|byte| counts[usize::from(*byte)] += 1);
    #[expect(clippy::cast_precision_loss, reason = "a text of at most a megabyte")]
    let length = text.len() as f64;
    let bits = |count: u32| {
        let part = f64::from(count) / length;
        -part * part.log2()
    };
    counts.into_iter().filter(|count| *count > 0).map(bits).sum()
}

/// Whether a by_name value in a body is specific enough. The origin chose the name, so `"token":
/// null` and `"session": "open"` are not findings.
fn is_specific(value: &[u8]) -> bool {
    value.len() >= 8
        && !value.starts_with(b"{")
        && !value.starts_with(b"[")
        && value.iter().all(u8::is_ascii_graphic)
}

/// Whether a value is a flag: `Access-Control-Allow-Credentials: true`, `X-Auth-Token: none`.
fn is_flag(value: &[u8]) -> bool {
    const FLAGS: [&str; 17] = [
        "*",
        "0",
        "1",
        "absent",
        "deleted",
        "false",
        "include",
        "no",
        "none",
        "null",
        "off",
        "omit",
        "on",
        "same-origin",
        "true",
        "undefined",
        "yes",
    ];
    FLAGS.iter().any(|flag| value.eq_ignore_ascii_case(flag.as_bytes()))
}

/// Removes whitespace and quotes around a value.
fn unquoted(value: &[u8]) -> &[u8] {
    let value = value.trim_ascii();
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

/// The name before the value at `start`, before `=` or `:`. Empty if there is none.
fn name_before(text: &[u8], start: usize) -> String {
    let before = &text[start.saturating_sub(MAX_NAME_LEN)..start];
    let before = before.trim_ascii_end();
    let Some(before) = before.strip_suffix(b"=").or_else(|| before.strip_suffix(b":")) else {
        return String::new();
    };
    let before = before.trim_ascii_end();
    let before = before.strip_suffix(b"\"").unwrap_or(before);
    let belongs = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-[]%".contains(byte);
    let length = before.iter().rev().take_while(belongs).count();
    lossy_text(&before[before.len() - length..])
}

const MAX_NAME_LEN: usize = 80;

fn lossy_text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;
    use http::{HeaderValue, Method, StatusCode, Version};

    fn entry(url: &str, headers: &[(&'static str, &str)]) -> Entry<()> {
        let value = |text: &str| HeaderValue::from_str(text).unwrap();
        Entry {
            method: Method::GET,
            url: url.to_owned(),
            request_headers: HeaderMap::new(),
            status: StatusCode::OK,
            version: Version::HTTP_11,
            headers: headers
                .iter()
                .map(|(name, text)| (HeaderName::from_static(name), value(text)))
                .collect(),
            requested: Timestamp::default(),
            received: Timestamp::default(),
            ttl: None,
            tags: Vec::new(),
            body: (),
        }
    }

    fn of(entry: &Entry<()>, body: &[u8]) -> Audit {
        let digest = |identity: &[u8]| *blake3::hash(identity).as_bytes();
        audit(&Redactor::default(), &digest, entry, body)
    }

    /// Location, kind and name of each finding in a body of this type.
    fn in_body(content_type: &'static str, body: &str) -> Vec<(usize, &'static str, String)> {
        let audit = of(&entry("http://h/", &[("content-type", content_type)]), body.as_bytes());
        let each = |finding: &AuditFinding| match finding.location {
            FindingLocation::Body { offset } => {
                (offset, finding.detector.kind(), finding.detector.name().unwrap_or_default().to_owned())
            }
            _ => panic!("{finding:?}"),
        };
        audit.findings.iter().map(each).collect()
    }

    #[test]
    fn redacted_values_are_not_findings() {
        let redactor = Redactor::default();
        let url = redactor.url("https://u:p@h/a;sid=s?token=s&next=%2F%3Fsig%3Ds#access_token=s");
        let mut redacted = entry(&url, &[("set-cookie", "id=REDACTED; Path=/")]);
        let request_headers =
            [("authorization", "Bearer s"), ("cookie", "a=b; c=d"), ("x-any", "Bearer abcdefgh12345678")];
        redacted.request_headers = redactor.headers(&entry("", &request_headers).headers);
        assert_eq!(of(&redacted, b"").findings, []);
    }

    #[test]
    fn secrets_are_found_by_name_in_urls_and_headers() {
        let audit = of(
            &entry(
                "https://user:pw@h/?token=one",
                &[
                    ("set-cookie", "id=two; Path=/"),
                    ("x-api-key", "three"),
                    ("location", "/?sig=one"),
                    ("etag", "\"token\""),
                ],
            ),
            b"",
        );
        let each = |finding: &AuditFinding| (finding.location.clone(), finding.detector.clone());
        let found: Vec<_> = audit.findings.iter().map(each).collect();
        let name = |name: &str| Detector::Name(name.to_owned());
        let header = |name| FindingLocation::ResponseHeader(HeaderName::from_static(name));
        assert_eq!(
            found,
            [
                (FindingLocation::Url, name("")),
                (FindingLocation::Url, name("token")),
                (header("set-cookie"), name("id")),
                (header("x-api-key"), name("x-api-key")),
                (header("location"), name("sig")),
            ]
        );
        let prints: Vec<_> = audit.findings.iter().map(|finding| finding.fingerprint).collect();
        assert_eq!(prints[1], prints[4], "the same secret in two places");
        assert_ne!(prints[1], prints[2]);
    }

    #[test]
    fn secrets_are_found_in_bodies_by_format_name_and_randomness() {
        let token = format!("ghp_{}", "a1B2c3D4e5F6".repeat(3));
        assert_eq!(in_body("text/html", &format!("<p>{token}</p>")), [(3, "github-token", String::new())]);
        assert_eq!(
            in_body("application/json", r#"[{"a":{"password":"correct-horse"}}]"#),
            [(18, "name", "password".to_owned())]
        );
        assert_eq!(
            in_body("text/plain", "signing_key = 'q9W8e7R6t5Y4u3I2o1P0'"),
            [(15, "random", "signing_key".to_owned())]
        );
        assert_eq!(
            in_body("application/json", &format!(r#"{{"token":"{token}"}}"#)).len(),
            1,
            "reported once"
        );
        for harmless in [
            r#"{"token":null,"session":"open","credentials":{"a":1},"password":"too short"}"#,
            r#"{"key":"a-page-about-keys-and-locks","auth_path":"/v1/users/1/sessions/22/tokens"}"#,
            r#"{"author":"Nobody in Particular","tokens":[1,2,3],"secret":"REDACTED"}"#,
        ] {
            assert_eq!(in_body("application/json", harmless), [], "{harmless}");
        }
    }

    #[test]
    fn flags_under_secret_names_are_not_findings() {
        for (name, value) in [
            ("access-control-allow-credentials", "true"),
            ("access-control-allow-headers", "authorization, x-api-key"),
            ("access-control-expose-headers", "x-auth-token"),
            ("x-auth-token", "none"),
            ("x-xsrf-token", "\"null\""),
            ("set-cookie", "session=deleted; Max-Age=0"),
        ] {
            assert_eq!(
                of(&entry("http://h/?token=true&session=0", &[(name, value)]), b"").findings,
                [],
                "{name}"
            );
        }
        assert_eq!(of(&entry("http://h/", &[("x-auth-token", "q9W8e7R6")]), b"").findings.len(), 1);
    }

    #[test]
    fn audit_of_a_body_is_limited_to_text_and_a_prefix() {
        let secret = b"\"password\":\"correct-horse\"";
        let json = entry("http://h/", &[("content-type", "application/json")]);
        let far = [&vec![b' '; MAX_AUDITED_BODY][..], secret].concat();
        assert_eq!(of(&json, &far), Audit { findings: Vec::new(), body: Coverage::Prefix });
        assert_eq!(of(&json, &[b"\0", &secret[..]].concat()).body, Coverage::Skipped);
        let packed = entry("http://h/", &[("content-encoding", "gzip")]);
        assert_eq!(of(&packed, secret).body, Coverage::Skipped);
        let many = format!("[{}]", vec!["{\"token\":\"abcdefgh\"}"; 1000].join(","));
        assert_eq!(of(&json, many.as_bytes()).findings.len(), MAX_FINDINGS);
    }

    #[test]
    fn findings_do_not_show_secrets() {
        let audit = of(&entry("https://h/?token=hunter2", &[("x-api-key", "hunter3")]), b"");
        assert_eq!(audit.findings.len(), 2);
        assert!(!format!("{audit:?}").contains("hunter"));
    }
}
