//! Storing (RFC 9111 §3) and sharing of stored responses.

use crate::cache::{Cache, DATE, START, plain, respond, url, with};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request};
use lacre_core::{Decision, Detail, Engine, Policy, RequestBody, Stored, strip_hop_by_hop};
use std::sync::Arc;

#[test]
fn uncacheable_response_is_not_stored() {
    // Status, response headers, reason (§3).
    for (status, headers, why) in [
        (200, &[("cache-control", "no-store, max-age=60")][..], Detail::NoStore),
        (200, &[], Detail::NoUse),
        (200, &[("cache-control", "max-age=0")], Detail::NoUse),
        (200, &[("cache-control", "max-age=sixty")], Detail::NoUse),
        (200, &[("cache-control", "max-age=60"), ("vary", "accept, *")], Detail::Vary),
        (206, &[("cache-control", "max-age=60"), ("content-range", "bytes 0-2/9")], Detail::Partial),
        (599, &[("cache-control", "max-age=60, must-understand")], Detail::Status),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        let got = cache.exchange(url("/"), &mut |_| Some(respond(status, headers, ""))).unwrap();
        assert_eq!(got.status.detail, Some(why), "{status} {headers:?}");
        assert!(cache.rows.is_empty());
    }
}

#[test]
fn response_with_too_long_declared_body_is_not_stored() {
    for (length, stored) in [("100", Stored::Yes), ("101", Stored::No)] {
        let mut cache = Cache::new(Policy::rfc9111().max_body(100));
        let got = cache.get(url("/"), &[("cache-control", "max-age=60"), ("content-length", length)], "");
        assert_eq!(got.status.stored, stored, "{length}");
        assert_eq!(got.status.detail, (stored == Stored::No).then_some(Detail::TooLarge), "{length}");
    }
}

#[test]
fn response_with_contradictory_framing_is_not_stored() {
    // RFC 9112 §6.1, §6.3.
    for fields in [
        &[("content-length", "a lot")][..],
        &[("content-length", "+5")],
        &[("content-length", "5"), ("content-length", "6")],
        &[("content-length", "5, 6")],
        &[("transfer-encoding", "gzip")],
        &[("transfer-encoding", "gzip, chunked")],
        &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")],
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        let got = cache.get(url("/"), &[fields, &[("cache-control", "max-age=60")]].concat(), "hello");
        assert_eq!((got.status.stored, got.status.detail), (Stored::No, Some(Detail::Framing)), "{fields:?}");
        assert!(cache.rows.is_empty());
    }
}

#[test]
fn stored_headers_have_the_true_length_and_no_trailer_field() {
    for (status, fields, length) in [
        (200, &[("content-length", "5")][..], Some("5")),
        (200, &[("content-length", "5"), ("content-length", "5")], Some("5")),
        (200, &[("content-length", "5, 5")], Some("5")),
        (200, &[("content-length", "3"), ("transfer-encoding", "chunked")], None),
        (200, &[("content-length", "1000000"), ("transfer-encoding", "chunked")], None),
        (204, &[("content-length", "5")], None),
    ] {
        let mut cache = Cache::new(Policy::rfc9111().max_body(1000));
        let fields = [fields, &[("cache-control", "max-age=60"), ("trailer", "x-sum")]].concat();
        let got = cache.exchange(url("/"), &mut |_| Some(respond(status, &fields, "hello"))).unwrap();
        assert_eq!(got.status.stored, Stored::Yes, "{fields:?}");
        let hit = cache.hit(url("/")).parts.headers;
        let lengths: Vec<_> = hit.get_all("content-length").iter().collect();
        assert_eq!(lengths, length.into_iter().collect::<Vec<_>>(), "{fields:?}");
        assert!(!hit.contains_key("trailer"));
    }
}

#[test]
fn any_final_status_with_a_lifetime_is_stored() {
    for status in [200, 203, 204, 299, 301, 302, 303, 307, 308, 400, 404, 410, 499, 500, 503, 599] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.exchange(url("/"), &mut |_| Some(respond(status, &[("cache-control", "max-age=60")], "")));
        assert_eq!(cache.hit(url("/")).parts.status, status);
    }
}

#[test]
fn must_understand_overrides_no_store_for_understood_statuses() {
    // §5.2.2.3.
    for (status, control, stored) in [
        (200, "max-age=60, no-store, must-understand", Stored::Yes),
        (404, "max-age=60, no-store, must-understand", Stored::Yes),
        (599, "max-age=60, no-store, must-understand", Stored::No),
        (599, "max-age=60, must-understand", Stored::No),
        (200, "max-age=60, no-store", Stored::No),
        (200, "max-age=60, no-store, must-understand, \"", Stored::No),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        let got = cache.exchange(url("/"), &mut |_| Some(respond(status, &[("cache-control", control)], "")));
        assert_eq!(got.unwrap().status.stored, stored, "{status} {control}");
    }
}

