//! Ten thousand requests at 64 connections while the origin stops, starts, hangs and cuts its
//! bodies: no wrong body, nobody stuck, and bounded memory. `LACRE_SERVE_REQUESTS` sets another
//! number of requests.

use crate::proxy::{PATIENCE, Proxy};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

const CLIENTS: usize = 64;
const PAGES: usize = 500;

/// What the origin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Cuts,
    Hangs,
    Stopped,
}

const MOODS: [Mood; 6] = [Mood::Well, Mood::Cuts, Mood::Well, Mood::Hangs, Mood::Well, Mood::Stopped];

#[test]
fn whatever_the_origin_does_nobody_gets_a_wrong_body_or_waits_for_ever() {
    let requests = std::env::var("LACRE_SERVE_REQUESTS").map_or(10_000, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (set_mood, mood) = watch::channel(Mood::Well);
    let address = runtime.block_on(origin(mood));
    let flags =
        ["--answer-timeout", "0.2", "--connect-timeout", "0.2", "--idle-timeout", "1", "--no-access-log"];
    let proxy = Proxy::to(&format!("http://{address}"), &flags);
    let seen = runtime.block_on(async {
        let moods = tokio::spawn(async move {
            for mood in MOODS.iter().cycle() {
                set_mood.send_replace(*mood);
                sleep(Duration::from_millis(250)).await;
            }
        });
        let seen = Arc::new(Seen::default());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(client(proxy.address(), number, requests / CLIENTS, Arc::clone(&seen)));
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        moods.abort();
        seen
    });
    let [right, failed, cut] =
        [&seen.right, &seen.failed, &seen.cut].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(right + failed + cut, requests / CLIENTS * CLIENTS);
    let again = seen.again.load(Ordering::SeqCst);
    assert!(again <= requests / 100, "{again} of {requests} requests had to be sent again");
    assert!(right > requests / 4 && failed > 0 && cut > 0, "right {right}, failed {failed}, cut {cut}");
    if let Some(kilobytes) = proxy.peak_memory() {
        assert!(kilobytes < 256 << 10, "{kilobytes} kB");
        println!("right {right}, failed {failed}, cut {cut}, at most {kilobytes} kB");
    }
    // It ends well only if no request is under way.
    proxy.terminate();
    assert_eq!(proxy.ended().0, Some(0));
}

#[derive(Default)]
struct Seen {
    right: AtomicUsize,
    failed: AtomicUsize,
    cut: AtomicUsize,
    again: AtomicUsize,
}

async fn client(proxy: SocketAddr, number: usize, requests: usize, seen: Arc<Seen>) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    for index in 0..requests {
        let page = (number * 31 + index * 7) % PAGES;
        let url: Uri = format!("http://{proxy}/{page}").parse().unwrap();
        let fetch = async {
            loop {
                match client.get(url.clone()).await {
                    Ok(response) => break (response.status(), response.into_body().collect().await),
                    // An idle connection may be closed while the next request is on its way (RFC
                    // 9112 §9.3.1).
                    Err(_) => seen.again.fetch_add(1, Ordering::SeqCst),
                };
            }
        };
        let (status, body) = timeout(PATIENCE, fetch).await.unwrap();
        let count = match body {
            Ok(body) if status == 200 => {
                assert_eq!(body.to_bytes(), content(page), "a wrong body for {page}");
                &seen.right
            }
            Ok(_) => {
                assert!(status == 502 || status == 504, "{status}");
                &seen.failed
            }
            Err(_) => &seen.cut,
        };
        count.fetch_add(1, Ordering::SeqCst);
    }
}

/// The only right body of a page: pages differ in length, too.
fn content(page: usize) -> String {
    format!("page {page};").repeat(10 + page * 3)
}

/// An origin with moods. Where it is stopped, nobody listens, and all connections are gone.
async fn origin(mood: watch::Receiver<Mood>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut listener, mut change) = (Some(listener), mood.clone());
        loop {
            let mut connections = JoinSet::new();
            let door = match listener.take() {
                Some(door) => door,
                None => TcpListener::bind(address).await.unwrap(),
            };
            loop {
                tokio::select! {
                    accepted = door.accept() => {
                        connections.spawn(serve(accepted.unwrap().0, mood.clone()));
                    }
                    _ = change.wait_for(|mood| *mood == Mood::Stopped) => break,
                }
            }
            drop((door, connections));
            if change.wait_for(|mood| *mood != Mood::Stopped).await.is_err() {
                return;
            }
        }
    });
    address
}

async fn serve(stream: TcpStream, mood: watch::Receiver<Mood>) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut page = None;
        loop {
            let mut line = String::new();
            match stream.read_line(&mut line).await {
                Ok(0) | Err(_) => return,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => {}
            }
            if let Some(path) = line.strip_prefix("GET /") {
                page = Some(path.split(' ').next().unwrap().parse().unwrap());
            }
        }
        let page: usize = page.unwrap();
        let body = content(page);
        // Some may be stored, some not, some are stale at once.
        let control = ["max-age=1", "no-store", "max-age=0", "max-age=60, stale-if-error=60"][page % 4];
        let head = format!(
            "HTTP/1.1 200 OK\r\ncache-control: {control}\r\netag: \"{page}\"\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let now = *mood.borrow();
        let sent = match now {
            Mood::Well => stream.write_all(format!("{head}{body}").as_bytes()).await,
            Mood::Hangs => return sleep(Duration::from_secs(3)).await,
            Mood::Cuts | Mood::Stopped => {
                let _ = stream.write_all(format!("{head}{}", &body[..body.len() / 2]).as_bytes()).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
