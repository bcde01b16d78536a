//! One response that several requests read while it comes in.

use crate::origin::{AnyBody, Origin, Served, around, cache, channel, fetch, get, page, send, status, whole};
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

/// An origin whose first answer is `body`, of so many bytes, and whose next are "second".
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

/// The next piece of a body.
async fn piece(answer: &mut Served) -> Option<Result<Bytes, Box<dyn std::error::Error + Send + Sync>>> {
    Some(answer.body_mut().frame().await?.map(|frame| frame.into_data().unwrap()))
}

async fn rest(answer: Served) -> Bytes {
    answer.into_body().collect().await.unwrap().to_bytes()
}

#[tokio::test]
async fn those_who_follow_read_the_answer_while_it_comes_in() {
    let (sender, body) = channel();
    let service = around(&first(body, 7));
    let mut leader = send(&service, get("/")).await.unwrap();
    let mut early = send(&service, get("/")).await.unwrap();
    assert!(status(&early).ends_with("; collapsed"), "{}", status(&early));
    sender.send(Ok("one ")).await.unwrap();
    for answer in [&mut early, &mut leader] {
        assert_eq!(piece(answer).await.unwrap().unwrap(), "one ");
    }
    let late = send(&service, get("/")).await.unwrap();
    sender.send(Ok("two")).await.unwrap();
    drop(sender);
    assert_eq!(rest(late).await, "one two", "from the beginning");
    assert_eq!((&rest(early).await[..], &rest(leader).await[..]), (&b"two"[..], &b"two"[..]));
    assert_eq!(fetch(&service, get("/")).await, ("one two".into(), "lacre; hit; ttl=60".into()));
}

