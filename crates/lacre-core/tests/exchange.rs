//! The engine from outside: a whole cache in a few lines (a map, a clock that is a number) and the rules it must keep.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, response};
use lacre_core::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// 2023-11-14T22:13:20Z
const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
const DATE: &str = "Tue, 14 Nov 2023 22:13:20 GMT";

/// What the origin answers: a response, or nothing.
type Origin<'a> = &'a mut dyn FnMut(&http::request::Parts) -> Option<Response<&'static str>>;

struct Cache {
    engine: Arc<Engine>,
    rows: HashMap<Key, Slot<Bytes>>,
    now: Timestamp,
}

struct Got {
    parts: response::Parts,
    body: Bytes,
    status: CacheStatus,
}

impl Cache {
    fn new(policy: Policy) -> Self {
        let digest = |identity: &[u8]| *blake3::hash(identity).as_bytes();
        Self { engine: Arc::new(Engine::new(policy, digest)), rows: HashMap::new(), now: START }
    }

    fn after(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }

    /// One request, all the way; `None` where the origin failed and nothing stood in.
    fn exchange(&mut self, request: Request<&str>, origin: Origin<'_>) -> Option<Got> {
        let (parts, body) = request.into_parts();
        let mut decision = self.engine.begin(parts, RequestBody::Seen(body.as_bytes()), self.now);
        loop {
            decision = match decision {
                Decision::Lookup(lookup) => {
                    let slot = self.rows.get(lookup.key()).cloned();
                    lookup.found(slot, self.now)
                }
                Decision::Serve(hit) => return Some(served(hit)),
                Decision::Refresh(hit, pending) => {
                    self.send(pending, origin);
                    return Some(served(hit));
                }
                Decision::Send(pending) => return self.send(pending, origin),
                Decision::Refuse(status) => {
                    let response = Response::builder().status(504).body(Bytes::new()).unwrap();
                    let (parts, body) = response.into_parts();
                    return Some(Got { parts, body, status });
                }
            }
        }
    }

    fn send(&mut self, pending: Pending<Bytes>, origin: Origin<'_>) -> Option<Got> {
        let answer = origin(pending.request()).map(Response::into_parts);
        let outcome = answer.as_ref().map_or(Outcome::Failed, |(parts, _)| Outcome::Response(parts));
        let settled = pending.settle(outcome, self.now);
        match settled {
            Settled::Network { keep, touch, forget, status } => {
                let (parts, body) = answer.unwrap();
                let body = Bytes::from_static(body.as_bytes());
                forget.iter().for_each(|key| drop(self.rows.remove(key)));
                self.touch(touch);
                if let Some(keep) = keep {
                    if let Some((at, signpost)) = keep.signpost {
                        self.rows.insert(at, Slot::Vary(signpost));
                    }
                    self.rows.insert(keep.key, Slot::Entry(Box::new(keep.entry.with_body(body.clone()))));
                }
                Some(Got { parts, body, status })
            }
            Settled::Stored { hit, touch } => {
                self.touch(touch);
                Some(served(hit))
            }
            Settled::Resend(pending) => self.send(pending, origin),
            Settled::Failed(_) => None,
        }
    }

    fn touch(&mut self, touch: Option<Touch<Bytes>>) {
        if let Some(touch) = touch {
            self.rows.insert(touch.key, Slot::Entry(touch.entry));
        }
    }

    /// A request to an origin that answers `body` with these headers, counted.
    fn get(&mut self, request: Request<&str>, headers: &[(&str, &str)], body: &'static str) -> Got {
        self.exchange(request, &mut |_| Some(respond(200, headers, body))).unwrap()
    }

    /// A request that must be answered from the cache.
    fn hit(&mut self, request: Request<&str>) -> Got {
        self.exchange(request, &mut |_| panic!("the origin was asked")).unwrap()
    }