#[test]
fn shared_cache_stores_only_shareable_responses() {
    let authorized = || with("/", &[("authorization", "Bearer 1")]);
    let stored = |request, control| {
        Cache::new(Policy::rfc9111().shared()).get(request, &[("cache-control", control)], "").status.stored
    };
    assert_eq!(stored(url("/"), "max-age=60"), Stored::Yes);
    assert_eq!(stored(url("/"), "private, max-age=60"), Stored::No);
    assert_eq!(stored(authorized(), "max-age=60"), Stored::No);
    for control in ["public, max-age=60", "must-revalidate, max-age=60", "s-maxage=60"] {
        assert_eq!(stored(authorized(), control), Stored::Yes, "{control}");
    }
}

#[test]
fn all_headers_except_connection_headers_are_stored() {
    let mut cache = Cache::new(Policy::rfc9111());
    let headers = &[
        ("cache-control", "max-age=60"),
        ("date", DATE),
        ("link", "<1>"),
        ("link", "<2>"),
        ("connection", "close, X-Hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("proxy-authenticate", "Basic"),
        ("set-cookie", "a=1"),
    ];
    cache.get(url("/"), headers, "");
    cache.after(7);
    let got = cache.hit(url("/")).parts.headers;
    assert_eq!(got.get_all("link").iter().collect::<Vec<_>>(), ["<1>", "<2>"]);
    assert_eq!((&got["date"], &got["age"], &got["set-cookie"]), (&plain(DATE), &plain("7"), &plain("a=1")));
    for gone in ["connection", "x-hop", "transfer-encoding", "proxy-authenticate"] {
        assert!(!got.contains_key(gone), "{gone}");
    }
}

#[test]
fn connection_does_not_remove_end_to_end_fields() {
    let etag = ("etag", "\"1\"");
    let modified = ("last-modified", "Tue, 14 Nov 2023 22:03:20 GMT");
    // Fields in `Connection`, response headers, lifetime in seconds. `None` if not stored.
    for (named, headers, fresh) in [
        ("Cache-Control", &[("cache-control", "no-store"), modified][..], None),
        ("cache-control, close", &[("cache-control", "max-age=5"), modified], Some(5)),
        ("Expires, Date", &[("expires", "Tue, 14 Nov 2023 22:13:25 GMT"), ("date", DATE), modified], Some(5)),
        ("Date", &[("expires", "Tue, 14 Nov 2023 22:13:25 GMT"), ("date", DATE)], Some(5)),
        ("Age", &[("cache-control", "max-age=60"), ("age", "55")], Some(5)),
        ("Last-Modified", &[modified, ("date", DATE)], Some(60)),
        ("Pragma", &[("cache-control", "max-age=5"), ("pragma", "no-cache")], Some(5)),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[&[("connection", named)], headers].concat(), "");
        let Some(fresh) = fresh else {
            assert!(cache.rows.is_empty(), "{named}");
            continue;
        };
        cache.after(fresh - 1);
        cache.hit(url("/"));
        cache.after(1);
        assert!(cache.misses(url("/")), "{named}");
    }
    // Vary, and the validators.
    let mut cache = Cache::new(Policy::rfc9111());
    let headers = [
        ("cache-control", "max-age=5"),
        ("vary", "a"),
        ("connection", "Vary, ETag, Last-Modified"),
        etag,
        modified,
    ];
    cache.get(with("/", &[("a", "1")]), &headers, "one");
    assert!(cache.misses(with("/", &[("a", "2")])));
    cache.after(5);
    cache.exchange(with("/", &[("a", "1")]), &mut |request| {
        assert_eq!(
            (&request.headers["if-none-match"], &request.headers["if-modified-since"]),
            (&plain("\"1\""), &plain(modified.1))
        );
        Some(respond(304, &[("connection", "Cache-Control"), ("cache-control", "no-store")], ""))
    });
    assert!(cache.misses(with("/", &[("a", "1")])), "a 304 with no-store freshens nothing");
    // Content-Encoding stays, so the content can be decoded.
    let mut cache = Cache::new(Policy::rfc9111());
    let coded =
        [("cache-control", "max-age=5"), ("content-encoding", "gzip"), ("connection", "Content-Encoding")];
    cache.get(url("/"), &coded, "");
    assert_eq!(cache.hit(url("/")).parts.headers["content-encoding"], plain("gzip"));
    // Set-Cookie and Authorization in a shared cache.
    let shared = |request, headers: &[(&str, &str)]| {
        let mut cache = Cache::new(Policy::rfc9111().shared());
        cache.get(request, headers, "").status.stored
    };
    let fresh = ("cache-control", "max-age=60");
    assert_eq!(shared(url("/"), &[fresh, ("set-cookie", "a=1"), ("connection", "Set-Cookie")]), Stored::No);
    assert_eq!(
        shared(
            url("/"),
            &[
                ("cache-control", "max-age=60"),
                ("cdn-cache-control", "private"),
                ("connection", "CDN-Cache-Control")
            ]
        ),
        Stored::No
    );
    assert_eq!(
        shared(with("/", &[("authorization", "a"), ("connection", "Authorization")]), &[fresh]),
        Stored::No
    );
}

