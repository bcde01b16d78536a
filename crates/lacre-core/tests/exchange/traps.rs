//! Known mistakes of widely used caches, one test each.

use crate::cache::{Cache, DATE, plain, respond, url, with};
use http::{Method, Request};
use lacre_core::{Detail, Policy};

#[test]
fn no_store_in_capitals_is_not_stored() {
    let mut cache = Cache::new(Policy::rfc9111());
    let got = cache.get(url("/"), &[("cache-control", "No-Store, max-age=60")], "");
    assert_eq!((got.status.detail, cache.rows.len()), (Some(Detail::NoStore), 0));
}

#[test]
fn lifetime_inside_a_quoted_string_is_ignored() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "ext=\"a, max-age=9999, b\""), ("etag", "\"1\"")], "");
    assert!(cache.misses(url("/")));
}

#[test]
fn huge_age_counts_as_old() {
    for age in ["18446744073709551615", "18446744073709551616", "99999999999999999999999999"] {
        let mut cache = Cache::new(Policy::rfc9111());
        let headers = &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("age", age)];
        cache.get(url("/"), headers, "");
        assert!(cache.misses(url("/")), "{age}");
    }
}

#[test]
fn second_line_of_a_varying_header_is_compared() {
    let mut cache = Cache::new(Policy::rfc9111());
    let json = || with("/", &[("accept", "application/json")]);
    cache.get(json(), &[("cache-control", "max-age=60"), ("vary", "accept")], "");
    cache.hit(json());
    assert!(cache.misses(with("/", &[("accept", "application/json"), ("accept", "text/html")])));
}

#[test]
fn max_stale_overrides_neither_no_cache_nor_s_maxage() {
    let any_age = || with("/", &[("cache-control", "max-stale")]);
    for (policy, control) in
        [(Policy::rfc9111(), "max-age=5, no-cache"), (Policy::rfc9111().shared(), "s-maxage=5")]
    {
        let mut cache = Cache::new(policy);
        cache.get(url("/"), &[("cache-control", control), ("etag", "\"1\"")], "");
        cache.after(6);
        assert!(cache.misses(any_age()), "{control}");
    }
}

#[test]
fn old_date_counts_as_age() {
    // 2.6 days before receipt.
    let old = ("date", "Sun, 12 Nov 2023 07:49:20 GMT");
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("etag", "\"1\""), old], "");
    assert!(cache.misses(url("/")));
}

#[test]
fn post_with_another_body_has_another_key() {
    let post = |body| Request::post("http://example.com/").body(body).unwrap();
    let mut cache = Cache::new(Policy::rfc9111().methods([Method::GET, Method::POST]));
    cache.get(post("a=1"), &[("cache-control", "max-age=60")], "one");
    assert_eq!(cache.hit(post("a=1")).body, "one");
    assert!(cache.misses(post("a=2")));
    assert!(cache.misses(url("/")));
}

#[test]
fn repeated_fields_stay_repeated() {
    let mut cache = Cache::new(Policy::rfc9111());
    let request = |b| with("/", &[("a", "1"), ("b", b)]);
    let repeated = [("link", "<1>"), ("link", "<2>"), ("set-cookie", "a=1"), ("set-cookie", "b=2")];
    let headers = [&repeated[..], &[("vary", "a"), ("vary", "b"), ("cache-control", "max-age=60")]].concat();
    cache.get(request("1"), &headers, "");
    let got = cache.hit(request("1")).parts.headers;
    let all = |name| got.get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("link"), ["<1>", "<2>"]);
    assert_eq!(all("set-cookie"), ["a=1", "b=2"]);
    assert!(cache.misses(request("2")));
}

#[test]
fn a_304_adds_a_field_and_replaces_repeated_ones() {
    let stored = [("cache-control", "max-age=60"), ("etag", "\"1\""), ("link", "<1>"), ("link", "<2>")];
    let update = [("cache-control", "max-age=60"), ("link", "<3>"), ("link", "<4>"), ("new", "yes")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &stored, "");
    cache.after(61);
    cache.exchange(url("/"), &mut |_| Some(respond(304, &update, "")));
    let got = cache.hit(url("/")).parts.headers;
    assert_eq!(got.get_all("link").iter().collect::<Vec<_>>(), ["<3>", "<4>"]);
    assert_eq!(got["new"], "yes");
}

#[test]
fn date_of_a_hit_is_the_origins() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(url("/"), &[("cache-control", "max-age=60"), ("date", DATE)], "");
    cache.after(30);
    let got = cache.hit(url("/")).parts.headers;
    assert_eq!((&got["date"], &got["age"]), (&plain(DATE), &plain("30")));
}
