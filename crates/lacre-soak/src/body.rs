//! A long body, stored and served by each client.
//!
//! Measures peak memory over the base, and speed compared to no cache: with an origin of unlimited
//! speed and over a gigabit line. A process killed during the transfer leaves nothing to serve.

use crate::work::{Worker, cache};
use crate::{Failure, Length};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use lacre::{Driver, Selection, wait};
use lacre_drivers::{Origin, chunked, fresh};
use std::io::Read;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, thread};
use tower_layer::Layer;
use tower_service::Service;

const CLIENTS: [&str; 3] = ["reqwest", "tower", "ureq"];
const PIECE: usize = 64 << 10;
/// A gigabit line, in bytes per second.
const LINE: f64 = 125e6;
/// The memory that a client may use beyond its base, in KiB.
const MAX_MEMORY: u64 = 16 << 10;

pub(crate) fn run(length: Length) -> Result<(), Failure> {
    let piece = Bytes::from_iter((0..PIECE).map(|at| (at % 251) as u8));
    let count = length.body / PIECE as u64;
    let origin = Origin::start(move |request| {
        let (piece, count) = (piece.clone(), if request.path == "/short" { 1 } else { count });
        let pause = (request.path == "/line").then_some(Duration::from_secs_f64(PIECE as f64 / LINE));
        let start = Instant::now();
        let sent = (0..count).map(move |number| {
            // Only the origin sleeps; it has no other request to serve.
            let due = pause.map_or(Duration::ZERO, |pause| {
                pause.saturating_mul(u32::try_from(number).unwrap_or(u32::MAX))
            });
            thread::sleep(due.saturating_sub(start.elapsed()));
            Ok(piece.clone())
        });
        fresh("").map(|_| chunked(sent))
    });
    for client in CLIENTS {
        let directory = tempfile::tempdir()?;
        let path = directory.path().to_str().ok_or("the path of a temporary directory is not UTF-8")?;
        let measured = |with: &str, body: &str| -> Result<[u64; 2], Failure> {
            let mut worker =
                Worker::start("body", &[client, with, path, &origin.url("/short"), &origin.url(body)])?;
            let [bytes, milliseconds, memory] = worker.figures()?;
            worker.finish()?;
            if bytes != count * PIECE as u64 {
                return Err(format!("{client}: {bytes} bytes came").into());
            }
            Ok([milliseconds.max(1), memory])
        };
        let [plain, plain_memory] = measured("nothing", "/long")?;
        let before = origin.request_count();
        let [stored, stored_memory] = measured("cache", "/long")?;
        let [served, served_memory] = measured("cache", "/long")?;
        if origin.request_count() != before + 2 {
            return Err(format!("{client}: the long body was not served from the store").into());
        }
        let [line, _] = measured("nothing", "/line")?;
        let [over_line, _] = measured("cache", "/line")?;
        killed(client, &origin)?;
        println!(
            "body: {client}, {} MB: no cache {plain} ms, {plain_memory} KiB; stored {stored} ms ({} %), {stored_memory} KiB; \
             served {served} ms ({} %), {served_memory} KiB; over a gigabit line {line} ms, stored {over_line} ms ({} %); killed in the \
             middle, nothing to serve",
            length.body >> 20,
            plain * 100 / stored,
            plain * 100 / served,
            line * 100 / over_line,
        );
        if length.min_speed.is_some_and(|least| line * 100 / over_line < least) {
            return Err(format!("{client} is slower than the line allows").into());
        }
        if stored_memory.max(served_memory) > MAX_MEMORY {
            return Err(format!("{client} takes more than {MAX_MEMORY} KiB").into());
        }
    }
    Ok(())
}