#[test]
fn connection_removes_only_named_and_hop_by_hop_fields() {
    let mut headers = HeaderMap::new();
    let all = [
        "cache-control",
        "Vary",
        "AGE",
        "expires",
        "date",
        "etag",
        "last-modified",
        "pragma",
        "authorization",
        "cookie",
        "set-cookie",
        "range",
        "if-none-match",
        "content-type",
        "content-encoding",
        "x-hop",
        "keep-alive",
        "te",
    ];
    for name in all {
        headers.append("connection", name.parse().unwrap());
        headers.append(name.to_ascii_lowercase().parse::<HeaderName>().unwrap(), plain("1"));
    }
    strip_hop_by_hop(&mut headers);
    let left = all.iter().filter(|name| headers.contains_key(**name)).count();
    assert_eq!((left, headers.len()), (all.len() - 3, all.len() - 3));
    for gone in ["x-hop", "keep-alive", "te", "connection"] {
        assert!(!headers.contains_key(gone), "{gone}");
    }
}

#[test]
fn request_with_unseen_body_is_not_cached() {
    let engine =
        Arc::new(Engine::new(Policy::rfc9111().methods([Method::GET, Method::POST]), |_: &[u8]| [0; 32]));
    let (parts, ()) = Request::post("http://example.com/").body(()).unwrap().into_parts();
    let Decision::<Bytes>::Send(pending) = engine.begin(parts, RequestBody::Unseen, START) else { panic!() };
    assert!(pending.key().is_none());
    assert_eq!(pending.status().detail, Some(Detail::BodyUnseen));
}

#[test]
fn a_read_only_cache_changes_nothing() {
    let mut cache = Cache::new(Policy::rfc9111().read_only());
    let got = cache.get(url("/"), &[("cache-control", "max-age=60")], "");
    assert_eq!((got.status.stored, got.status.detail), (Stored::No, Some(Detail::ReadOnly)));
    cache.exchange(Request::delete("http://example.com/").body("").unwrap(), &mut |_| {
        Some(respond(200, &[], ""))
    });
    assert!(cache.rows.is_empty());
}

#[test]
fn credentials_never_share_an_answer() {
    let control = &[("cache-control", "max-age=60")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(with("/", &[("authorization", "Bearer alice")]), control, "alice's");
    assert!(cache.misses(with("/", &[("authorization", "Bearer bob")])));
    assert!(cache.misses(url("/")));
    assert_eq!(cache.hit(with("/", &[("authorization", "Bearer alice")])).body, "alice's");
}

#[test]
fn strong_conditions_are_sent_to_the_origin() {
    for (name, value) in
        [("x-http-method-override", "DELETE"), ("if-match", "\"1\""), ("if-unmodified-since", DATE)]
    {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "");
        assert!(cache.misses(with("/", &[(name, value)])), "{name}");
    }
}

#[test]
fn answer_to_post_with_content_location_is_stored_for_get() {
    let fresh = ("cache-control", "max-age=60");
    // Status, headers of the answer, whether it answers a later GET (RFC 9110 §9.3.3).
    for (status, headers, stored) in [
        (200, &[fresh, ("content-location", "/form")][..], true),
        (200, &[fresh, ("content-location", "")], true),
        (200, &[fresh, ("content-location", "http://example.com/form")], true),
        (200, &[fresh], false),
        (200, &[fresh, ("content-location", "/other")], false),
        (200, &[fresh, ("content-location", "http://elsewhere.example/form")], false),
        (200, &[("content-location", "/form"), ("etag", "\"1\"")], false),
        (200, &[("cache-control", "max-age=60, no-store"), ("content-location", "/form")], false),
        (404, &[fresh, ("content-location", "/form")], false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        let post = || Request::post("http://example.com/form").body("x").unwrap();
        cache.get(url("/form"), &[fresh], "old");
        cache.exchange(post(), &mut |_| Some(respond(status, headers, "new")));
        if stored {
            assert_eq!(cache.hit(url("/form")).body, "new", "{headers:?}");
            assert_eq!(cache.hit(Request::head("http://example.com/form").body("").unwrap()).body, "");
        } else {
            assert_eq!(cache.misses(url("/form")), status == 200, "{headers:?}");
        }
        assert!(cache.misses(post()));
    }
}

#[test]
fn varying_answer_to_post_is_found_by_get() {
    let headers = &[("cache-control", "max-age=60"), ("content-location", "/"), ("vary", "x")];
    let post = Request::post("http://example.com/").header("x", "1").body("x").unwrap();
    let mut cache = Cache::new(Policy::rfc9111());
    cache.exchange(post, &mut |_| Some(respond(200, headers, "new")));
    assert_eq!(cache.hit(with("/", &[("x", "1")])).body, "new");
    assert!(cache.misses(url("/")));
}
