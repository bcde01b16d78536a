//! Robustness against arbitrary headers.

use crate::cache::{Cache, respond, url};
use lacre_core::Policy;

proptest::proptest! {
    /// Any header leads to an answer with the body that was sent.
    #[test]
    fn the_cache_adds_no_exception(
        names in proptest::collection::vec(proptest::sample::select(&[
            "cache-control", "age", "date", "expires", "etag", "last-modified", "vary", "content-range",
            "connection", "content-length", "location", "set-cookie",
        ][..]), 0..4),
        values in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..24), 4),
        asked in proptest::sample::select(&["cache-control", "range", "if-none-match", "if-range", "pragma"][..]),
        text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..24),
    ) {
        let mut cache = Cache::new(Policy::rfc9111());
        for round in 0..3 {
            let mut request = url("/");
            if let Ok(value) = http::HeaderValue::from_bytes(&text) {
                request.headers_mut().insert(asked, value);
            }
            let got = cache.exchange(request, &mut |_| {
                let mut response = respond(200, &[], "0123456789");
                for (name, value) in names.iter().zip(&values) {
                    if let Ok(value) = http::HeaderValue::from_bytes(value) {
                        response.headers_mut().append(*name, value);
                    }
                }
                Some(response)
            }).unwrap();
            assert!(got.parts.status != 200 || got.body == "0123456789", "round {round}");
            cache.after(40);
        }
    }
}
