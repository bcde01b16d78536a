//! Selecting and invalidating some of what is stored.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends at what it did not expect")]

use futures_util::TryStreamExt;
use http::{Request, Response};
use lacre::store::{Memory, Sqlite};
use lacre::{
    Answer, Cache, ManualClock, Outcome, RequestBody, RequestOptions, Selection, Settlement, Timestamp,
    UrlPattern, wait,
};
use std::sync::Arc;
use std::time::Duration;

/// Stores an answer to GET, and whatever else the request wishes.
fn store(cache: &Cache, url: &str, options: RequestOptions) {
    let request = Request::get(url).extension(options).body(()).unwrap().into_parts().0;
    let Answer::Send(ticket) = wait(cache.ask(request, RequestBody::Seen(&[]))).unwrap() else {
        panic!("{url} is stored already")
    };
    let response = Response::builder().header("cache-control", "max-age=60").body(()).unwrap().into_parts().0;
    let settled = wait(cache.settle(ticket, Outcome::Response(&response))).unwrap();
    let Settlement::Network { keep: Some(keep), .. } = settled else { panic!("{url} is not stored") };
    wait(keep.finish());
}

fn selected(cache: &Cache, selection: Selection) -> Vec<String> {
    let entries: Vec<_> = wait(cache.select(selection).try_collect()).unwrap();
    let mut urls: Vec<_> = entries.into_iter().map(|selected| selected.entry.url).collect();
    urls.sort();
    urls
}

#[test]
fn selection_matches_exactly_its_filters() {
    let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_800_000_000)));
    let builder = Cache::builder().store(Memory::new().unwrap()).danger_ephemeral_key();
    let cache = builder.clock(Arc::clone(&clock)).build().unwrap();
    store(&cache, "http://a.example/x?token=1", RequestOptions::new().tag("news").tag("eu"));
    clock.advance(Duration::from_secs(50));
    store(&cache, "http://a.example:8080/y", RequestOptions::new().tag("news"));
    store(&cache, "https://b.example/x", RequestOptions::new());
    let all = Selection::all;
    let url = |url: &str| all().url(url.parse().unwrap());
    let [a, a8080, b] =
        ["http://a.example/x?token=REDACTED", "http://a.example:8080/y", "https://b.example/x"];
    clock.advance(Duration::from_secs(20));
    for (selection, meant) in [
        (all(), vec![a, a8080, b]),
        (url("http://A.example/x?token=2#top"), vec![a]),
        (url("http://a.example/x"), vec![]),
        (all().host("a.example"), vec![a, a8080]),
        (all().host("A.EXAMPLE").tag("eu"), vec![a]),
        (all().host("example"), vec![]),
        (all().fits(UrlPattern::glob("*/x*").unwrap()), vec![a, b]),
        (all().tag("news"), vec![a, a8080]),
        (all().tag("new"), vec![]),
        (all().stale(), vec![a]),
        (all().matching(|entry| entry.url.starts_with("https:")), vec![b]),
    ] {
        assert_eq!(selected(&cache, selection), meant);
    }
}

#[test]
fn invalidation_removes_exactly_the_selected_entries() {
    let directory = tempfile::tempdir().unwrap();
    let builder = Cache::builder().store(Sqlite::open(directory.path().join("store")).unwrap());
    let cache = builder.danger_ephemeral_key().build().unwrap();
    // More than a page of the store.
    for number in 0..700 {
        let tag = if number % 2 == 0 { "even" } else { "odd" };
        store(&cache, &format!("http://example.com/{number}"), RequestOptions::new().tag(tag));
    }
    assert_eq!(wait(cache.invalidate(&Selection::all().tag("even"))).unwrap(), 350);
    assert_eq!(wait(cache.invalidate(&Selection::all().tag("even"))).unwrap(), 0);
    assert_eq!(selected(&cache, Selection::all()).len(), 350);
    assert!(selected(&cache, Selection::all().tag("even")).is_empty());
}
