//! One response that several requests read while it arrives (decision 17).

use crate::origin::{AnyBody, Origin, Served, cache, cached, channel, fetch, get, page, send, status, whole};
use crate::streaming;
use bytes::Bytes;
use futures_util::future::join_all;
use http::Response;
use http_body_util::{BodyExt, StreamBody};
use lacre::store::{Memory, Store};
use lacre::{Cache, ErrorKind, Policy, SystemClock};
use lacre_tower::{CacheLayer, CacheService};
use std::io;
use std::sync::{Arc, Mutex};
use tower_layer::Layer;

/// An origin whose first response has `body` and this `Content-Length`. Later ones have "second".
fn first(body: AnyBody, length: usize) -> Origin {
    let body = Mutex::new(Some(body));
    Origin::new(move |_, _| {
        let response = Response::builder().header("cache-control", "max-age=60");
        let response = match body.lock().unwrap().take() {
            Some(body) => response.header("content-length", length).body(body),
            None => response.body(whole("second")),
        };
        async { Ok(response.unwrap()) }
    })
}

/// The next piece of the body.
async fn next_piece(
    response: &mut Served,
) -> Option<Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> {
    Some(response.body_mut().frame().await?.map(|frame| frame.into_data().unwrap()))
}

async fn rest(response: Served) -> Bytes {
    response.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn followers_read_the_response_while_it_arrives() {
    let (sender, body) = channel();
    let service = cached(&first(body, 7));
    let mut leader = send(&service, get("/")).await.unwrap();
    let mut early = send(&service, get("/")).await.unwrap();
    assert!(status(&early).ends_with("; collapsed"), "{}", status(&early));
    sender.send(Ok("one ")).await.unwrap();
    for response in [&mut early, &mut leader] {
        assert_eq!(next_piece(response).await.unwrap().unwrap(), "one ");
    }
    let late = send(&service, get("/")).await.unwrap();
    sender.send(Ok("two")).await.unwrap();
    drop(sender);
    assert_eq!(rest(late).await, "one two", "a late follower starts at the beginning");
    assert_eq!((&rest(early).await[..], &rest(leader).await[..]), (&b"two"[..], &b"two"[..]));
    assert_eq!(fetch(&service, get("/")).await, ("one two".into(), "lacre; hit; ttl=60".into()));
}

#[tokio::test]
async fn a_transfer_stops_with_its_last_reader_and_stores_nothing() {
    let (sender, body) = channel();
    let service = cached(&first(body, 7));
    let leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    drop(leader);
    sender.send(Ok("one")).await.unwrap();
    assert_eq!(next_piece(&mut follower).await.unwrap().unwrap(), "one");
    drop(follower);
    assert!(sender.is_closed(), "the body of the origin is dropped");
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

#[tokio::test]
async fn a_truncated_transfer_is_an_error_for_every_reader() {
    let (sender, body) = channel();
    let service = cached(&first(body, 7));
    let mut leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    sender.send(Ok("one")).await.unwrap();
    for response in [&mut leader, &mut follower] {
        assert_eq!(next_piece(response).await.unwrap().unwrap(), "one");
    }
    sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    let followed = next_piece(&mut follower).await.unwrap().unwrap_err().downcast::<lacre::Error>().unwrap();
    assert_eq!(followed.kind(), ErrorKind::Gone);
    let own = next_piece(&mut leader).await.unwrap().unwrap_err().downcast::<io::Error>().unwrap();
    assert_eq!(own.kind(), io::ErrorKind::ConnectionReset, "the error of the service, unchanged");
    assert!(next_piece(&mut follower).await.is_none() && next_piece(&mut leader).await.is_none());
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

/// A body of this many pieces of 100,000 bytes, each different, and its bytes.
fn long_body(pieces: u8) -> (AnyBody, Vec<u8>) {
    let piece = |index| vec![index; 100_000];
    let frames = (0..pieces).map(move |index| Ok(http_body::Frame::data(Bytes::from(piece(index)))));
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync();
    (body, (0..pieces).flat_map(piece).collect())
}

fn over(store: Arc<Memory>, origin: &Origin, policy: Policy) -> CacheService<Origin> {
    let builder = Cache::builder().store(store).danger_ephemeral_key().policy(policy);
    CacheLayer::new(builder.build().unwrap()).layer(origin.clone())
}

#[tokio::test]
async fn a_slow_reader_continues_from_the_store() {
    let (body, bytes) = long_body(20);
    let store = Arc::new(Memory::new().unwrap());
    let service = over(Arc::clone(&store), &first(body, bytes.len()), Policy::rfc9111());
    let leader = send(&service, get("/")).await.unwrap();
    let mut slow = send(&service, get("/")).await.unwrap();
    let fast = send(&service, get("/")).await.unwrap();
    assert_eq!(next_piece(&mut slow).await.unwrap().unwrap(), bytes[..100_000]);
    assert_eq!(rest(fast).await, bytes);
    assert_eq!(rest(slow).await, bytes[100_000..]);
    assert_eq!(rest(leader).await, bytes, "although followers read it first");
    assert_eq!(fetch(&service, get("/")).await.0, bytes);
}

#[tokio::test]
async fn a_store_that_fails_halfway_truncates_no_response() {
    let (body, bytes) = long_body(20);
    let store = Arc::new(Memory::with_capacity(600_000).unwrap());
    let service = over(Arc::clone(&store), &first(body, bytes.len()), Policy::rfc9111());
    let mut responses = [send(&service, get("/")).await.unwrap(), send(&service, get("/")).await.unwrap()];
    for index in 0..20 {
        for response in &mut responses {
            assert_eq!(next_piece(response).await.unwrap().unwrap(), bytes[index * 100_000..][..100_000]);
        }
    }
    drop(responses);
    assert_eq!(store.usage().await.unwrap().bytes, 0, "nothing of the response is stored");
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

#[tokio::test]
async fn a_response_of_unknown_length_is_shared_while_it_arrives() {
    let (sender, body) = channel();
    let service = cached(&streaming::first(body));
    let leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    assert_eq!(status(&follower), "lacre; fwd=uri-miss; ttl=60; collapsed");
    sender.send(Ok("one ")).await.unwrap();
    assert_eq!(next_piece(&mut follower).await.unwrap().unwrap(), "one ");
    sender.send(Ok("two")).await.unwrap();
    drop(sender);
    assert_eq!((&rest(follower).await[..], &rest(leader).await[..]), (&b"two"[..], &b"one two"[..]));
    assert_eq!(fetch(&service, get("/")).await, ("one two".into(), "lacre; hit; ttl=60".into()));
}

#[tokio::test]
async fn a_follower_resumes_a_truncated_response_where_it_stopped() {
    let (sender, body) = channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |_, _| {
        let response = Response::builder().header("cache-control", "max-age=60");
        let response = response.body(body.lock().unwrap().take().unwrap_or_else(|| whole("one two")));
        async { Ok(response.unwrap()) }
    });
    let service = cached(&origin);
    let mut leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    sender.send(Ok("one")).await.unwrap();
    for response in [&mut leader, &mut follower] {
        assert_eq!(next_piece(response).await.unwrap().unwrap(), "one");
    }
    sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    assert_eq!(rest(follower).await, " two");
    assert!(next_piece(&mut leader).await.unwrap().is_err());
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn a_body_shorter_than_declared_is_an_error_for_followers() {
    let service = cached(&first(body_without_length("one"), 7));
    let leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    assert_eq!(next_piece(&mut follower).await.unwrap().unwrap(), "one");
    assert!(next_piece(&mut follower).await.unwrap().is_err());
    assert_eq!(rest(leader).await, "one", "the leader gets the same as without a cache");
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

fn body_without_length(text: &'static str) -> AnyBody {
    let frames = futures_util::stream::iter([Ok(http_body::Frame::data(Bytes::from(text)))]);
    StreamBody::new(frames).boxed_unsync()
}

#[tokio::test]
async fn variants_and_credentials_never_share_a_transfer() {
    let origin = Origin::new(|_, request| async move {
        let header = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap());
        let text = format!("{} {}", header("accept-language"), header("authorization"));
        // Lets the other requests arrive while this one is in flight.
        tokio::task::yield_now().await;
        let response = Response::builder().header("cache-control", "max-age=60");
        Ok(response.header("vary", "accept-language").body(whole(text)).unwrap())
    });
    let service = CacheLayer::new(cache(Policy::rfc9111(), Arc::new(SystemClock))).layer(origin.clone());
    let requests = (0..48).map(|index| {
        let (language, user) = (["de", "fr"][index % 2], ["Bearer 1", "Bearer 2"][index / 2 % 2]);
        let request = get("/").header("accept-language", language).header("authorization", user);
        let service = service.clone();
        async move { (fetch(&service, request).await.0, format!("{language} {user}")) }
    });
    let responses = join_all(requests.map(tokio::spawn)).await;
    assert!(responses.into_iter().map(Result::unwrap).all(|(body, expected)| body == expected));
    assert_eq!(origin.request_count(), 4, "one request per user and language");
}

#[tokio::test]
async fn a_request_that_cannot_share_a_transfer_is_sent() {
    let origin = Origin::new(|index, _| async move {
        tokio::task::yield_now().await;
        page("max-age=60, must-revalidate", index.to_string())
    });
    let service = cached(&origin);
    let leader = send(&service, get("/")).await.unwrap();
    let part = fetch(&service, get("/").header("range", "bytes=0-0")).await;
    assert_eq!((&part.0[..], origin.request_count()), (&b"1"[..], 2));
    let fresh = fetch(&service, get("/").header("cache-control", "no-cache")).await;
    assert_eq!((&fresh.0[..], origin.request_count()), (&b"2"[..], 3));
    assert_eq!(rest(leader).await, "0");
}
