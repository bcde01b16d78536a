//! The time that a caller gives its request, which covers whatever it waits for.

use crate::origin::{Origin, cache, fresh, respond, until};
use futures_util::{StreamExt, stream};
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use lacre::{Driver, Policy};
use lacre_reqwest::ClientBuilder;
use reqwest_middleware::{ClientWithMiddleware, Error};
use std::time::Duration;

/// An answer whose body does not come to an end.
fn endless() -> Response<crate::origin::Body> {
    let begun = stream::iter([Ok(Frame::data("begun".into()))]);
    fresh("").map(|_| BodyExt::boxed(StreamBody::new(begun.chain(stream::pending()))))
}

/// An origin that never answers.
async fn silent() -> (String, tokio::task::JoinHandle<()>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    (url, holding)
}

const SHORT: Duration = Duration::from_millis(100);

/// A client whose requests would wait for each other for an hour.
fn patient(builder: impl FnOnce(ClientBuilder) -> ClientBuilder) -> ClientWithMiddleware {
    let driver = Driver::new(cache(Policy::rfc9111()).0).patience(Duration::from_secs(3600));
    builder(ClientBuilder::new(driver)).build().unwrap()
}

fn is_timeout(error: &Error) -> bool {
    matches!(error, Error::Reqwest(error) if error.is_timeout())
}

#[tokio::test]
async fn a_request_s_timeout_covers_its_wait_for_another_one() {
    let (url, _origin) = silent().await;
    for (client, own) in [(patient(|it| it), Some(SHORT)), (patient(|it| it.timeout(SHORT)), None)] {
        let leader = tokio::spawn(client.get(&url).timeout(Duration::from_secs(3600)).send());
        tokio::task::yield_now().await;
        let follower = client.get(&url);
        let follower = match own {
            Some(timeout) => follower.timeout(timeout),
            None => follower,
        };
        assert!(is_timeout(&follower.send().await.unwrap_err()));
        leader.abort();
    }
}

#[tokio::test]
async fn it_covers_a_body_that_another_request_began() {
    let origin = Origin::start(|_| endless()).await;
    let client = patient(|it| it);
    let leader = client.get(origin.url("/")).send().await.unwrap();
    let mut follower = client.get(origin.url("/")).timeout(SHORT).send().await.unwrap();
    assert_eq!(follower.chunk().await.unwrap().unwrap(), "begun");
    assert!(follower.chunk().await.unwrap_err().is_timeout());
    drop(leader);
    assert_eq!(origin.count(), 1);
}

#[tokio::test]
async fn who_follows_a_request_that_runs_out_of_time_goes_on_by_itself() {
    let origin = Origin::start(|request| match request.header("x-first") {
        Some(_) => endless(),
        None => fresh("begun, and ended"),
    })
    .await;
    let client = patient(|it| it);
    let first = client.get(origin.url("/")).header("x-first", "1").timeout(SHORT).send().await.unwrap();
    let follower = client.get(origin.url("/")).send().await.unwrap();
    assert!(first.text().await.unwrap_err().is_timeout());
    assert_eq!(follower.text().await.unwrap(), "begun, and ended");
    assert_eq!(origin.count(), 2);
}

#[tokio::test]
async fn it_covers_all_hops_together() {
    let (url, _origin) = silent().await;
    let origin = Origin::start(move |request| match request.path.len() {
        length if length < 5 => respond(302, &[("location", &format!("{}x", request.path))], ""),
        _ => respond(302, &[("location", &url)], ""),
    })
    .await;
    let client = patient(|it| it);
    let failed = client.get(origin.url("/")).timeout(SHORT).send().await.unwrap_err();
    assert!(is_timeout(&failed));
    until(async || origin.count() == 5).await;
}
