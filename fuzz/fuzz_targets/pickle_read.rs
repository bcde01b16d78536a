//! Decodes arbitrary bytes as a response stored by requests-cache: pickle, JSON or YAML.
//!
//! Decoding never panics. A response that decodes is equal after it is encoded and decoded in every
//! format.
#![no_main]

use lacre::interchange::requests_cache::{Format, Response, Serializer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stored: &[u8]| {
    let serializer = Serializer::danger_unsigned();
    for read in [Format::Pickle, Format::Json, Format::Yaml] {
        let Ok(response) = serializer.clone().format(read).decode(stored) else { continue };
        // In JSON, bytes are base64 or base85; only `Content-Length` distinguishes the two.
        let formats = [Format::Pickle, Format::Yaml, Format::Json];
        for written in formats.into_iter().take(if has_right_length(&response) { 3 } else { 2 }) {
            let again = serializer.clone().format(written);
            assert_eq!(again.decode(&again.encode(&response)).expect("an encoded response decodes"), response);
        }
    }
});

/// Whether each `Content-Length` of a response is that of its body.
fn has_right_length(response: &Response) -> bool {
    let fits =
        |length: Option<&str>, body: &[u8]| length.is_none_or(|length| length.parse() == Ok(body.len()));
    let hop = |hop: &Response| {
        fits(hop.header("content-length"), &hop.body)
            && [Some(&hop.request), hop.next.as_ref()]
                .into_iter()
                .flatten()
                .all(|request| fits(request.header("content-length"), &request.body))
    };
    hop(response) && response.history.iter().all(hop)
}