    /// Whether the origin is asked.
    fn asks(&mut self, request: Request<&str>) -> bool {
        let mut asked = false;
        self.exchange(request, &mut |_| {
            asked = true;
            Some(respond(200, &[("cache-control", "no-store")], "new"))
        });
        asked
    }
}

fn served(hit: Hit<Bytes>) -> Got {
    let (status, answer) = (hit.status(), hit.answer());
    let (parts, body) = hit.into_response();
    let body = match answer {
        Answer::Full => body,
        Answer::Slice { first, last } => body.slice(first as usize..=last as usize),
        Answer::Headers | Answer::NotModified | Answer::Unsatisfiable => Bytes::new(),
    };
    Got { parts, body, status }
}

fn respond(status: u16, headers: &[(&str, &str)], body: &'static str) -> Response<&'static str> {
    let builder =
        headers.iter().fold(Response::builder().status(status), |b, (name, value)| b.header(*name, *value));
    builder.body(body).unwrap()
}

fn url(path: &str) -> Request<&'static str> {
    Request::get(format!("http://example.com{path}")).body("").unwrap()
}

fn with(path: &str, headers: &[(&str, &str)]) -> Request<&'static str> {
    let builder = Request::get(format!("http://example.com{path}"));
    headers.iter().fold(builder, |b, (name, value)| b.header(*name, *value)).body("").unwrap()
}

fn wishing(path: &str, options: RequestOptions) -> Request<&'static str> {
    let mut request = url(path);
    request.extensions_mut().insert(options);
    request
}

#[test]
fn freshness_is_what_the_response_says() {
    // Response headers, seconds until asked again: fresh one second before, stale then (§4.2).
    for (headers, lifetime) in [
        (&[("cache-control", "max-age=60")][..], 60),
        (&[("cache-control", "MAX-AGE=60")], 60),
        (&[("cache-control", "max-age=60"), ("expires", DATE)], 60),
        (&[("cache-control", "s-maxage=5, max-age=60")], 60),
        (&[("expires", "Tue, 14 Nov 2023 22:14:20 GMT"), ("date", DATE)], 60),
        (&[("cache-control", "max-age=60"), ("age", "20")], 40),
        (&[("cache-control", "max-age=60"), ("date", "Tue, 14 Nov 2023 22:12:50 GMT")], 30),
        // Ten percent of ten minutes (§4.2.2).
        (&[("last-modified", "Tue, 14 Nov 2023 22:03:20 GMT"), ("date", DATE)], 60),
        // Immutable or dated in the future, it lives no longer than it said.
        (&[("cache-control", "max-age=60, immutable"), ("date", "Wed, 15 Nov 2023 22:13:20 GMT")], 60),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), headers, "old");
        cache.after(lifetime - 1);
        assert_eq!(cache.hit(url("/")).body, "old", "{headers:?}");
        cache.after(1);
        assert!(cache.asks(url("/")), "{headers:?}");
    }
}

