//! Byte ranges and partial responses (RFC 9110 §14, RFC 9111 §3.3).

use crate::cache::{Cache, Got, respond, url, with};
use http::{Method, Request, StatusCode};
use lacre_core::{Detail, Forward, Policy, Stored};

#[test]
fn range_is_served_from_a_complete_response() {
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

/// Requests a range that the origin answers with a part.
fn part(
    cache: &mut Cache,
    range: &str,
    content_range: &str,
    more: &[(&str, &str)],
    body: &'static str,
) -> Got {
    let headers = [&[("cache-control", "max-age=60"), ("content-range", content_range)], more].concat();
    cache.exchange(with("/", &[("range", range)]), &mut |_| Some(respond(206, &headers, body))).unwrap()
}

#[test]
fn stored_part_answers_its_range_and_ranges_within() {
    let mut cache = Cache::new(Policy::rfc9111());
    assert_eq!(part(&mut cache, "bytes=4-", "bytes 4-9/10", &[], "456789").status.stored, Stored::Yes);
    for (range, body, content_range) in [
        ("bytes=4-", "456789", "bytes 4-9/10"),
        ("bytes=4-9", "456789", "bytes 4-9/10"),
        ("bytes=6-8", "678", "bytes 6-8/10"),
        ("bytes=6-", "6789", "bytes 6-9/10"),
        ("bytes=-1", "9", "bytes 9-9/10"),
    ] {
        let got = cache.hit(with("/", &[("range", range)]));
        assert_eq!(
            (got.parts.status, &got.body[..]),
            (StatusCode::PARTIAL_CONTENT, body.as_bytes()),
            "{range}"
        );
        assert_eq!(got.parts.headers["content-range"], content_range, "{range}");
        assert_eq!(got.parts.headers["content-length"], body.len().to_string(), "{range}");
    }
    for range in ["bytes=3-5", "bytes=0-", "bytes=-7", "bytes=4-5,7-8", "bytes=10-"] {
        assert!(cache.misses(with("/", &[("range", range)])), "{range}");
    }
}

#[test]
fn parts_are_kept_and_never_combined() {
    let mut cache = Cache::new(Policy::rfc9111());
    part(&mut cache, "bytes=0-4", "bytes 0-4/10", &[("etag", "\"1\"")], "01234");
    part(&mut cache, "bytes=5-9", "bytes 5-9/10", &[("etag", "\"1\"")], "56789");
    assert_eq!(cache.hit(with("/", &[("range", "bytes=0-4")])).body, "01234");
    assert_eq!(cache.hit(with("/", &[("range", "bytes=5-9")])).body, "56789");
    assert_eq!(cache.hit(with("/", &[("range", "bytes=7-8")])).body, "78");
    assert!(cache.misses(with("/", &[("range", "bytes=0-9")])));
    assert!(cache.misses(with("/", &[("range", "bytes=3-6")])));
}

#[test]
fn part_is_never_served_as_the_whole() {
    for method in [Method::GET, Method::HEAD] {
        let mut cache = Cache::new(Policy::rfc9111());
        part(&mut cache, "bytes=0-9", "bytes 0-9/10", &[], "0123456789");
        let request = Request::builder().method(&method).uri("http://example.com/").body("").unwrap();
        let mut asked = Vec::new();
        let got = cache.exchange(request, &mut |request| {
            asked.push(request.headers.contains_key("range"));
            Some(respond(200, &[("cache-control", "max-age=60")], "whole"))
        });
        assert_eq!((asked, got.unwrap().status.forward), (vec![false], Some(Forward::Partial)), "{method}");
    }
}

#[test]
fn complete_response_replaces_parts() {
    let mut cache = Cache::new(Policy::rfc9111());
    part(&mut cache, "bytes=0-1", "bytes 0-1/10", &[], "ab");
    cache.get(url("/"), &[("cache-control", "max-age=60")], "0123456789");
    assert_eq!(cache.hit(with("/", &[("range", "bytes=0-1")])).body, "01");
}

#[test]
fn unrequested_or_invalid_part_is_not_stored() {
    // Request headers, response headers.
    for (asked, headers) in [
        (&[][..], &[("content-range", "bytes 0-4/10")][..]),
        (&[("range", "bytes=0-1,4-5")], &[("content-range", "bytes 0-5/10")]),
        (&[("range", "bytes=0-4")], &[]),
        (&[("range", "bytes=0-4")], &[("content-range", "bytes */10")]),
        (&[("range", "bytes=0-4")], &[("content-range", "bytes 4-0/10")]),
        (&[("range", "bytes=0-4")], &[("content-range", "bytes 0-4/4")]),
        (&[("range", "bytes=0-4")], &[("content-range", "bytes 0-4/10"), ("content-length", "10")]),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        let headers = [headers, &[("cache-control", "max-age=60")]].concat();
        let got = cache.exchange(with("/", asked), &mut |_| Some(respond(206, &headers, "01234"))).unwrap();
        assert_eq!(got.status.detail, Some(Detail::Partial), "{asked:?} {headers:?}");
        assert!(cache.rows.is_empty());
    }
}

#[test]
fn truncated_part_is_not_used() {
    let mut cache = Cache::new(Policy::rfc9111());
    part(&mut cache, "bytes=4-9", "bytes 4-9/10", &[], "4567");
    assert!(cache.misses(with("/", &[("range", "bytes=4-9")])));
    assert!(cache.misses(with("/", &[("range", "bytes=4-5")])));
}

#[test]
fn stale_part_is_validated_before_use() {
    let mut cache = Cache::new(Policy::rfc9111());
    part(&mut cache, "bytes=4-9", "bytes 4-9/10", &[("etag", "\"1\"")], "456789");
    cache.after(61);
    let mut confirm = |request: &http::request::Parts| {
        assert_eq!(request.headers["if-none-match"], "\"1\"");
        Some(respond(304, &[("cache-control", "max-age=60")], ""))
    };
    let got = cache.exchange(with("/", &[("range", "bytes=5-6")]), &mut confirm).unwrap();
    assert_eq!((got.parts.status.as_u16(), &got.body[..]), (206, &b"56"[..]));
    assert_eq!(cache.hit(with("/", &[("range", "bytes=4-9")])).body, "456789");
}

#[test]
fn conditions_on_a_part_are_evaluated() {
    let mut cache = Cache::new(Policy::rfc9111());
    part(&mut cache, "bytes=4-9", "bytes 4-9/10", &[("etag", "\"1\"")], "456789");
    let request = |name, value| with("/", &[("range", "bytes=4-5"), (name, value)]);
    assert_eq!(cache.hit(request("if-none-match", "\"1\"")).parts.status, StatusCode::NOT_MODIFIED);
    assert_eq!(cache.hit(request("if-range", "\"1\"")).body, "45");
    assert!(cache.misses(request("if-range", "\"2\"")));
}

#[test]
fn invalidated_part_stays_invalid() {
    let mut cache = Cache::new(Policy::rfc9111());
    part(&mut cache, "bytes=0-1", "bytes 0-1/10", &[], "ab");
    cache.after(1);
    let post = Request::post("http://example.com/").body("x").unwrap();
    cache.exchange(post, &mut |_| Some(respond(200, &[], "")));
    assert!(cache.misses(with("/", &[("range", "bytes=0-1")])));
    part(&mut cache, "bytes=8-9", "bytes 8-9/10", &[], "89");
    assert!(cache.misses(with("/", &[("range", "bytes=0-1")])));
}

#[test]
fn parts_of_variants_are_kept_apart() {
    let mut cache = Cache::new(Policy::rfc9111());
    let request = |x| with("/", &[("range", "bytes=0-1"), ("x", x)]);
    let headers = &[("cache-control", "max-age=60"), ("content-range", "bytes 0-1/10"), ("vary", "x")];
    cache.exchange(request("1"), &mut |_| Some(respond(206, headers, "ab")));
    cache.exchange(request("2"), &mut |_| Some(respond(206, headers, "AB")));
    assert_eq!((cache.hit(request("1")).body, cache.hit(request("2")).body), ("ab".into(), "AB".into()));
    assert!(cache.misses(request("3")));
}
