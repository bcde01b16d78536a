//! Words for the refusals that hyper sends by itself, where it cannot read the head of a request: these have a status and nothing else.

use crate::serve::failure::Fault;
use std::io::IoSlice;

/// Bytes of the longest refusal of hyper's own, generously, and where its status begins.
const LONGEST: usize = 256;
const FIRST_DIGIT: usize = "HTTP/1.1 ".len();

/// What to send instead of what hyper is about to send, where that is a refusal of its own.
pub(crate) fn instead_of(slices: &[IoSlice<'_>]) -> Option<Vec<u8>> {
    let mut filled = slices.iter().filter(|slice| !slice.is_empty());
    let (head, None) = (filled.next()?, filled.next()) else { return None };
    if head.len() > LONGEST || head.get(FIRST_DIGIT) != Some(&b'4') {
        return None;
    }
    let text = std::str::from_utf8(head).ok()?.strip_suffix("\r\n\r\n")?;
    let (first, fields) = text.split_once("\r\n")?;
    let fault = match first.strip_prefix("HTTP/1.")?.split(' ').nth(1)? {
        "400" => Fault::BadRequest,
        "414" => Fault::LongTarget,
        "431" => Fault::LongHeader,
        _ => return None,
    };
    // Whatever comes from the proxy itself has other fields, too.
    let bare =
        |line: &str| matches!(line, "content-length: 0" | "connection: close") || line.starts_with("date: ");
    if !fields.split("\r\n").all(bare) {
        return None;
    }
    let (parts, text) = fault.response().into_parts();
    let mut answer = format!("{first}\r\n").into_bytes();
    for (name, value) in &parts.headers {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            answer.extend_from_slice(part);
        }
    }
    for line in fields.split("\r\n").filter(|line| line.starts_with("date: ")) {
        answer.extend_from_slice(format!("{line}\r\n").as_bytes());
    }
    answer.extend_from_slice(
        format!("connection: close\r\ncontent-length: {}\r\n\r\n{text}", text.len()).as_bytes(),
    );
    Some(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instead(written: &[&str]) -> Option<String> {
        let slices: Vec<_> = written.iter().map(|text| IoSlice::new(text.as_bytes())).collect();
        instead_of(&slices).map(|answer| String::from_utf8(answer).unwrap())
    }

    #[test]
    fn a_refusal_of_hyper_gets_words() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\ndate: now\r\n\r\n";
        let answer = instead(&[bare]).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 431 ") && head.contains("\r\ndate: now\r\n"), "{head}");
        assert!(head.ends_with(&format!("\r\ncontent-length: {}", body.len())), "{head}");
        assert!(body.contains("--max-header-lines"), "{body}");
    }

    #[test]
    fn every_other_answer_is_left_alone() {
        for written in [
            &["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nvia: 1.1 a\r\n\r\n"][..],
            &["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"],
            &["HTTP/1.1 400 Bad Request\r\ncontent-length: 5\r\n\r\nhello"],
            &["HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n", "more"],
            &["HTTP/1.1 400 Bad Request\r\ncontent-le"],
            &["HTTP/1.1 100 Continue\r\n\r\n"],
            &[""],
        ] {
            assert_eq!(instead(written), None, "{written:?}");
        }
    }
}
