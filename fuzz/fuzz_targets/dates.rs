//! Parses arbitrary bytes as an HTTP date (RFC 9110 §5.6.7).
//!
//! Parsing never panics. A date that parses is equal after `httpdate` formats it and it is parsed
//! again.
#![no_main]

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderValue;
use lacre_core::{Timestamp, parse_http_date};
use lacre_fuzz::START;
use libfuzzer_sys::fuzz_target;

/// The start of the year 10000, which an HTTP date cannot express.
const END: u64 = 253_402_300_800;

fuzz_target!(|text: &[u8]| {
    let Ok(value) = HeaderValue::from_bytes(text) else { return };
    let Some(date) = parse_http_date(&value, START) else { return };
    if let Ok(seconds) = u64::try_from(date.as_seconds())
        && seconds < END
    {
        let written = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
        let again = parse_http_date(&written.parse().unwrap(), START);
        assert_eq!(again, Some(Timestamp::from_seconds(date.as_seconds())));
    }
    // Only a two-digit year depends on the current date.
    let later = parse_http_date(&value, START.plus(Duration::from_secs(END)));
    assert!(later == Some(date) || text.contains(&b'-'));
});