#[test]
fn what_may_not_be_stored_is_not() {
    // Status, response headers, why (§3).
    for (status, headers, why) in [
        (200, &[("cache-control", "no-store, max-age=60")][..], Detail::NoStore),
        (200, &[("cache-control", "No-Store, max-age=60")], Detail::NoStore),
        (200, &[], Detail::NoUse),
        (200, &[("cache-control", "max-age=0")], Detail::NoUse),
        (200, &[("cache-control", "max-age=sixty")], Detail::NoUse),
        (200, &[("cache-control", "ext=\"a, max-age=9999, b\"")], Detail::NoUse),
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
fn a_shared_cache_keeps_what_is_for_everybody_only() {
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
fn a_shared_cache_prefers_s_maxage() {
    let mut cache = Cache::new(Policy::rfc9111().shared());
    cache.get(url("/"), &[("cache-control", "max-age=600, s-maxage=5")], "");
    cache.after(5);
    assert!(cache.asks(url("/")));
}

#[test]
fn a_request_gets_no_older_answer_than_it_accepts() {
    // Request Cache-Control, age of a response with max-age=60, whether the origin is asked (§5.2.1).
    for (control, age, asked) in [
        ("max-age=10", 10, false),
        ("max-age=10", 11, true),
        ("min-fresh=30", 30, false),
        ("min-fresh=30", 31, true),
        ("no-cache", 0, true),
        ("max-stale=10", 70, false),
        ("max-stale=10", 71, true),
        ("max-stale", 5000, false),
        ("max-stale=10, max-age=20", 25, false),
        ("max-stale=10, max-age=20", 31, true),
        ("no-store", 0, false),
        ("unknown=1", 0, false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", "max-age=60")], "");
        cache.after(age);
        assert_eq!(cache.asks(with("/", &[("cache-control", control)])), asked, "{control} at age {age}");
    }
}

#[test]
fn no_request_makes_a_response_stale_that_forbids_it() {
    for control in ["max-age=5, must-revalidate", "max-age=5, no-cache"] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", control), ("etag", "\"1\"")], "");
        cache.after(6);
        assert!(cache.asks(with("/", &[("cache-control", "max-stale=1000")])), "{control}");
    }
}

#[test]
fn no_cache_is_asked_for_at_every_use() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60, no-cache"), ("etag", "\"1\"")], "");
    assert!(cache.asks(url("/")));
}

#[test]
fn only_if_cached_is_answered_from_the_cache_or_with_504() {
    let only = |path| with(path, &[("cache-control", "only-if-cached")]);
    let mut cache = Cache::new(Policy::rfc9111());
    assert_eq!(cache.hit(only("/")).parts.status, StatusCode::GATEWAY_TIMEOUT);
    cache.get(url("/"), &[("cache-control", "max-age=60")], "here");
    assert_eq!(cache.hit(only("/")).body, "here");
    cache.after(61);
    assert_eq!(cache.hit(only("/")).parts.status, StatusCode::GATEWAY_TIMEOUT);
    let post =
        Request::post("http://example.com/").header("cache-control", "only-if-cached").body("").unwrap();
    assert_eq!(cache.hit(post).parts.status, StatusCode::GATEWAY_TIMEOUT);
}

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

fn plain(value: &'static str) -> http::HeaderValue {
    http::HeaderValue::from_static(value)
}

#[test]
fn a_304_about_another_representation_is_asked_again_without_conditions() {
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
fn a_new_response_replaces_the_stale_one_even_where_it_is_not_stored() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "old");
    cache.after(61);
    cache.get(url("/"), &[("cache-control", "no-store")], "secret");
    assert!(cache.rows.is_empty());
}

#[test]
fn a_failing_origin_is_stood_in_for_unless_that_is_forbidden() {
    let failing =
        |status: Option<u16>| move |_: &http::request::Parts| status.map(|code| respond(code, &[], "error"));
    // Response Cache-Control, request Cache-Control, what the origin does, whether the stored response is served (RFC 5861 §4).
    for (control, request, origin, served) in [
        ("max-age=60", "", None, true),
        ("max-age=60", "", Some(503), false),
        ("max-age=60", "stale-if-error=100", Some(503), true),
        ("max-age=60, stale-if-error=100", "", Some(503), true),
        ("max-age=60, stale-if-error=100", "", Some(404), false),
        ("max-age=60, stale-if-error=5", "", Some(500), false),
        ("max-age=60, must-revalidate", "", None, false),
        ("max-age=60, stale-if-error=100, must-revalidate", "", Some(503), false),
        ("max-age=60", "no-cache", None, false),
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", control)], "stored");
        cache.after(70);
        let request = if request.is_empty() { url("/") } else { with("/", &[("cache-control", request)]) };
        let got = cache.exchange(request, &mut failing(origin));
        assert_eq!(got.is_some_and(|got| got.body == "stored"), served, "{control} {origin:?}");
    }
}

