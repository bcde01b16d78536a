//! Concurrent identical requests are sent once.

use crate::origin::{Origin, OriginResult, cache, cached, fetch, get, page, run_other_tasks, send};
use bytes::Bytes;
use futures_util::future::join_all;
use lacre::{Driver, Policy, SystemClock};
use lacre_tower::{CacheLayer, CacheService};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower_layer::Layer;

/// An origin that takes a permit of the gate before it responses.
fn gated(response: fn(usize) -> OriginResult) -> (Arc<Semaphore>, Origin) {
    let gate = Arc::new(Semaphore::new(0));
    let shared = Arc::clone(&gate);
    let origin = Origin::new(move |index, _| {
        let gate = Arc::clone(&shared);
        async move {
            gate.acquire().await.unwrap().forget();
            response(index)
        }
    });
    (gate, origin)
}

/// Sends `size` identical requests, each in a task of its own.
fn spawn_requests(service: &CacheService<Origin>, size: usize) -> Vec<JoinHandle<(Bytes, String)>> {
    let request = || {
        let service = service.clone();
        async move { fetch(&service, get("/")).await }
    };
    (0..size).map(|_| tokio::spawn(request())).collect()
}

#[tokio::test]
async fn fifty_concurrent_misses_are_one_request() {
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = cached(&origin);
    let requests = spawn_requests(&service, 50);
    run_other_tasks().await;
    assert_eq!(origin.request_count(), 1);
    gate.add_permits(50);
    let responses: Vec<_> = join_all(requests).await.into_iter().map(Result::unwrap).collect();
    assert!(responses.iter().all(|(body, _)| body == "0"));
    assert_eq!(responses.iter().filter(|(_, status)| status.ends_with("; collapsed")).count(), 49);
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn fifty_concurrent_validations_are_one_request() {
    let clock = Arc::new(lacre::ManualClock::new(lacre::Timestamp::from_seconds(1_000_000)));
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = CacheLayer::new(cache(Policy::rfc9111(), clock.clone())).layer(origin.clone());
    gate.add_permits(1);
    fetch(&service, get("/")).await;
    clock.advance(Duration::from_secs(100));
    let requests = spawn_requests(&service, 50);
    run_other_tasks().await;
    gate.add_permits(50);
    assert!(join_all(requests).await.into_iter().all(|response| response.unwrap().0 == "1"));
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn a_follower_takes_over_when_the_leader_is_dropped() {
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = cached(&origin);
    let mut requests = spawn_requests(&service, 10);
    run_other_tasks().await;
    requests.remove(0).abort();
    run_other_tasks().await;
    assert_eq!(origin.request_count(), 2, "one of the nine was sent");
    gate.add_permits(50);
    assert!(join_all(requests).await.into_iter().all(|response| response.unwrap().0 == "1"));
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn a_transfer_continues_when_the_leader_drops_its_body() {
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = cached(&origin);
    gate.add_permits(50);
    let unread = send(&service, get("/")).await.unwrap();
    let requests = spawn_requests(&service, 10);
    run_other_tasks().await;
    drop(unread);
    assert!(join_all(requests).await.into_iter().all(|response| response.unwrap().0 == "0"));
    assert_eq!(fetch(&service, get("/")).await.1, "lacre; hit; ttl=60");
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn a_dropped_follower_does_not_disturb_the_others() {
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = cached(&origin);
    let mut requests = spawn_requests(&service, 10);
    run_other_tasks().await;
    requests.remove(5).abort();
    run_other_tasks().await;
    gate.add_permits(50);
    assert!(join_all(requests).await.into_iter().all(|response| response.unwrap().0 == "0"));
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn a_response_that_cannot_be_stored_is_not_shared() {
    let (gate, origin) = gated(|index| page("no-store", index.to_string()));
    let service = cached(&origin);
    let requests = spawn_requests(&service, 10);
    run_other_tasks().await;
    gate.add_permits(50);
    let mut responses: Vec<_> =
        join_all(requests).await.into_iter().map(|response| response.unwrap().0).collect();
    responses.sort_unstable();
    responses.dedup();
    assert_eq!((responses.len(), origin.request_count()), (10, 10));
}

#[tokio::test]
async fn followers_of_a_failed_request_send_their_own() {
    let (gate, origin) = gated(|index| match index {
        0 => Err(io::ErrorKind::ConnectionReset.into()),
        _ => page("no-store", index.to_string()),
    });
    let service = cached(&origin);
    let leader = tokio::spawn({
        let service = service.clone();
        async move { send(&service, get("/")).await.map(drop) }
    });
    run_other_tasks().await;
    let requests = spawn_requests(&service, 9);
    run_other_tasks().await;
    gate.add_permits(50);
    assert!(leader.await.unwrap().is_err());
    assert!(join_all(requests).await.into_iter().all(|response| response.unwrap().0 != "0"));
    assert_eq!(origin.request_count(), 10);
}

/// A service whose requests hardly wait for an identical one.
fn impatient(origin: &Origin) -> CacheService<Origin> {
    let driver = Driver::new(cache(Policy::rfc9111(), Arc::new(SystemClock)));
    CacheLayer::new(driver.coalesce_timeout(Duration::from_millis(1))).layer(origin.clone())
}

/// Waits until the origin has received this many requests.
async fn wait_for_requests(origin: &Origin, times: usize) {
    while origin.request_count() < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_follower_waits_no_longer_than_the_coalesce_timeout() {
    let origin = Origin::new(|index, _| async move {
        if index == 0 {
            std::future::pending::<()>().await;
        }
        page("max-age=60", index.to_string())
    });
    let service = impatient(&origin);
    let mut requests = spawn_requests(&service, 2);
    assert_eq!(requests.pop().unwrap().await.unwrap().0, "1");
    requests.pop().unwrap().abort();
}

#[tokio::test]
async fn a_request_that_stopped_waiting_takes_the_first_response() {
    let gate = Arc::new(Semaphore::new(0));
    let shared = Arc::clone(&gate);
    let origin = Origin::new(move |index, _| {
        let gate = Arc::clone(&shared);
        async move {
            match index {
                0 => gate.acquire().await.unwrap().forget(),
                _ => std::future::pending().await,
            }
            page("max-age=60", index.to_string())
        }
    });
    let service = impatient(&origin);
    let requests = spawn_requests(&service, 3);
    wait_for_requests(&origin, 3).await;
    gate.add_permits(1);
    assert!(join_all(requests).await.into_iter().all(|response| response.unwrap().0 == "0"));
}
