//! Requests for the same thing at the same time.

use crate::origin::{Answer, Origin, around, cache, fetch, get, page, send, settle};
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

/// An origin that answers by `answer` as soon as the gate lets it.
fn gated(answer: fn(usize) -> Answer) -> (Arc<Semaphore>, Origin) {
    let gate = Arc::new(Semaphore::new(0));
    let shared = Arc::clone(&gate);
    let origin = Origin::new(move |index, _| {
        let gate = Arc::clone(&shared);
        async move {
            gate.acquire().await.unwrap().forget();
            answer(index)
        }
    });
    (gate, origin)
}

fn herd(service: &CacheService<Origin>, size: usize) -> Vec<JoinHandle<(Bytes, String)>> {
    let member = || {
        let service = service.clone();
        async move { fetch(&service, get("/")).await }
    };
    (0..size).map(|_| tokio::spawn(member())).collect()
}

#[tokio::test]
async fn fifty_concurrent_misses_are_one_request() {
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = around(&origin);
    let members = herd(&service, 50);
    settle().await;
    assert_eq!(origin.asked(), 1);
    gate.add_permits(50);
    let answers: Vec<_> = join_all(members).await.into_iter().map(Result::unwrap).collect();
    assert!(answers.iter().all(|(body, _)| body == "0"));
    assert_eq!(answers.iter().filter(|(_, status)| status.ends_with("; collapsed")).count(), 49);
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn fifty_concurrent_validations_are_one_request() {
    let clock = Arc::new(lacre::ManualClock::new(lacre::Timestamp::from_seconds(1_000_000)));
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = CacheLayer::new(cache(Policy::rfc9111(), clock.clone())).layer(origin.clone());
    gate.add_permits(1);
    fetch(&service, get("/")).await;
    clock.advance(Duration::from_secs(100));
    let members = herd(&service, 50);
    settle().await;
    gate.add_permits(50);
    assert!(join_all(members).await.into_iter().all(|answer| answer.unwrap().0 == "1"));
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn a_leader_whose_caller_goes_away_is_followed_by_the_next() {
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = around(&origin);
    let mut members = herd(&service, 10);
    settle().await;
    members.remove(0).abort();
    settle().await;
    assert_eq!(origin.asked(), 2, "one of the nine leads now");
    gate.add_permits(50);
    assert!(join_all(members).await.into_iter().all(|answer| answer.unwrap().0 == "1"));
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn a_leader_that_stops_reading_its_body_leaves_the_transfer_to_the_others() {
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = around(&origin);
    gate.add_permits(50);
    let unread = send(&service, get("/")).await.unwrap();
    let members = herd(&service, 10);
    settle().await;
    drop(unread);
    assert!(join_all(members).await.into_iter().all(|answer| answer.unwrap().0 == "0"));
    assert_eq!(fetch(&service, get("/")).await.1, "lacre; hit; ttl=60");
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn a_follower_that_goes_away_leaves_the_others_waiting() {
    let (gate, origin) = gated(|index| page("max-age=60", index.to_string()));
    let service = around(&origin);
    let mut members = herd(&service, 10);
    settle().await;
    members.remove(5).abort();
    settle().await;
    gate.add_permits(50);
    assert!(join_all(members).await.into_iter().all(|answer| answer.unwrap().0 == "0"));
    assert_eq!(origin.asked(), 1);
}

#[tokio::test]
async fn an_answer_that_cannot_be_stored_is_given_to_nobody_else() {
    let (gate, origin) = gated(|index| page("no-store", index.to_string()));
    let service = around(&origin);
    let members = herd(&service, 10);
    settle().await;
    gate.add_permits(50);
    let mut answers: Vec<_> = join_all(members).await.into_iter().map(|answer| answer.unwrap().0).collect();
    answers.sort_unstable();
    answers.dedup();
    assert_eq!((answers.len(), origin.asked()), (10, 10));
}

#[tokio::test]
async fn those_who_follow_a_failure_ask_for_themselves() {
    let (gate, origin) = gated(|index| match index {
        0 => Err(io::ErrorKind::ConnectionReset.into()),
        _ => page("no-store", index.to_string()),
    });
    let service = around(&origin);
    let leader = tokio::spawn({
        let service = service.clone();
        async move { send(&service, get("/")).await.map(drop) }
    });
    settle().await;
    let members = herd(&service, 9);
    settle().await;
    gate.add_permits(50);
    assert!(leader.await.unwrap().is_err());
    assert!(join_all(members).await.into_iter().all(|answer| answer.unwrap().0 != "0"));
    assert_eq!(origin.asked(), 10);
}

/// A service that loses its patience at once, and what it asks.
fn hasty(origin: &Origin) -> CacheService<Origin> {
    let driver = Driver::new(cache(Policy::rfc9111(), Arc::new(SystemClock)));
    CacheLayer::new(driver.patience(Duration::from_millis(1))).layer(origin.clone())
}

/// Waits until the origin was asked so often.
async fn asked(origin: &Origin, times: usize) {
    while origin.asked() < times {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn nobody_waits_for_a_slow_leader_longer_than_its_patience() {
    let origin = Origin::new(|index, _| async move {
        if index == 0 {
            std::future::pending::<()>().await;
        }
        page("max-age=60", index.to_string())
    });
    let service = hasty(&origin);
    let mut members = herd(&service, 2);
    assert_eq!(members.pop().unwrap().await.unwrap().0, "1");
    members.pop().unwrap().abort();
}

#[tokio::test]
async fn whoever_lost_patience_takes_the_answer_that_comes_first() {
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
    let service = hasty(&origin);
    let members = herd(&service, 3);
    asked(&origin, 3).await;
    gate.add_permits(1);
    assert!(join_all(members).await.into_iter().all(|answer| answer.unwrap().0 == "0"));
}
