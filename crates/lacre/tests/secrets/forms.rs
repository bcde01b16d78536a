//! Looking for a secret, in clear and in the forms that software gives to text.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem;

/// In which form a secret is in `bytes`; `None`: in none.
pub(crate) fn find(bytes: &[u8], secret: &str) -> Option<&'static str> {
    forms(secret).into_iter().find(|(_, text)| contains(bytes, text.as_bytes())).map(|(form, _)| form)
}

pub(crate) fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    memmem::find(bytes, wanted).is_some()
}

fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let hex = |digit: fn(u8) -> String| secret.bytes().map(digit).collect::<String>();
    let mut forms = vec![
        ("in clear", secret.to_owned()),
        ("in small letters", secret.to_lowercase()),
        ("in part", secret[..20].to_owned()),
        ("reversed", secret.chars().rev().collect()),
        ("in hexadecimal", hex(|byte| format!("{byte:02x}"))),
        ("in hexadecimal capitals", hex(|byte| format!("{byte:02X}"))),
        ("percent-encoded", hex(|byte| format!("%{byte:02X}"))),
        ("as UTF-16", secret.chars().flat_map(|letter| [letter, '\0']).collect()),
    ];
    // Base64 depends on what stands before; what does not depend on its neighbours is left.
    for before in 0..3 {
        let shifted = format!("{}{secret}", &"xx"[..before]);
        let inner = |text: String| text[4..text.len() - 4].to_owned();
        forms.push(("in base64", inner(STANDARD_NO_PAD.encode(&shifted))));
        forms.push(("in base64url", inner(URL_SAFE_NO_PAD.encode(&shifted))));
    }
    forms
}

#[test]
fn every_form_is_found_among_other_bytes() {
    let secret = "7Abcdefghijklmnopqrstuvwxyz012345678";
    for (form, text) in forms(secret) {
        let bytes = [&[0xFF, b'x'][..], text.as_bytes(), b"x"].concat();
        assert!(find(&bytes, secret).is_some(), "{form}");
    }
    for before in ["", "a", "user:", "ab"] {
        let encoded = STANDARD_NO_PAD.encode(format!("{before}{secret} and more"));
        assert_eq!(find(encoded.as_bytes(), secret), Some("in base64"), "{before}");
    }
    assert_eq!(find(b"nothing of it", secret), None);
}