/// Kills a process that stores a long body once part of it is in the store.
fn killed(client: &str, origin: &Origin) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_str().ok_or("the path of a temporary directory is not UTF-8")?;
    let worker =
        Worker::start("body", &[client, "cache", path, &origin.url("/short"), &origin.url("/long")])?;
    let start = Instant::now();
    while size(&directory.path().join("store")) < 16 << 20 {
        if start.elapsed() > Duration::from_secs(60) {
            return Err(format!("{client} stores nothing").into());
        }
        thread::sleep(Duration::from_millis(1));
    }
    worker.kill()?;
    let (builder, _) = cache(directory.path())?;
    let cache = builder.build()?;
    let long = Selection::all().url(origin.url("/long").parse()?);
    match wait(cache.invalidate(&long))? {
        0 => Ok(()),
        _ => Err(format!("{client} stored a part for the whole").into()),
    }
}

fn size(directory: &Path) -> u64 {
    let files = fs::read_dir(directory).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|data| data.len()).sum()
}

/// Reads a short body to warm up, then the long one. Prints its bytes, and the milliseconds and KiB
/// that it took.
pub(crate) fn work(arguments: &[&str]) -> Result<(), Failure> {
    let [client, with, directory, short, url] = arguments else {
        return Err("a worker got the wrong arguments".into());
    };
    let driver = match *with {
        "cache" => Some(Driver::new(cache(Path::new(directory))?.0.build()?)),
        _ => None,
    };
    let mut read: Reading = match *client {
        "reqwest" => reqwest(driver)?,
        "tower" => tower(driver)?,
        _ => ureq(driver),
    };
    read(short)?;
    let base = memory()?;
    let start = Instant::now();
    let bytes = read(url)?;
    println!("{bytes} {} {}", start.elapsed().as_millis(), memory()?.saturating_sub(base));
    Ok(())
}

type Reading = Box<dyn FnMut(&str) -> Result<u64, Failure>>;

async fn drained<B>(mut body: B) -> Result<u64, Failure>
where
    B: BodyExt<Data = Bytes, Error: Into<Failure>> + Unpin,
{
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        bytes += frame.map_err(Into::into)?.data_ref().map_or(0, Bytes::len) as u64;
    }
    Ok(bytes)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn reqwest(driver: Option<Driver>) -> Result<Reading, Failure> {
    let runtime = runtime()?;
    let plain = reqwest::Client::new();
    let cached = driver.map(|driver| lacre_reqwest::ClientBuilder::new(driver).build()).transpose()?;
    Ok(Box::new(move |url| {
        runtime.block_on(async {
            let response = match &cached {
                Some(cached) => cached.get(url).send().await?,
                None => plain.get(url).send().await?,
            };
            drained(http::Response::<reqwest::Body>::from(response).into_body()).await
        })
    }))
}

fn tower(driver: Option<Driver>) -> Result<Reading, Failure> {
    use hyper_util::client::legacy::Client;
    use hyper_util::rt::TokioExecutor;

    let runtime = runtime()?;
    let mut plain = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let mut cached = driver.map(|driver| {
        let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
        lacre_tower::CacheLayer::new(driver).layer(client)
    });
    Ok(Box::new(move |url| {
        runtime.block_on(async {
            let request = http::Request::get(url).body(Empty::new())?;
            match &mut cached {
                Some(cached) => drained(Box::pin(cached.call(request).await?.into_body())).await,
                None => drained(plain.call(request).await?.into_body()).await,
            }
        })
    }))
}

fn ureq(driver: Option<Driver>) -> Reading {
    let agent = match driver {
        Some(driver) => lacre_ureq::AgentBuilder::new(driver).build(),
        None => ureq::Agent::new_with_defaults(),
    };
    Box::new(move |url| {
        let mut body = agent.get(url).call()?.into_body().into_reader();
        let (mut piece, mut bytes) = (vec![0; PIECE], 0);
        loop {
            match body.read(&mut piece)? {
                0 => return Ok(bytes),
                read => bytes += read as u64,
            }
        }
    })
}

/// The peak memory of this process so far, in KiB.
fn memory() -> Result<u64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("/proc/self/status has no VmHWM")?;
    Ok(peak.trim().trim_end_matches("kB").trim().parse()?)
}
