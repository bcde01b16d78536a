//! Validation, and the evaluation of client conditions (RFC 9111 §4.3).

use crate::cache::{Cache, DATE, plain, respond, url, with};
use http::{Method, Request, StatusCode};
use lacre_core::{Mode, Policy, RequestOptions, Stored};

#[test]
fn a_304_renews_the_stored_response_and_its_headers() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(
        url("/"),
        &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("x", "old"), ("gone", "no")],
        "body",
    );
    cache.after(61);
    let got = cache
        .exchange(url("/"), &mut |request| {
            assert_eq!(request.headers["if-none-match"], "\"1\"");
            Some(respond(
                304,
                &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("x", "new"), ("y", "added")],
                "",
            ))
        })
        .unwrap();
    assert_eq!((got.parts.status.as_u16(), &got.body[..]), (200, &b"body"[..]));
    assert!(got.status.is_revalidated());
    cache.after(59);
    let headers = cache.hit(url("/")).parts.headers;
    assert_eq!(
        (&headers["x"], &headers["y"], &headers["gone"]),
        (&plain("new"), &plain("added"), &plain("no"))
    );
}

#[test]
fn client_304_does_not_confirm_the_stored_response() {
    let mut cache = Cache::new(Policy::rfc9111());
    let request = with("/", &[("if-none-match", "\"theirs\"")]);
    let got = cache.exchange(request, &mut |_| Some(respond(304, &[("etag", "\"theirs\"")], ""))).unwrap();
    assert_eq!(got.parts.status, StatusCode::NOT_MODIFIED);
    assert!(!got.status.is_revalidated());
    assert_eq!(got.status.to_string(), "lacre; fwd=uri-miss; detail=status");
}

#[test]
fn mismatched_304_is_resent_without_conditions() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "old");
    cache.after(61);
    let mut sent = Vec::new();
    let got = cache
        .exchange(url("/"), &mut |request| {
            sent.push(request.headers.get("if-none-match").cloned());
            Some(match sent.len() {
                1 => respond(304, &[("etag", "\"2\"")], ""),
                _ => respond(200, &[("etag", "\"2\""), ("cache-control", "max-age=60")], "new"),
            })
        })
        .unwrap();
    assert_eq!(sent, [Some(plain("\"1\"")), None]);
    assert_eq!(got.body, "new");
    assert_eq!(cache.hit(url("/")).body, "new");
}

#[test]
fn new_response_removes_the_stale_one_even_if_not_stored() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "old");
    cache.after(61);
    cache.get(url("/"), &[("cache-control", "no-store")], "secret");
    assert!(cache.rows.is_empty());
}

#[test]
fn head_is_answered_from_get_and_freshens_it() {
    let head = || Request::head("http://example.com/").body("").unwrap();
    let stored = &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("content-length", "4")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), stored, "body");
    let got = cache.hit(head());
    assert_eq!((got.body.len(), &got.parts.headers["content-length"]), (0, &plain("4")));

    cache.after(61);
    cache.exchange(head(), &mut |_| Some(respond(200, stored, "")));
    assert_eq!(cache.hit(url("/")).body, "body");

    cache.after(61);
    cache.exchange(head(), &mut |_| Some(respond(200, &[("etag", "\"2\"")], "")));
    assert!(cache.rows.is_empty());
}

#[test]
fn matching_answer_to_head_loses_no_field() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("x", "old"), ("content-length", "4")], "body");
    cache.after(61);
    let head = Request::head("http://example.com/").body("").unwrap();
    let got = cache.exchange(head, &mut |_| Some(respond(200, &[("y", "new")], ""))).unwrap();
    assert_eq!(got.body.len(), 0);
    assert_eq!(["x", "y", "content-length"].map(|name| &got.parts.headers[name]), ["old", "new", "4"]);
    assert_eq!(cache.hit(url("/")).body, "body");
}

#[test]
fn update_with_no_store_is_not_written() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "body");
    cache.after(61);
    let rows = cache.rows.clone();
    let update = &[("cache-control", "no-store"), ("x", "secret")];
    let got = cache.exchange(url("/"), &mut |_| Some(respond(304, update, ""))).unwrap();
    assert_eq!((&got.body[..], got.status.stored), (&b"body"[..], Stored::No));
    assert_eq!(cache.rows, rows);
}

