//! What the user wishes comes first.

use crate::cache::{Cache, respond, url, wishing};
use lacre_core::{Expire, Mode, OriginHeaders, Policy, RequestOptions, UrlPattern};
use std::time::Duration;

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
        (rule().origin_headers(OriginHeaders::First), "/a", "max-age=5", 5),
        (rule().origin_headers(OriginHeaders::Ignored), "/a", "no-store", 3600),
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
