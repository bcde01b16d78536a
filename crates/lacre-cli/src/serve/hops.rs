//! How far a request may go, and where it has been: `Via` and `Max-Forwards` (RFC 9110 §7.6.2, §7.6.3).

use crate::serve::failure::Fault;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, Version, header, request};
use lacre::Redactor;
use std::hash::{BuildHasher, Hasher, RandomState};

const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");

/// The methods that this proxy passes on, for `Allow`.
pub(crate) const ALLOWED: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");

/// This process in `Via`: a pseudonym of its own, so that it knows a request that it has passed on before.
#[derive(Debug)]
pub(crate) struct Via {
    pseudonym: String,
    http_1_0: HeaderValue,
    http_1_1: HeaderValue,
    http_2: HeaderValue,
}

impl Via {
    /// A new pseudonym, which says nothing about this machine.
    pub(crate) fn new() -> Self {
        // The seed of a hasher is random; that is all that is needed to differ from other proxies on the way.
        let random = RandomState::new().build_hasher().finish() >> 16;
        let pseudonym = format!("lacre-{random:012x}");
        let value = |version| {
            HeaderValue::try_from(format!("{version} {pseudonym}"))
                .unwrap_or_else(|_| HeaderValue::from_static("1.1 lacre"))
        };
        Self { http_1_0: value("1.0"), http_1_1: value("1.1"), http_2: value("2"), pseudonym }
    }

    /// Adds this hop; `version` is that of the message as it was received.
    pub(crate) fn add(&self, headers: &mut HeaderMap, version: Version) {
        let value = match version {
            Version::HTTP_10 => &self.http_1_0,
            Version::HTTP_2 => &self.http_2,
            _ => &self.http_1_1,
        };
        headers.append(header::VIA, value.clone());
    }

    /// Whether a request with these headers has been here before.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::VIA).iter();
        // A comment may hold commas; it cannot make up the name of a hop, which would need to be told apart from other words in it.
        lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).any(|hop| {
            let mut words = hop.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
            words.nth(1).is_some_and(|name| name.eq_ignore_ascii_case(self.pseudonym.as_bytes()))
        })
    }
}

/// What `Max-Forwards` makes of a request.
pub(crate) enum Forwards {
    /// It goes on, with one hop less to go.
    On,
    /// It was to come this far only; this is the answer.
    Here(Response<Bytes>),
}

impl Forwards {
    /// RFC 9110 §7.6.2: counts for TRACE and OPTIONS only.
    pub(crate) fn of(head: &mut request::Parts) -> Result<Self, Fault> {
        if head.method != Method::TRACE && head.method != Method::OPTIONS {
            return Ok(Self::On);
        }
        let mut lines = head.headers.get_all(&MAX_FORWARDS).iter();
        let left = match (lines.next(), lines.next()) {
            (None, _) => return Ok(Self::On),
            (Some(line), None) => number(line).ok_or(Fault::BadRequest)?,
            _ => return Err(Fault::BadRequest),
        };
        let Some(left) = left.checked_sub(1) else {
            return Ok(Self::Here(if head.method == Method::TRACE { trace(head) } else { options() }));
        };
        head.headers.insert(MAX_FORWARDS, HeaderValue::from(left));
        Ok(Self::On)
    }
}

/// A number of digits; one that is too great stays too great.
fn number(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(u64::MAX))
}

fn options() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(header::ALLOW, ALLOWED);
    response
}

/// RFC 9110 §9.3.8: the request as it came, without what says who asks.
fn trace(head: &request::Parts) -> Response<Bytes> {
    let secret = Redactor::default();
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut echo = format!("{} {target} {:?}\r\n", head.method, head.version).into_bytes();
    for (name, value) in &head.headers {
        if !secret.matches(name.as_str()) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                echo.extend_from_slice(part);
            }
        }
    }
    echo.extend_from_slice(b"\r\n");
    let mut response = Response::new(Bytes::from(echo));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("message/http"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn head(method: &str, fields: &[(&str, &str)]) -> request::Parts {
        let request =
            fields.iter().fold(Request::builder().method(method).uri("/p?q"), |request, (name, value)| {
                request.header(*name, *value)
            });
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_proxy_knows_itself_in_via_and_nobody_else() {
        let (this, other) = (Via::new(), Via::new());
        let mut headers = HeaderMap::new();
        other.add(&mut headers, Version::HTTP_11);
        assert!(other.is_in(&headers) && !this.is_in(&headers));
        this.add(&mut headers, Version::HTTP_2);
        assert!(this.is_in(&headers));
        let name = &this.pseudonym;
        for (line, known) in [
            (format!("1.0 fred, HTTP/1.1 {name}"), true),
            (format!("1.1 a (comment), 1.1\t {} (again)", name.to_uppercase()), true),
            (format!("1.1 {name}-2"), false),
            (format!("1.1 fred ({name})"), false),
            (name.clone(), false),
        ] {
            let headers = HeaderMap::from_iter([(header::VIA, line.parse().unwrap())]);
            assert_eq!(this.is_in(&headers), known, "{line}");
        }
    }

    #[test]
    fn max_forwards_counts_down_for_trace_and_options_only() {
        for (method, sent, left) in [
            ("OPTIONS", "1", "0"),
            ("TRACE", "10", "9"),
            ("OPTIONS", "99999999999999999999999", "18446744073709551614"),
            ("GET", "0", "0"),
            ("POST", "none", "none"),
        ] {
            let mut head = head(method, &[("max-forwards", sent)]);
            assert!(matches!(Forwards::of(&mut head), Ok(Forwards::On)), "{method} {sent}");
            assert_eq!(head.headers["max-forwards"], left, "{method} {sent}");
        }
        for wrong in ["", "-1", "+1", "1.5", "many"] {
            let mut head = head("TRACE", &[("max-forwards", wrong)]);
            assert!(matches!(Forwards::of(&mut head), Err(Fault::BadRequest)), "{wrong:?}");
        }
        assert!(matches!(
            Forwards::of(&mut head("TRACE", &[("max-forwards", "1"), ("max-forwards", "0")])),
            Err(Fault::BadRequest)
        ));
    }

    #[test]
    fn a_request_that_goes_no_further_is_answered_without_its_credentials() {
        let mut asked = head("OPTIONS", &[("max-forwards", "0")]);
        let Ok(Forwards::Here(response)) = Forwards::of(&mut asked) else { panic!("it goes on") };
        assert!(response.headers()["allow"].to_str().unwrap().contains("GET"));
        let fields =
            [("max-forwards", "0"), ("x-yours", "1"), ("cookie", "a=1"), ("authorization", "Bearer x")];
        let Ok(Forwards::Here(response)) = Forwards::of(&mut head("TRACE", &fields)) else {
            panic!("it goes on")
        };
        assert_eq!(response.headers()["content-type"], "message/http");
        assert_eq!(response.into_body(), "TRACE /p?q HTTP/1.1\r\nmax-forwards: 0\r\nx-yours: 1\r\n\r\n");
    }
}
