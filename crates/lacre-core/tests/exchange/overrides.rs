//! Lifetimes and options that the user sets.

use crate::cache::{Cache, respond, url, with_options};
use lacre_core::{Expire, Mode, OriginHeaders, Policy, RequestOptions, UrlPattern};
use std::time::Duration;

#[test]
fn user_lifetime_overrides_the_origin() {
    let hour = Duration::from_secs(3600);
    let rule = || Policy::rfc9111().expire_url_after(UrlPattern::glob("example.com/a").unwrap(), hour);
    // Policy, path, response Cache-Control, lifetime in seconds.
    for (policy, path, control, lifetime) in [
        (rule(), "/a", "max-age=5", 3600),
        (rule(), "/b", "max-age=5", 5),
        (rule().expire_after(Duration::from_secs(20)), "/b", "max-age=5", 5),
        (rule().expire_after(Duration::from_secs(20)), "/b", "", 20),
        (rule().origin_headers(OriginHeaders::First), "/a", "max-age=5", 5),
        (rule().origin_headers(OriginHeaders::Ignored), "/a", "no-store", 3600),
    ] {
        let mut cache = Cache::new(policy);
        cache.get(url(path), &[("cache-control", control)], "");
        cache.after(lifetime - 1);
        cache.hit(url(path));
        cache.after(1);
        assert!(cache.misses(url(path)), "{path} {control}");
    }
}

#[test]
fn request_options_apply_to_their_request() {
    let mut cache = Cache::new(Policy::rfc9111());
    let forever = RequestOptions::new().ttl(Expire::Never).tag("t");
    cache.get(with_options("/", forever), &[("cache-control", "max-age=5")], "kept");
    cache.after(1_000_000);
    assert_eq!(cache.hit(url("/")).body, "kept");
    assert!(cache.misses(with_options("/", RequestOptions::new().mode(Mode::Refresh))));

    let mut cache = Cache::new(Policy::rfc9111());
    let control = &[("cache-control", "max-age=60")];
    cache.get(with_options("/", RequestOptions::new().mode(Mode::Bypass)), control, "");
    cache.get(with_options("/", RequestOptions::new().ttl(Expire::DoNotStore)), control, "");
    assert!(cache.rows.is_empty());
    cache.get(url("/"), control, "old");
    cache.get(with_options("/", RequestOptions::new().mode(Mode::ForceRefresh)), control, "new");
    assert_eq!(cache.hit(url("/")).body, "new");
    assert!(cache.misses(with_options("/", RequestOptions::new().partition("alice"))));
}

#[test]
fn requests_cache_preset_keeps_200_forever() {
    let mut cache = Cache::new(Policy::requests_cache());
    cache.get(url("/?b=2&a=1"), &[("cache-control", "no-store")], "kept");
    cache.after(100_000_000);
    let got = cache.hit(url("/?a=1&b=2"));
    assert_eq!(got.body, "kept");
    assert!(!got.parts.headers.contains_key("age"));
    cache.exchange(url("/404"), &mut |_| Some(respond(404, &[], "")));
    assert!(cache.misses(url("/404")));
}
