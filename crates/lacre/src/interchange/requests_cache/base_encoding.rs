//! Decodes bytes in JSON: base64 since requests-cache 1.3, before that the base85 of Python's
//! `base64.b85encode`. Nothing states which; only short texts are valid in both.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

/// The decoded bytes of `text`. If both encodings are valid, the one with the `declared` length is
/// used, otherwise base64.
pub(super) fn decode(text: &str, declared: Option<usize>) -> Option<Bytes> {
    let base64 = STANDARD.decode(text).ok();
    let fits = |bytes: &Vec<u8>| declared.is_none_or(|length| length == bytes.len());
    if let Some(bytes) = base64.as_ref().filter(|bytes| fits(bytes)) {
        return Some(bytes.clone().into());
    }
    let base85 = base85(text);
    match base85 {
        Some(bytes) if base64.is_none() || fits(&bytes) => Some(bytes.into()),
        _ => base64.map(Bytes::from),
    }
}

const ALPHABET: &[u8; 85] =
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~";

/// Five digits encode four bytes; an incomplete group is padded with the highest digit.
fn base85(text: &str) -> Option<Vec<u8>> {
    let mut values = [None; 256];
    for (value, digit) in (0u32..).zip(ALPHABET) {
        values[usize::from(*digit)] = Some(value);
    }
    let mut bytes = Vec::with_capacity(text.len() / 5 * 4 + 4);
    for group in text.as_bytes().chunks(5) {
        let mut number: u32 = 0;
        for place in 0..5 {
            let digit = group.get(place).map_or(Some(84), |digit| values[usize::from(*digit)])?;
            number = number.checked_mul(85)?.checked_add(digit)?;
        }
        // A single digit does not encode a byte.
        let length = group.len().checked_sub(1).filter(|length| *length > 0)?;
        bytes.extend_from_slice(&number.to_be_bytes()[..length]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_are_read() {
        // Written by Python's base64.b64encode and base64.b85encode.
        for (text, bytes) in [
            ("", &b""[..]),
            ("aGk=", b"hi"),
            ("XlV", b"hi"),
            ("dm?xuIv`syEHW-NEF#0HB3*p", b"{\"x\": [1,2.5,\"\xc3\xa9\"]}"),
            ("|NsC0", b"\xff\xff\xff\xff"),
            ("009C6", b"\x00\x01\x02\x03"),
        ] {
            assert_eq!(decode(text, None).as_deref(), Some(bytes), "{text}");
        }
    }

    #[test]
    fn declared_length_decides_between_two_valid_encodings() {
        // Written by b85encode; as base64 it would be 15 bytes.
        assert_eq!(decode("Xm4q4WMpJ+VqsxoXJTh+", Some(16)).as_deref(), Some(&b"hoimdddnbaabgbgj"[..]));
        assert_eq!(decode("Xm4q4WMpJ+VqsxoXJTh+", Some(15)).map(|bytes| bytes.len()), Some(15));
        assert_eq!(decode("Xm4q4WMpJ+VqsxoXJTh+", None).map(|bytes| bytes.len()), Some(15));
    }

    #[test]
    fn text_in_neither_encoding_is_refused() {
        for text in ["\"", "a", "abcdef", "~~~~~", "é"] {
            assert_eq!(decode(text, None), None, "{text}");
        }
    }
}
