//! `lacre serve` with thousands of idle connections, and killed under load.
//!
//! Measures how long a new connection waits and how much memory the idle ones take. No response is
//! ever wrong, and the store opens and verifies after each kill.

use crate::work::{Worker, cache};
use crate::{Failure, Length};
use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use lacre::wait;
use lacre_drivers::{Origin, ReceivedRequest, fresh};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The number of idle connections, and the limit of the proxy.
const IDLE: [(usize, &str); 3] = [(1024, "1024"), (5000, "1024"), (5000, "8000")];
const CLIENTS: u64 = 16;
const PAGES: u64 = 500;
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a connection did before it became idle.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    OneRequest,
}

pub(crate) fn run(length: Length) -> Result<(), Failure> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    let origin = Origin::start(page);
    for (idle, limit) in IDLE {
        for before in [Before::Nothing, Before::OneRequest] {
            with_idle_connections(&origin, idle, limit, before)?;
        }
    }
    kills(&origin, length)
}

/// Opens idle connections, then one that sends a request.
fn with_idle_connections(origin: &Origin, idle: usize, limit: &str, before: Before) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let proxy = Proxy::start(directory.path(), origin, &["--max-connections", limit])?;
    proxy.get("/0")?;
    let base = proxy.memory()?;
    let mut open = Vec::with_capacity(idle);
    for _ in 0..idle {
        let mut stream = TcpStream::connect(proxy.address)?;
        if let Before::OneRequest = before {
            stream.set_read_timeout(Some(TIMEOUT))?;
            stream.write_all(b"GET /0 HTTP/1.1\r\nhost: a\r\n\r\n")?;
            let _ = stream.read(&mut [0; 4096])?;
        }
        open.push(stream);
    }
    let memory = proxy.memory()?;
    let start = Instant::now();
    proxy.get("/0")?;
    println!(
        "serve: {idle} idle connections ({before:?}) at --max-connections {limit}: a new one is answered after {:.1} ms; {base} kB before, \
         {memory} kB beside them",
        start.elapsed().as_secs_f64() * 1000.0
    );
    Ok(())
}

/// Kills the proxy while clients send requests, restarts it on the same store, and verifies the
/// store.
fn kills(origin: &Origin, length: Length) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let (answered, wrong) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let kills = length.kills / 10;
    for kill in 0..kills.max(1) {
        let proxy = Proxy::start(directory.path(), origin, &[])?;
        let address = proxy.address;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (answered, wrong) = (Arc::clone(&answered), Arc::clone(&wrong));
                thread::spawn(move || send_requests(address, number, &answered, &wrong))
            })
            .collect();
        thread::sleep(Duration::from_millis(300 + u64::from(kill) * 7919 % 700));
        proxy.worker.kill()?;
        for client in clients {
            client.join().map_err(|_| "a client panicked")??;
        }
        let (builder, failures) = cache(directory.path())?;
        let cache = builder.build()?;
        let mut invalid = 0;
        wait(cache.verify(&mut |row| invalid += u64::from(row.slot.is_err())))?;
        if invalid > 0 || failures.count() > 0 {
            return Err(
                format!("kill {kill}: {invalid} rows do not verify, {} failures", failures.count()).into()
            );
        }
    }
    let (answered, wrong) = (answered.load(Ordering::Relaxed), wrong.load(Ordering::Relaxed));
    println!(
        "serve: killed {} times under load, {answered} responses, {wrong} wrong; every store opened and verified",
        kills.max(1)
    );
    if wrong > 0 || answered == 0 {
        Err("some responses were wrong, or there were none".into())
    } else {
        Ok(())
    }
}

/// Requests one page after another until the proxy is gone.
fn send_requests(
    proxy: SocketAddr,
    number: u64,
    answered: &AtomicU64,
    wrong: &AtomicU64,
) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        for index in 0.. {
            let page = (number * 31 + index * 7) % PAGES;
            let url: Uri = format!("http://{proxy}/{page}").parse()?;
            let Ok(response) = client.get(url).await else { break };
            let right = response.status() == 200;
            let Ok(body) = response.into_body().collect().await else { break };
            answered.fetch_add(1, Ordering::Relaxed);
            wrong.fetch_add(u64::from(!right || body.to_bytes() != content(page)), Ordering::Relaxed);
        }
        Ok(())
    })
}

fn page(request: &ReceivedRequest) -> http::Response<lacre_drivers::Body> {
    fresh(content(request.path.trim_start_matches('/').parse().unwrap_or_default()))
}

/// The body of a page. Pages differ in content and in length.
fn content(page: u64) -> Vec<u8> {
    format!("page {page};").repeat(10 + usize::try_from(page).unwrap_or_default() * 3).into_bytes()
}

/// `lacre serve` in a process of its own, for an origin, on the store in a directory.
struct Proxy {
    worker: Worker,
    address: SocketAddr,
}

impl Proxy {
    fn start(directory: &Path, origin: &Origin, flags: &[&str]) -> Result<Self, Failure> {
        // Creates the store and its key before the proxy starts.
        cache(directory)?.0.build()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (listen, upstream) = (address.to_string(), origin.url("/"));
        let place = |name: &str| Some(directory.join(name).to_str()?.to_owned());
        let key = format!(
            "file:{}",
            place("keys/keyring.toml").ok_or("the path of a temporary directory is not UTF-8")?
        );
        let store = format!(
            "sqlite:{}",
            place("store/cache.sqlite").ok_or("the path of a temporary directory is not UTF-8")?
        );
        let common = [
            "--key",
            &key,
            "--store",
            &store,
            "--listen",
            &listen,
            "--upstream",
            upstream.trim_end_matches('/'),
        ];
        let worker = Worker::start("serve", &[&common[..], &["--no-access-log"], flags].concat())?;
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if start.elapsed() > TIMEOUT {
                return Err("the proxy does not accept connections".into());
            }
            thread::sleep(Duration::from_millis(10));
        }
        Ok(Self { worker, address })
    }

    fn get(&self, path: &str) -> Result<(), Failure> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")?;
        let mut response = String::new();
        stream.read_to_string(&mut response)?;
        if response.starts_with("HTTP/1.1 200 ") {
            Ok(())
        } else {
            Err(format!("unexpected response: {response:.80}").into())
        }
    }

    /// The resident memory of the proxy, in kB.
    fn memory(&self) -> Result<u64, Failure> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.worker.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        Ok(line.ok_or("the status of the process has no VmRSS")?.trim().trim_end_matches(" kB").parse()?)
    }
}

/// Runs `lacre serve` until it is killed.
pub(crate) fn work(arguments: &[&str]) -> Result<(), Failure> {
    let command = ["lacre", "serve"].iter().chain(arguments).map(Into::into);
    match lacre_cli::run(command) {
        lacre_cli::Exit::Ok => Ok(()),
        exit => Err(format!("it ended with {}", exit.code()).into()),
    }
}
