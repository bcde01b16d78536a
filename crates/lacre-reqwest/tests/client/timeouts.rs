//! The timeout of a request covers every wait.

use crate::support::wait_until;
use futures_util::{StreamExt, stream};
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use lacre::{Driver, Policy};
use lacre_drivers::{Origin, cache, fresh, respond};
use lacre_reqwest::ClientBuilder;
use reqwest_middleware::{ClientWithMiddleware, Error};
use std::time::Duration;

/// A response whose body never ends.
fn endless() -> Response<lacre_drivers::Body> {
    let start = stream::iter([Ok(Frame::data("started".into()))]);
    fresh("").map(|_| BodyExt::boxed(StreamBody::new(start.chain(stream::pending()))))
}

/// An origin that accepts connections and never answers.
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

/// Long enough for the head of a response on a busy machine, and short for a test.
const SHORT: Duration = Duration::from_secs(1);

/// A client whose requests wait for an identical one for up to an hour.
fn patient_client(builder: impl FnOnce(ClientBuilder) -> ClientBuilder) -> ClientWithMiddleware {
    let driver = Driver::new(cache(Policy::rfc9111()).0).coalesce_timeout(Duration::from_secs(3600));
    builder(ClientBuilder::new(driver)).build().unwrap()
}

fn is_timeout(error: &Error) -> bool {
    matches!(error, Error::Reqwest(error) if error.is_timeout())
}

#[tokio::test]
async fn a_timeout_covers_the_wait_for_an_identical_request() {
    let (url, _origin) = silent().await;
    for (client, own) in
        [(patient_client(|it| it), Some(SHORT)), (patient_client(|it| it.timeout(SHORT)), None)]
    {
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
async fn a_timeout_covers_a_body_that_another_request_started() {
    let origin = Origin::start(|_| endless());
    let client = patient_client(|it| it);
    let leader = client.get(origin.url("/")).send().await.unwrap();
    let mut follower = client.get(origin.url("/")).timeout(SHORT).send().await.unwrap();
    assert_eq!(follower.chunk().await.unwrap().unwrap(), "started");
    assert!(follower.chunk().await.unwrap_err().is_timeout());
    drop(leader);
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn a_follower_continues_when_the_leader_times_out() {
    let origin = Origin::start(|request| match request.header("x-first") {
        Some(_) => endless(),
        None => fresh("started, and ended"),
    });
    let client = patient_client(|it| it);
    let first = client.get(origin.url("/")).header("x-first", "1").timeout(SHORT).send().await.unwrap();
    let follower = client.get(origin.url("/")).send().await.unwrap();
    assert!(first.text().await.unwrap_err().is_timeout());
    assert_eq!(follower.text().await.unwrap(), "started, and ended");
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn a_timeout_covers_all_hops_together() {
    let (url, _origin) = silent().await;
    let origin = Origin::start(move |request| match request.path.len() {
        length if length < 5 => respond(302, &[("location", &format!("{}x", request.path))], ""),
        _ => respond(302, &[("location", &url)], ""),
    });
    let client = patient_client(|it| it);
    let failed = client.get(origin.url("/")).timeout(SHORT).send().await.unwrap_err();
    assert!(is_timeout(&failed));
    wait_until(async || origin.request_count() == 5).await;
}
