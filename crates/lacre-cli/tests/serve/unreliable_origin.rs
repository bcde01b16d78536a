//! Ten thousand requests on 64 connections while the origin stops, starts, hangs and truncates
//! bodies: no body is wrong, no client hangs, and memory is bounded. `LACRE_SERVE_REQUESTS` sets
//! another number of requests.

use crate::proxy::{Proxy, TIMEOUT};
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

/// The behaviour of the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    Healthy,
    Truncates,
    Hangs,
    Stopped,
}

const BEHAVIOURS: [Behaviour; 6] = [
    Behaviour::Healthy,
    Behaviour::Truncates,
    Behaviour::Healthy,
    Behaviour::Hangs,
    Behaviour::Healthy,
    Behaviour::Stopped,
];

#[test]
fn no_client_gets_a_wrong_body_or_waits_forever_while_the_origin_fails() {
    let requests = std::env::var("LACRE_SERVE_REQUESTS").map_or(10_000, |count| count.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (set_behaviour, behaviour) = watch::channel(Behaviour::Healthy);
    let address = runtime.block_on(origin(behaviour));
    let flags =
        ["--answer-timeout", "0.2", "--connect-timeout", "0.2", "--idle-timeout", "1", "--no-access-log"];
    let proxy = Proxy::to(&format!("http://{address}"), &flags);
    let seen = runtime.block_on(async {
        let switching = tokio::spawn(async move {
            for behaviour in BEHAVIOURS.iter().cycle() {
                set_behaviour.send_replace(*behaviour);
                sleep(Duration::from_millis(250)).await;
            }
        });
        let seen = Arc::new(Counts::default());
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            clients.spawn(client(proxy.address(), number, requests / CLIENTS, Arc::clone(&seen)));
        }
        while let Some(ended) = clients.join_next().await {
            ended.unwrap();
        }
        switching.abort();
        seen
    });
    let [right, failed, cut] =
        [&seen.right, &seen.failed, &seen.cut].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(right + failed + cut, requests / CLIENTS * CLIENTS);
    let again = seen.again.load(Ordering::SeqCst);
    assert!(again <= requests / 100, "{again} of {requests} requests were repeated");
    assert!(right > requests / 4 && failed > 0 && cut > 0, "right {right}, failed {failed}, cut {cut}");
    if let Some(kilobytes) = proxy.peak_memory() {
        assert!(kilobytes < 256 << 10, "{kilobytes} kB");
        println!("right {right}, failed {failed}, cut {cut}, at most {kilobytes} kB");
    }
    // The exit code is 0 only if no request is left in progress.
    proxy.terminate();
    assert_eq!(proxy.wait().0, Some(0));
}

#[derive(Default)]
struct Counts {
    right: AtomicUsize,
    failed: AtomicUsize,
    cut: AtomicUsize,
    again: AtomicUsize,
}

async fn client(proxy: SocketAddr, number: usize, requests: usize, seen: Arc<Counts>) {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    for index in 0..requests {
        let page = (number * 31 + index * 7) % PAGES;
        let url: Uri = format!("http://{proxy}/{page}").parse().unwrap();
        let fetch = async {
            loop {
                match client.get(url.clone()).await {
                    Ok(response) => break (response.status(), response.into_body().collect().await),
                    // RFC 9112 §9.3.1: an idle connection may close while a request is on its way.
                    Err(_) => seen.again.fetch_add(1, Ordering::SeqCst),
                };
            }
        };
        let (status, body) = timeout(TIMEOUT, fetch).await.unwrap();
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

/// The correct body of a page. Pages differ in length, too.
fn content(page: usize) -> String {
    format!("page {page};").repeat(10 + page * 3)
}

/// An origin with switchable behaviour. While it is stopped, it does not listen and has no
/// connections.
async fn origin(behaviour: watch::Receiver<Behaviour>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut listener, mut change) = (Some(listener), behaviour.clone());
        loop {
            let mut connections = JoinSet::new();
            let listening = match listener.take() {
                Some(listening) => listening,
                None => TcpListener::bind(address).await.unwrap(),
            };
            loop {
                tokio::select! {
                    accepted = listening.accept() => {
                        connections.spawn(serve(accepted.unwrap().0, behaviour.clone()));
                    }
                    _ = change.wait_for(|now| *now == Behaviour::Stopped) => break,
                }
            }
            drop((listening, connections));
            if change.wait_for(|now| *now != Behaviour::Stopped).await.is_err() {
                return;
            }
        }
    });
    address
}

async fn serve(stream: TcpStream, behaviour: watch::Receiver<Behaviour>) {
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
        // Some pages may be stored, some not, and some are stale at once.
        let control = ["max-age=1", "no-store", "max-age=0", "max-age=60, stale-if-error=60"][page % 4];
        let head = format!(
            "HTTP/1.1 200 OK\r\ncache-control: {control}\r\netag: \"{page}\"\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let now = *behaviour.borrow();
        let sent = match now {
            Behaviour::Healthy => stream.write_all(format!("{head}{body}").as_bytes()).await,
            Behaviour::Hangs => return sleep(Duration::from_secs(3)).await,
            Behaviour::Truncates | Behaviour::Stopped => {
                let _ = stream.write_all(format!("{head}{}", &body[..body.len() / 2]).as_bytes()).await;
                return;
            }
        };
        if sent.is_err() {
            return;
        }
    }
}
