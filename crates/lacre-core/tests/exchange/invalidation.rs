//! Invalidation by unsafe requests (RFC 9111 §4.4).

use crate::cache::{Cache, respond, url};
use http::Request;
use lacre_core::Policy;

#[test]
fn successful_unsafe_request_invalidates() {
    // Method, status, header of the answer, whether / and /other on the same origin are invalidated
    // (§4.4).
    for (method, status, header, target, other) in [
        ("POST", 200, None, true, false),
        ("PUT", 204, None, true, false),
        ("DELETE", 303, None, true, false),
        ("M-SEARCH", 200, None, true, false),
        ("POST", 500, None, false, false),
        ("POST", 404, None, false, false),
        ("OPTIONS", 200, None, false, false),
        ("POST", 201, Some(("location", "/other")), true, true),
        ("POST", 201, Some(("content-location", "http://example.com/other")), true, true),
        ("POST", 201, Some(("location", "http://elsewhere.example/other")), true, false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", "max-age=60")], "");
        cache.get(url("/other"), &[("cache-control", "max-age=60")], "");
        let request = Request::builder().method(method).uri("http://example.com/").body("").unwrap();
        cache.exchange(request, &mut |_| Some(respond(status, &header.into_iter().collect::<Vec<_>>(), "")));
        let case = format!("{method} {status} {header:?}");
        assert_eq!((cache.misses(url("/")), cache.misses(url("/other"))), (target, other), "{case}");
    }
}