#[tokio::test]
async fn a_transfer_ends_with_its_last_reader_and_leaves_nothing() {
    let (sender, body) = channel();
    let service = around(&first(body, 7));
    let leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    drop(leader);
    sender.send(Ok("one")).await.unwrap();
    assert_eq!(piece(&mut follower).await.unwrap().unwrap(), "one");
    drop(follower);
    assert!(sender.is_closed(), "the origin's body was let go");
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

#[tokio::test]
async fn a_transfer_that_breaks_off_breaks_off_for_everybody() {
    let (sender, body) = channel();
    let service = around(&first(body, 7));
    let mut leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    sender.send(Ok("one")).await.unwrap();
    for answer in [&mut leader, &mut follower] {
        assert_eq!(piece(answer).await.unwrap().unwrap(), "one");
    }
    sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    let heard = piece(&mut follower).await.unwrap().unwrap_err().downcast::<lacre::Error>().unwrap();
    assert_eq!(heard.kind(), ErrorKind::Gone);
    let own = piece(&mut leader).await.unwrap().unwrap_err().downcast::<io::Error>().unwrap();
    assert_eq!(own.kind(), io::ErrorKind::ConnectionReset, "the service's own error, untouched");
    assert!(piece(&mut follower).await.is_none() && piece(&mut leader).await.is_none());
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

/// A body of so many different pieces of 100,000 bytes.
fn large(pieces: u8) -> (AnyBody, Vec<u8>) {
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
async fn a_reader_that_falls_behind_reads_what_it_missed_from_the_store() {
    let (body, bytes) = large(20);
    let store = Arc::new(Memory::new().unwrap());
    let service = over(Arc::clone(&store), &first(body, bytes.len()), Policy::rfc9111());
    let leader = send(&service, get("/")).await.unwrap();
    let mut slow = send(&service, get("/")).await.unwrap();
    let fast = send(&service, get("/")).await.unwrap();
    assert_eq!(piece(&mut slow).await.unwrap().unwrap(), bytes[..100_000]);
    assert_eq!(rest(fast).await, bytes);
    assert_eq!(rest(slow).await, bytes[100_000..]);
    assert_eq!(rest(leader).await, bytes, "though others read it before the one whose request it was");
    assert_eq!(fetch(&service, get("/")).await.0, bytes);
}

#[tokio::test]
async fn a_store_that_fails_in_the_middle_costs_nobody_the_answer() {
    let (body, bytes) = large(20);
    let store = Arc::new(Memory::with_capacity(600_000).unwrap());
    let service = over(Arc::clone(&store), &first(body, bytes.len()), Policy::rfc9111());
    let mut answers = [send(&service, get("/")).await.unwrap(), send(&service, get("/")).await.unwrap()];
    for index in 0..20 {
        for answer in &mut answers {
            assert_eq!(piece(answer).await.unwrap().unwrap(), bytes[index * 100_000..][..100_000]);
        }
    }
    drop(answers);
    assert_eq!(store.usage().await.unwrap().bytes, 0, "nothing of it stays");
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

#[tokio::test]
async fn an_answer_of_unknown_length_is_read_along() {
    let (sender, body) = channel();
    let service = around(&streaming::first(body));
    let leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    assert_eq!(status(&follower), "lacre; fwd=uri-miss; ttl=60; collapsed");
    sender.send(Ok("one ")).await.unwrap();
    assert_eq!(piece(&mut follower).await.unwrap().unwrap(), "one ");
    sender.send(Ok("two")).await.unwrap();
    drop(sender);
    assert_eq!((&rest(follower).await[..], &rest(leader).await[..]), (&b"two"[..], &b"one two"[..]));
    assert_eq!(fetch(&service, get("/")).await, ("one two".into(), "lacre; hit; ttl=60".into()));
}

#[tokio::test]
async fn what_breaks_off_is_gone_on_with_where_it_was() {
    let (sender, body) = channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |_, _| {
        let response = Response::builder().header("cache-control", "max-age=60");
        let response = response.body(body.lock().unwrap().take().unwrap_or_else(|| whole("one two")));
        async { Ok(response.unwrap()) }
    });
    let service = around(&origin);
    let mut leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    sender.send(Ok("one")).await.unwrap();
    for answer in [&mut leader, &mut follower] {
        assert_eq!(piece(answer).await.unwrap().unwrap(), "one");
    }
    sender.send(Err(io::ErrorKind::ConnectionReset.into())).await.unwrap();
    assert_eq!(rest(follower).await, " two");
    assert!(piece(&mut leader).await.unwrap().is_err());
    assert_eq!(origin.asked(), 2);
}

#[tokio::test]
async fn an_answer_that_is_shorter_than_it_says_breaks_off_for_those_who_follow() {
    let service = around(&first(streaming_body("one"), 7));
    let leader = send(&service, get("/")).await.unwrap();
    let mut follower = send(&service, get("/")).await.unwrap();
    assert_eq!(piece(&mut follower).await.unwrap().unwrap(), "one");
    assert!(piece(&mut follower).await.unwrap().is_err());
    assert_eq!(rest(leader).await, "one", "as without a cache");
    assert_eq!(fetch(&service, get("/")).await.0, "second");
}

fn streaming_body(text: &'static str) -> AnyBody {
    let frames = futures_util::stream::iter([Ok(http_body::Frame::data(Bytes::from(text)))]);
    StreamBody::new(frames).boxed_unsync()
}

#[tokio::test]
async fn variants_and_credentials_never_share_a_transfer() {
    let origin = Origin::new(|_, request| async move {
        let said = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap());
        let text = format!("{} {}", said("accept-language"), said("authorization"));
        // So that the others come while it is under way.
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
    let answers = join_all(requests.map(tokio::spawn)).await;
    assert!(answers.into_iter().map(Result::unwrap).all(|(got, wanted)| got == wanted));
    assert_eq!(origin.asked(), 4, "one for each user and language");
}

#[tokio::test]
async fn a_request_that_may_not_be_answered_by_what_comes_in_goes_alone() {
    let origin = Origin::new(|index, _| async move {
        tokio::task::yield_now().await;
        page("max-age=60, must-revalidate", index.to_string())
    });
    let service = around(&origin);
    let leader = send(&service, get("/")).await.unwrap();
    let part = fetch(&service, get("/").header("range", "bytes=0-0")).await;
    assert_eq!((&part.0[..], origin.asked()), (&b"1"[..], 2));
    let fresh = fetch(&service, get("/").header("cache-control", "no-cache")).await;
    assert_eq!((&fresh.0[..], origin.asked()), (&b"2"[..], 3));
    assert_eq!(rest(leader).await, "0");
}
