//! Options of a single request, passed as an extension.

use crate::support::{client, get, whole};
use http::StatusCode;
use lacre::{Expire, Mode, RequestOptions};
use lacre_drivers::{Origin, fresh, respond};
use std::time::Duration;

#[tokio::test]
async fn only_if_cached_sends_nothing() {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client();
    let request =
        || client.get(origin.url("/")).with_extension(RequestOptions::new().mode(Mode::OnlyIfCached));
    let refused = request().send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!((refused.url().as_str(), origin.request_count()), (origin.url("/").as_str(), 0));
    get(&client, &origin.url("/")).await;
    assert_eq!(request().send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn refresh_mode_validates_a_fresh_response() {
    let origin = Origin::start(|request| {
        let status = if request.header("if-none-match").is_some() { 304 } else { 200 };
        respond(status, &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "")
    });
    let (client, _) = client();
    get(&client, &origin.url("/")).await;
    let options = RequestOptions::new().mode(Mode::Refresh);
    let request = client.get(origin.url("/")).with_extension(options);
    let (head, _, status) = whole(request.send().await.unwrap()).await;
    assert_eq!(head.status, StatusCode::OK);
    assert!(status.starts_with("lacre; fwd=request; fwd-status=304"), "{status}");
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn bypass_mode_neither_reads_nor_stores() {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client();
    for _ in 0..2 {
        let request = client.get(origin.url("/")).with_extension(RequestOptions::new().mode(Mode::Bypass));
        assert_eq!(whole(request.send().await.unwrap()).await.2, "lacre; fwd=bypass; fwd-status=200");
    }
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn the_lifetime_set_by_a_request_applies() {
    let origin = Origin::start(|_| fresh("body"));
    let (client, clock) = client();
    let hour = RequestOptions::new().ttl(Duration::from_secs(3600));
    whole(client.get(origin.url("/a")).with_extension(hour).send().await.unwrap()).await;
    let never = RequestOptions::new().ttl(Expire::DoNotStore);
    whole(client.get(origin.url("/b")).with_extension(never).send().await.unwrap()).await;
    clock.advance(Duration::from_secs(600));
    assert_eq!(get(&client, &origin.url("/a")).await.2, "lacre; hit; ttl=3000");
    assert!(get(&client, &origin.url("/b")).await.2.contains("fwd=uri-miss"));
}

#[tokio::test]
async fn partitions_share_nothing() {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client();
    for (partition, asked) in [("a", 1), ("b", 2), ("a", 2)] {
        let request = client.get(origin.url("/")).with_extension(RequestOptions::new().partition(partition));
        whole(request.send().await.unwrap()).await;
        assert_eq!(origin.request_count(), asked);
    }
}
