//! Whatever stands where requests-cache had a response: reading it never panics, and what was read means the same in every format.
#![no_main]

use lacre::interchange::requests_cache::{Format, Response, Serializer};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|stored: &[u8]| {
    let serializer = Serializer::danger_unsigned();
    for read in [Format::Pickle, Format::Json, Format::Yaml] {
        let Ok(response) = serializer.clone().format(read).decode(stored) else { continue };
        // JSON has bytes in base64 or base85, and only a length that fits tells which.
        let formats = [Format::Pickle, Format::Yaml, Format::Json];
        for written in formats.into_iter().take(if tells_its_length(&response) { 3 } else { 2 }) {
            let again = serializer.clone().format(written);
            assert_eq!(again.decode(&again.encode(&response)).expect("what we wrote is read"), response);
        }
    }
});

fn tells_its_length(response: &Response) -> bool {
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