#[test]
fn stale_while_revalidate_serves_and_refreshes_within_its_window_only() {
    let control = &[("cache-control", "max-age=60, stale-while-revalidate=30")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), control, "one");
    cache.after(90);
    let got = cache.get(url("/"), control, "two");
    assert_eq!((got.body, got.status.detail), ("one".into(), Some(Detail::StaleWhileRevalidate)));
    assert_eq!(cache.hit(url("/")).body, "two");
    cache.after(91);
    assert_eq!(cache.get(url("/"), control, "three").body, "three");
}

#[test]
fn variants_are_kept_apart_and_all_of_them_stay() {
    let vary = &[("cache-control", "max-age=60"), ("vary", "Accept-Language, x")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(with("/", &[("accept-language", "de")]), vary, "hallo");
    cache.get(with("/", &[("accept-language", "en")]), vary, "hello");
    cache.get(url("/"), vary, "-");
    assert_eq!(cache.hit(with("/", &[("accept-language", "de")])).body, "hallo");
    assert_eq!(cache.hit(with("/", &[("accept-language", "EN")])).body, "hello");
    assert_eq!(cache.hit(url("/")).body, "-");
    assert!(cache.asks(with("/", &[("accept-language", "fr")])));
    assert!(cache.asks(with("/", &[("accept-language", "de"), ("x", "")])));
}

#[test]
fn a_response_that_varies_by_more_leaves_none_of_its_names_out() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(with("/", &[("a", "1")]), &[("cache-control", "max-age=60"), ("vary", "a")], "by a");
    cache.get(
        with("/", &[("a", "2"), ("b", "1")]),
        &[("cache-control", "max-age=60"), ("vary", "b")],
        "by b",
    );
    assert_eq!(cache.hit(with("/", &[("a", "2"), ("b", "1")])).body, "by b");
    assert!(cache.asks(with("/", &[("a", "2"), ("b", "2")])));
}

