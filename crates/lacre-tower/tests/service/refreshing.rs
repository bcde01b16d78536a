//! Background refreshes of stale responses.

use crate::origin::{AnyBody, Origin, Sender, cache, channel, fetch, get, page, run_other_tasks};
use http::Response;
use lacre::{Driver, ManualClock, Policy, Timestamp};
use lacre_tower::{CacheLayer, CacheService};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tower_layer::Layer;

const STALE_FOR_A_MINUTE: &str = "max-age=10, stale-while-revalidate=60";

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(Timestamp::from_seconds(1_000_000)))
}

#[tokio::test]
async fn a_stale_response_is_served_at_once_and_refreshed_in_the_background() {
    let clock = clock();
    let origin =
        Origin::new(
            |index, _| async move { page("max-age=10, stale-while-revalidate=60", index.to_string()) },
        );
    let layer = CacheLayer::new(cache(Policy::rfc9111(), clock.clone()));
    let service = layer.layer(origin.clone());
    assert_eq!(fetch(&service, get("/")).await.0, "0");
    clock.advance(Duration::from_secs(20));
    for _ in 0..5 {
        let (body, status) = fetch(&service, get("/")).await;
        assert_eq!(body, "0");
        assert!(status.contains("stale-while-revalidate"), "{status}");
    }
    run_other_tasks().await;
    let (body, status) = fetch(&service, get("/")).await;
    assert_eq!((&body[..], status.as_str()), (&b"1"[..], "lacre; hit; ttl=10"));
    assert_eq!(origin.request_count(), 2, "one refresh for all stale responses");
}

/// A service that is refreshing a stale page. The refresh gets `cache_control` and the body that
/// the test sends. At most eight bytes are stored, and at most one refresh runs at a time.
async fn refreshing(
    cache_control: &'static str,
    refresh_time: Duration,
) -> (CacheService<Origin>, Sender, Origin) {
    let (sender, body) = channel();
    let second: Mutex<Option<AnyBody>> = Mutex::new(Some(body));
    let origin = Origin::new(move |index, _| {
        let sent = if index == 1 { second.lock().unwrap().take() } else { None };
        async move {
            match sent {
                Some(body) => {
                    Ok(Response::builder().header("cache-control", cache_control).body(body).unwrap())
                }
                None => page(STALE_FOR_A_MINUTE, index.to_string()),
            }
        }
    });
    let clock = clock();
    let driver = Driver::new(cache(Policy::rfc9111().max_body(8), clock.clone()));
    let driver = driver.refreshes(1).refresh_time(refresh_time);
    let service = CacheLayer::new(driver).layer(origin.clone());
    fetch(&service, get("/")).await;
    clock.advance(Duration::from_secs(20));
    assert_eq!(fetch(&service, get("/")).await.0, "0");
    run_other_tasks().await;
    assert_eq!(origin.request_count(), 2);
    (service, sender, origin)
}

/// Whether the next request starts another refresh.
async fn refreshes_again(service: &CacheService<Origin>, origin: &Origin) -> bool {
    let before = origin.request_count();
    fetch(service, get("/")).await;
    run_other_tasks().await;
    origin.request_count() > before
}

#[tokio::test]
async fn a_refresh_reads_no_more_than_can_be_stored() {
    let (service, sender, origin) = refreshing(STALE_FOR_A_MINUTE, Duration::from_secs(60)).await;
    for _ in 0..3 {
        sender.send(Ok("four")).await.unwrap();
    }
    sender.closed().await;
    assert!(refreshes_again(&service, &origin).await);
}

#[tokio::test]
async fn a_refresh_that_is_not_stored_is_not_read() {
    let (_service, sender, _origin) = refreshing("no-store", Duration::from_secs(60)).await;
    sender.closed().await;
}

#[tokio::test]
async fn a_refresh_that_takes_too_long_is_cancelled() {
    let (service, sender, origin) = refreshing(STALE_FOR_A_MINUTE, Duration::from_millis(500)).await;
    // On a busy machine, the refresh may be cancelled before this.
    let _ = sender.send(Ok("slow")).await;
    sender.closed().await;
    assert!(refreshes_again(&service, &origin).await);
}
