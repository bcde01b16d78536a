//! What a single request wishes, as an extension.

use crate::origin::{Origin, client, fresh, get, respond, whole};
use http::StatusCode;
use lacre::{Expire, Mode, RequestOptions};
use std::time::Duration;

#[tokio::test]
async fn only_if_cached_never_asks_the_network() {
    let origin = Origin::start(|_| fresh("body")).await;
    let (client, _) = client();
    let request =
        || client.get(origin.url("/")).with_extension(RequestOptions::new().mode(Mode::OnlyIfCached));
    let refused = request().send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::GATEWAY_TIMEOUT);
    assert_eq!((refused.url().as_str(), origin.count()), (origin.url("/").as_str(), 0));
    get(&client, &origin.url("/")).await;
    assert_eq!(request().send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn a_refresh_validates_what_is_still_fresh() {
    let origin = Origin::start(|request| {
        let status = if request.header("if-none-match").is_some() { 304 } else { 200 };
        respond(status, &[("cache-control", "max-age=60"), ("etag", "\"1\"")], "")
    })
    .await;
    let (client, _) = client();
    get(&client, &origin.url("/")).await;
    let options = RequestOptions::new().mode(Mode::Refresh);
    let request = client.get(origin.url("/")).with_extension(options);
    let (head, _, did) = whole(request.send().await.unwrap()).await;
    assert_eq!(head.status, StatusCode::OK);
    assert!(did.starts_with("lacre; fwd=request; fwd-status=304"), "{did}");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_bypass_neither_reads_nor_stores() {
    let origin = Origin::start(|_| fresh("body")).await;
    let (client, _) = client();
    for _ in 0..2 {
        let request = client.get(origin.url("/")).with_extension(RequestOptions::new().mode(Mode::Bypass));
        assert_eq!(whole(request.send().await.unwrap()).await.2, "lacre; fwd=bypass; fwd-status=200");
    }
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn a_request_s_own_lifetime_counts() {
    let origin = Origin::start(|_| fresh("body")).await;
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
    let origin = Origin::start(|_| fresh("body")).await;
    let (client, _) = client();
    for (partition, asked) in [("a", 1), ("b", 2), ("a", 2)] {
        let request = client.get(origin.url("/")).with_extension(RequestOptions::new().partition(partition));
        whole(request.send().await.unwrap()).await;
        assert_eq!(origin.count(), asked);
    }
}
