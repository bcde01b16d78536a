//! Gives the error responses that hyper writes itself a body.
//!
//! hyper answers a request whose head it cannot parse with a status and an empty body, before the
//! proxy sees the request.

use crate::request_error::RequestError;
use std::io::IoSlice;

/// The bytes of hyper's longest error response, rounded up.
const MAX_HEAD: usize = 256;

/// The position of the status in a response.
const STATUS_AT: usize = "HTTP/1.1 ".len();

/// The response to write in place of `slices`, if those are an error response of hyper.
pub(crate) fn replacement(slices: &[IoSlice<'_>]) -> Option<Vec<u8>> {
    let mut filled = slices.iter().filter(|slice| !slice.is_empty());
    let (head, None) = (filled.next()?, filled.next()) else { return None };
    if head.len() > MAX_HEAD || head.get(STATUS_AT) != Some(&b'4') {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
    let (status_line, fields) = text.split_once("\r\n")?;
    let error = match status_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)? {
        "400" => RequestError::BadRequest,
        "414" => RequestError::UriTooLong,
        "431" => RequestError::HeaderTooLong,
        _ => return None,
    };
    // Responses of the proxy itself have other fields, too.
    let is_from_hyper =
        |line: &str| matches!(line, "content-length: 0" | "connection: close") || line.starts_with("date: ");
    if !fields.split("\r\n").all(is_from_hyper) {
        return None;
    }
    let (parts, body) = error.response().into_parts();
    let mut response = format!("{status_line}\r\n").into_bytes();
    for (name, value) in &parts.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            response.extend_from_slice(part);
        }
    }
    for line in fields.split("\r\n").filter(|line| line.starts_with("date: ")) {
        response.extend_from_slice(format!("{line}\r\n").as_bytes());
    }
    response.extend_from_slice(
        format!("connection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes(),
    );
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(written: &[&str]) -> Option<String> {
        let slices: Vec<_> = written.iter().map(|text| IoSlice::new(text.as_bytes())).collect();
        replacement(&slices).map(|response| String::from_utf8(response).unwrap())
    }

    #[test]
    fn an_error_response_of_hyper_gets_a_body() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let response = replaced(&[bare]).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 ") && head.contains("\r\ndate: now\r\n"), "{head}");
        assert!(head.ends_with(&format!("\r\ncontent-length: {}", body.len())), "{head}");
        assert!(body.contains("--max-header-lines"), "{body}");
    }

    #[test]
    fn every_other_response_is_unchanged() {
        for written in [
            &["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nvia: 1.1 a\r\n\r\n"][..],
            &["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"],
            &["HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\nhello"],
            &["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "more"],
            &["HTTP/1.1 400 Bad Request\r\ncontent-le"],
            &["HTTP/1.1 100 Continue\r\n\r\n"],
            &[""],
        ] {
            assert_eq!(replaced(written), None, "{written:?}");
        }
    }
}
