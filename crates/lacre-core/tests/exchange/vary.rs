//! Variants (RFC 9111 §4.1).

use crate::cache::{Cache, respond, url, with};
use http::Request;
use lacre_core::Policy;

#[test]
fn variants_are_separate_and_stay_reachable() {
    let vary = &[("cache-control", "max-age=60"), ("vary", "Accept-Language, x")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(with("/", &[("accept-language", "de")]), vary, "hallo");
    cache.get(with("/", &[("accept-language", "en")]), vary, "hello");
    cache.get(url("/"), vary, "-");
    assert_eq!(cache.hit(with("/", &[("accept-language", "de")])).body, "hallo");
    assert_eq!(cache.hit(with("/", &[("accept-language", "EN")])).body, "hello");
    assert_eq!(cache.hit(url("/")).body, "-");
    assert!(cache.misses(with("/", &[("accept-language", "fr")])));
    assert!(cache.misses(with("/", &[("accept-language", "de"), ("x", "")])));
}

#[test]
fn index_includes_all_names_of_a_response() {
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(with("/", &[("a", "1")]), &[("cache-control", "max-age=60"), ("vary", "a")], "by a");
    cache.get(
        with("/", &[("a", "2"), ("b", "1")]),
        &[("cache-control", "max-age=60"), ("vary", "b")],
        "by b",
    );
    assert_eq!(cache.hit(with("/", &[("a", "2"), ("b", "1")])).body, "by b");
    assert!(cache.misses(with("/", &[("a", "2"), ("b", "2")])));
}

#[test]
fn oldest_variants_are_removed_over_the_limit() {
    let accept = |n: usize| with("/", &[("accept", ["a", "b", "c", "d", "e"][n])]);
    let vary = &[("cache-control", "max-age=60"), ("vary", "accept")];
    let mut cache = Cache::new(Policy::rfc9111().max_variants(3));
    for n in [0, 1, 0, 2, 3] {
        cache.after(n as u64 * 60);
        cache.get(accept(n), vary, "body");
    }
    assert_eq!(cache.rows.len(), 1 + 3, "an index and its variants");
    cache.hit(accept(3));
    cache.get(accept(4), vary, "body");
    assert_eq!(cache.rows.len(), 1 + 3);
    assert!(cache.misses(accept(1)));
}

#[test]
fn languages_and_parts_count_as_variants() {
    const LANGUAGES: [&str; 5] = ["de", "en", "fr", "it", "pt"];
    let mut cache = Cache::new(Policy::rfc9111().max_variants(4));
    for language in LANGUAGES {
        let vary =
            [("cache-control", "max-age=60"), ("vary", "accept-language"), ("content-language", language)];
        cache.get(with("/", &[("accept-language", language)]), &vary, "body");
    }
    assert_eq!(cache.rows.len(), 1 + 4);
    for range in ["bytes=0-0", "bytes=1-1", "bytes=2-2", "bytes=3-3", "bytes=4-4"] {
        let content_range = format!("{}/9", range.replace("bytes=", "bytes "));
        cache.exchange(with("/part", &[("range", range)]), &mut |_| {
            Some(respond(206, &[("cache-control", "max-age=60"), ("content-range", &content_range)], "x"))
        });
    }
    assert_eq!(cache.rows.len(), 2 * (1 + 4));
}

#[test]
fn unreachable_variants_are_removed() {
    let max_age = ("cache-control", "max-age=60");
    for (status, next) in [(200, "accept, b"), (200, ""), (404, "")] {
        let mut cache = Cache::new(Policy::rfc9111());
        for value in ["1", "2", "3"] {
            cache.get(with("/", &[("accept", value)]), &[max_age, ("vary", "accept")], "body");
        }
        let headers: Vec<_> =
            [max_age, ("vary", next)].into_iter().filter(|(_, value)| !value.is_empty()).collect();
        cache.exchange(with("/", &[("accept", "4")]), &mut |_| Some(respond(status, &headers, "")));
        let left = if next.is_empty() { 1 } else { 2 };
        assert_eq!(cache.rows.len(), left, "{status} {next}");
    }
}

#[test]
fn invalidated_variant_stays_invalid() {
    let vary = &[("cache-control", "max-age=600"), ("vary", "a")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(with("/", &[("a", "1")]), vary, "old");
    cache.after(1);
    cache.exchange(Request::post("http://example.com/").body("x").unwrap(), &mut |_| {
        Some(respond(200, &[], ""))
    });
    cache.get(with("/", &[("a", "2")]), vary, "new");
    assert!(cache.misses(with("/", &[("a", "1")])));
}

#[test]
fn preferred_language_finds_the_stored_response() {
    let accept = |value| with("/", &[("accept-language", value)]);
    let german =
        &[("cache-control", "max-age=60"), ("vary", "accept-language, x"), ("content-language", "de")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(accept("en, de"), german, "hallo");
    assert_eq!(cache.hit(accept("fr;q=0.5, de;q=1.0")).body, "hallo");
    assert_eq!(cache.hit(accept("DE")).body, "hallo");
    for other in ["fr, de;q=0.5", "de, fr", "de-AT", "*"] {
        assert!(cache.misses(accept(other)), "{other}");
    }
    assert!(cache.misses(with("/", &[("accept-language", "de"), ("x", "1")])));
}

#[test]
fn language_alias_never_leads_to_another_language() {
    let accept = |value| with("/", &[("accept-language", value)]);
    let german = &[("cache-control", "max-age=60"), ("vary", "accept-language"), ("content-language", "de")];
    let english = &[("cache-control", "max-age=60"), ("vary", "accept-language"), ("content-language", "en")];
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(accept("en, de"), german, "hallo");
    cache.after(61);
    cache.get(accept("en, de"), english, "hello");
    assert!(cache.misses(accept("de")));
    assert_eq!(cache.hit(accept("en")).body, "hello");
}
