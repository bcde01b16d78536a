//! Parts of a response (RFC 9110 §14, RFC 9111 §3.3).

use crate::cache::{Cache, url, with};
use lacre_core::Policy;

#[test]
fn a_range_is_cut_from_a_stored_whole() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "0123456789");
    // Range, If-Range, status, body, Content-Range (RFC 9110 §14).
    for (range, condition, status, body, content_range) in [
        ("bytes=2-4", None, 206, "234", Some("bytes 2-4/10")),
        ("bytes=7-", None, 206, "789", Some("bytes 7-9/10")),
        ("bytes=-2", None, 206, "89", Some("bytes 8-9/10")),
        ("bytes=5-99", None, 206, "56789", Some("bytes 5-9/10")),
        ("bytes=10-", None, 416, "", Some("bytes */10")),
        ("bytes=0-1,4-5", None, 200, "0123456789", None),
        ("bytes=2-4", Some("\"1\""), 206, "234", Some("bytes 2-4/10")),
        ("bytes=2-4", Some("\"2\""), 200, "0123456789", None),
        ("bytes=2-4", Some("W/\"1\""), 200, "0123456789", None),
    ] {
        let mut headers = vec![("range", range)];
        headers.extend(condition.map(|condition| ("if-range", condition)));
        let got = cache.hit(with("/", &headers));
        assert_eq!(
            (got.parts.status.as_u16(), &got.body[..]),
            (status, body.as_bytes()),
            "{range} {condition:?}"
        );
        let value = got.parts.headers.get("content-range").map(|value| value.to_str().unwrap());
        assert_eq!(value, content_range, "{range}");
    }
}
