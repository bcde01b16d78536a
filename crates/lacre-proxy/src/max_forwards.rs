//! `Max-Forwards` (RFC 9110 §7.6.2): how many more proxies a TRACE or OPTIONS request may pass.

use crate::headers::ALLOWED_METHODS;
use crate::request_error::RequestError;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, header, request};
use lacre::Redactor;

const MAX_FORWARDS: HeaderName = HeaderName::from_static("max-forwards");

/// What `Max-Forwards` asks of this proxy.
pub(crate) enum Forwarding {
    /// Forward the request. Its count is lowered by one.
    Forward,
    /// Answer the request here: its count was zero.
    Answer(Response<Bytes>),
}

impl Forwarding {
    /// Reads the field of a request, and lowers it by one. Only TRACE and OPTIONS have it
    /// (RFC 9110 §7.6.2).
    pub(crate) fn of(head: &mut request::Parts) -> Result<Self, RequestError> {
        if head.method != Method::TRACE && head.method != Method::OPTIONS {
            return Ok(Self::Forward);
        }
        let mut lines = head.headers.get_all(&MAX_FORWARDS).iter();
        let count = match (lines.next(), lines.next()) {
            (None, _) => return Ok(Self::Forward),
            (Some(line), None) => parse(line).ok_or(RequestError::BadRequest)?,
            _ => return Err(RequestError::BadRequest),
        };
        let Some(count) = count.checked_sub(1) else {
            return Ok(Self::Answer(if head.method == Method::TRACE { trace(head) } else { options() }));
        };
        head.headers.insert(MAX_FORWARDS, HeaderValue::from(count));
        Ok(Self::Forward)
    }
}

/// A decimal number. One beyond `u64` counts as the largest.
fn parse(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?.trim_matches([' ', '\t']);
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

fn options() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(header::ALLOW, ALLOWED_METHODS);
    response
}

/// Reflects the request as it was received, without fields that are likely to hold credentials
/// (RFC 9110 §9.3.8).
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
    fn max_forwards_counts_down_for_trace_and_options_only() {
        for (method, sent, left) in [
            ("OPTIONS", "1", "0"),
            ("TRACE", "10", "9"),
            ("OPTIONS", "99999999999999999999999", "18446744073709551614"),
            ("GET", "0", "0"),
            ("POST", "none", "none"),
        ] {
            let mut head = head(method, &[("max-forwards", sent)]);
            assert!(matches!(Forwarding::of(&mut head), Ok(Forwarding::Forward)), "{method} {sent}");
            assert_eq!(head.headers["max-forwards"], left, "{method} {sent}");
        }
        for wrong in ["", "-1", "+1", "1.5", "many"] {
            let mut head = head("TRACE", &[("max-forwards", wrong)]);
            assert!(matches!(Forwarding::of(&mut head), Err(RequestError::BadRequest)), "{wrong:?}");
        }
        assert!(matches!(
            Forwarding::of(&mut head("TRACE", &[("max-forwards", "1"), ("max-forwards", "0")])),
            Err(RequestError::BadRequest)
        ));
    }

    #[test]
    fn a_request_with_max_forwards_zero_is_answered_without_its_credentials() {
        let mut options = head("OPTIONS", &[("max-forwards", "0")]);
        let Ok(Forwarding::Answer(response)) = Forwarding::of(&mut options) else {
            panic!("it is forwarded")
        };
        assert!(response.headers()["allow"].to_str().unwrap().contains("GET"));
        let fields =
            [("max-forwards", "0"), ("x-yours", "1"), ("cookie", "a=1"), ("authorization", "Bearer x")];
        let Ok(Forwarding::Answer(response)) = Forwarding::of(&mut head("TRACE", &fields)) else {
            panic!("it is forwarded")
        };
        assert_eq!(response.headers()["content-type"], "message/http");
        assert_eq!(response.into_body(), "TRACE /p?q HTTP/1.1\r\nmax-forwards: 0\r\nx-yours: 1\r\n\r\n");
    }
}