#[test]
fn answer_to_head_never_answers_get() {
    let mut cache = Cache::new(Policy::rfc9111());
    let head = Request::head("http://example.com/").body("").unwrap();
    cache.exchange(head, &mut |_| Some(respond(200, &[("cache-control", "max-age=60")], "")));
    assert!(cache.misses(url("/")));
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("content-length", "4")], "body");
    let refreshed = |cache: &mut Cache, length| {
        let mut head = Request::head("http://example.com/").body("").unwrap();
        head.extensions_mut().insert(RequestOptions::new().mode(Mode::ForceRefresh));
        let headers = &[("cache-control", "max-age=60"), ("content-length", length)];
        cache.exchange(head, &mut |_| Some(respond(200, headers, "")));
    };
    refreshed(&mut cache, "4");
    assert_eq!(cache.hit(url("/")).body, "body");
    refreshed(&mut cache, "5");
    assert!(cache.misses(url("/")));
}

#[test]
fn answer_to_head_answers_head_if_no_get_is_stored() {
    let head = || Request::head("http://example.com/").body("").unwrap();
    let stored = &[("cache-control", "max-age=60"), ("content-length", "4")];
    for methods in [vec![Method::GET, Method::HEAD], vec![Method::HEAD]] {
        let mut cache = Cache::new(Policy::rfc9111().methods(methods));
        cache.exchange(head(), &mut |_| Some(respond(200, stored, "")));
        assert_eq!(cache.hit(head()).parts.headers["content-length"], "4");
        let post = Request::post("http://example.com/").body("").unwrap();
        cache.exchange(post, &mut |_| Some(respond(200, &[], "")));
        assert!(cache.misses(head()));
    }
}

#[test]
fn client_condition_is_evaluated_against_the_new_response() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "old");
    cache.after(61);
    let has = |tag| Request::get("http://example.com/").header("if-none-match", tag).body("").unwrap();
    let update = &[("cache-control", "max-age=60"), ("etag", "\"2\""), ("content-type", "text/plain")];
    let got = cache.exchange(has("\"2\""), &mut |_| Some(respond(200, update, "new"))).unwrap();
    assert_eq!((got.parts.status.as_u16(), got.body.len()), (304, 0));
    assert!(!got.parts.headers.contains_key("content-type"));
    assert_eq!(cache.hit(url("/")).body, "new");
    cache.after(61);
    let got = cache.exchange(has("\"2\""), &mut |_| Some(respond(404, &[], "gone"))).unwrap();
    assert_eq!(got.parts.status, 404, "a 404 cannot be unmodified");
}

#[test]
fn matching_client_condition_gets_a_304_from_the_cache() {
    let stored = &[
        ("cache-control", "max-age=60"),
        ("etag", "\"1\""),
        ("last-modified", DATE),
        ("content-type", "text/plain"),
    ];
    // Request header, whether the answer is 304 (RFC 9110 §13.2.2).
    for (headers, not_modified) in [
        (&[("if-none-match", "\"1\"")][..], true),
        (&[("if-none-match", "W/\"1\"")], true),
        (&[("if-none-match", "1")], true),
        (&[("if-none-match", "\"0\", \"1\"")], true),
        (&[("if-none-match", "*")], true),
        (&[("if-none-match", "\"0\"")], false),
        (&[("if-modified-since", DATE)], true),
        (&[("if-modified-since", "Mon, 13 Nov 2023 22:13:20 GMT")], false),
        (&[("if-none-match", "\"0\""), ("if-modified-since", DATE)], false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), stored, "body");
        let got = cache.hit(with("/", headers));
        assert_eq!(got.parts.status == StatusCode::NOT_MODIFIED, not_modified, "{headers:?}");
        assert_eq!(got.body.is_empty(), not_modified);
        assert_eq!(got.parts.headers["etag"], "\"1\"");
    }
}

#[test]
fn response_without_last_modified_is_unmodified_since_receipt() {
    let date = ("date", DATE);
    // Stored header, If-Modified-Since, whether the answer is 304 (§4.3.2).
    for (stored, since, not_modified) in [
        (&[date][..], DATE, true),
        (&[date], "Tue, 14 Nov 2023 22:13:19 GMT", false),
        (&[], DATE, true),
        (&[], "Tue, 14 Nov 2023 22:13:19 GMT", false),
        (&[("last-modified", "no date")], DATE, false),
        (&[date], "no date", false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[stored, &[("cache-control", "max-age=60")]].concat(), "body");
        let status = cache.hit(with("/", &[("if-modified-since", since)])).parts.status;
        assert_eq!(status == StatusCode::NOT_MODIFIED, not_modified, "{stored:?} {since}");
    }
}

#[test]
fn client_conditions_are_evaluated_after_validation() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "body");
    cache.after(61);
    let got = cache
        .exchange(with("/", &[("if-none-match", "\"0\"")]), &mut |request| {
            assert_eq!(request.headers.get_all("if-none-match").iter().collect::<Vec<_>>(), ["\"1\""]);
            Some(respond(304, &[("cache-control", "max-age=60")], ""))
        })
        .unwrap();
    assert_eq!((got.parts.status.as_u16(), &got.body[..]), (200, &b"body"[..]));
}