#[test]
fn an_invalidated_variant_does_not_come_back_with_the_next_one() {
    let vary = &[("cache-control", "max-age=600"), ("vary", "a")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(with("/", &[("a", "1")]), vary, "old");
    cache.after(1);
    cache.exchange(Request::post("http://example.com/").body("x").unwrap(), &mut |_| {
        Some(respond(200, &[], ""))
    });
    cache.get(with("/", &[("a", "2")]), vary, "new");
    assert!(cache.asks(with("/", &[("a", "1")])));
}

#[test]
fn an_unsafe_request_that_succeeds_invalidates() {
    // Method, status, header of the answer, whether /, /other on the same origin is asked for again (§4.4).
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
        assert_eq!((cache.asks(url("/")), cache.asks(url("/other"))), (target, other), "{case}");
    }
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
fn an_answer_to_head_is_never_an_answer_to_get() {
    let mut cache = Cache::new(Policy::rfc9111());
    let head = Request::head("http://example.com/").body("").unwrap();
    cache.exchange(head, &mut |_| Some(respond(200, &[("cache-control", "max-age=60")], "")));
    assert!(cache.asks(url("/")));
}

#[test]
fn a_client_that_has_it_already_gets_a_304_from_the_cache() {
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
fn a_clients_conditions_are_answered_after_a_stale_response_was_validated() {
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

#[test]
fn headers_are_stored_but_for_those_of_the_connection() {
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
fn the_user_decides_where_the_user_spoke() {
    let hour = Duration::from_secs(3600);
    let rule = || Policy::rfc9111().expire_url_after(UrlPattern::glob("example.com/a").unwrap(), hour);
    // Policy, path, response Cache-Control, lifetime in seconds.
    for (policy, path, control, lifetime) in [
        (rule(), "/a", "max-age=5", 3600),
        (rule(), "/b", "max-age=5", 5),
        (rule().expire_after(Duration::from_secs(20)), "/b", "max-age=5", 5),
        (rule().expire_after(Duration::from_secs(20)), "/b", "", 20),
        (rule().origin(lacre_core::Origin::First), "/a", "max-age=5", 5),
        (rule().origin(lacre_core::Origin::Ignored), "/a", "no-store", 3600),
    ] {
        let mut cache = Cache::new(policy);
        cache.get(url(path), &[("cache-control", control)], "");
        cache.after(lifetime - 1);
        cache.hit(url(path));
        cache.after(1);
        assert!(cache.asks(url(path)), "{path} {control}");
    }
}

#[test]
fn a_request_speaks_for_itself() {
    let mut cache = Cache::new(Policy::rfc9111());
    let forever = RequestOptions::new().ttl(Expire::Never).tag("t");
    cache.get(wishing("/", forever), &[("cache-control", "max-age=5")], "kept");
    cache.after(1_000_000);
    assert_eq!(cache.hit(url("/")).body, "kept");
    assert!(cache.asks(wishing("/", RequestOptions::new().mode(Mode::Refresh))));

    let mut cache = Cache::new(Policy::rfc9111());
    let control = &[("cache-control", "max-age=60")];
    cache.get(wishing("/", RequestOptions::new().mode(Mode::Bypass)), control, "");
    cache.get(wishing("/", RequestOptions::new().ttl(Expire::DoNotStore)), control, "");
    assert!(cache.rows.is_empty());
    cache.get(url("/"), control, "old");
    cache.get(wishing("/", RequestOptions::new().mode(Mode::ForceRefresh)), control, "new");
    assert_eq!(cache.hit(url("/")).body, "new");
    assert!(cache.asks(wishing("/", RequestOptions::new().partition("alice"))));
}

#[test]
fn requests_cache_keeps_200_for_ever_whatever_the_origin_says() {
    let mut cache = Cache::new(Policy::requests_cache());
    cache.get(url("/?b=2&a=1"), &[("cache-control", "no-store")], "kept");
    cache.after(100_000_000);
    let got = cache.hit(url("/?a=1&b=2"));
    assert_eq!(got.body, "kept");
    assert!(!got.parts.headers.contains_key("age"));
    cache.exchange(url("/404"), &mut |_| Some(respond(404, &[], "")));
    assert!(cache.asks(url("/404")));
}

#[test]
fn credentials_never_share_an_answer() {
    let control = &[("cache-control", "max-age=60")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(with("/", &[("authorization", "Bearer alice")]), control, "alice's");
    assert!(cache.asks(with("/", &[("authorization", "Bearer bob")])));
    assert!(cache.asks(url("/")));
    assert_eq!(cache.hit(with("/", &[("authorization", "Bearer alice")])).body, "alice's");
}

#[test]
fn what_only_the_origin_can_judge_goes_there() {
    for (name, value) in
        [("x-http-method-override", "DELETE"), ("if-match", "\"1\""), ("if-unmodified-since", DATE)]
    {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "");
        assert!(cache.asks(with("/", &[(name, value)])), "{name}");
    }
}

#[test]
fn a_body_that_cannot_be_seen_is_not_cached() {
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

proptest::proptest! {
    /// Whatever a header says, there is an answer, and the body is the one that was sent.
    #[test]
    fn the_cache_adds_no_exception(
        names in proptest::collection::vec(proptest::sample::select(&[
            "cache-control", "age", "date", "expires", "etag", "last-modified", "vary", "content-range",
            "connection", "content-length", "location", "set-cookie",
        ][..]), 0..4),
        values in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..24), 4),
        asked in proptest::sample::select(&["cache-control", "range", "if-none-match", "if-range", "pragma"][..]),
        wish in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..24),
    ) {
        let mut cache = Cache::new(Policy::rfc9111());
        for round in 0..3 {
            let mut request = url("/");
            if let Ok(value) = http::HeaderValue::from_bytes(&wish) {
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
