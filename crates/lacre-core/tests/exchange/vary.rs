//! Variants of one response (RFC 9111 §4.1).

use crate::cache::{Cache, respond, url, with};
use http::Request;
use lacre_core::Policy;

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
