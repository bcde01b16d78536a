//! The time of a hit through the client, from sealed SQLite and from a memory tier over it.
//!
//! Compared to the least that any implementation needs: for the tier, a middleware that returns a
//! ready response; for the store, reading the same record from the same file, opening its seal and
//! decoding its head. All run in turns, so that noise of the machine affects all of them.
//!
//! `cargo bench -p lacre-reqwest --bench hit`

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use lacre::codec::{self, BodyHead};
use lacre::store::{Sqlite, Store};
use lacre::{Answer, Cache, CacheInfo, Entry, Key, Keyring, RequestBody, Slot, Suite};
use lacre_reqwest::ClientBuilder;
use lacre_seal::{Context, Position, Purpose, Sealer, StoreId, UnixMillis};
use reqwest::Url;
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next};
use rusqlite::Connection;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SIZES: [(&str, usize); 4] =
    [("1 KB", 1 << 10), ("10 KB", 10 << 10), ("100 KB", 100 << 10), ("1 MB", 1 << 20)];

/// The number of turns of each side, and the length of a turn.
const TURNS: usize = 301;
const TURN: Duration = Duration::from_millis(2);

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let names = ["client", "ask", "bare", "tier", "tier's ask", "ready"];
    println!("{:>7} {}  µs", "body", names.map(|name| format!("{name:>10}")).join(" "));
    for (name, size) in SIZES {
        let directory = tempfile::tempdir()?;
        let bench = Bench::new(&directory.path().join("store/cache.sqlite"), size, &runtime)?;
        let figures = bench.medians(&runtime)?;
        println!("{name:>7} {}", figures.map(|time| format!("{time:>10.2}")).join(" "));
    }
    Ok(())
}

/// One stored response, and the clients and caches that return it.
struct Bench {
    url: Url,
    body: Bytes,
    client: ClientWithMiddleware,
    cache: Cache,
    bare: Bare,
    tiered_client: ClientWithMiddleware,
    tiered: Cache,
    ready: ClientWithMiddleware,
}

impl Bench {
    fn new(path: &Path, size: usize, runtime: &Runtime) -> Result<Self> {
        let store = Sqlite::open(path)?;
        let (store_id, keyring) = (store.id(), Keyring::generate()?);
        let cache = Cache::builder().store(store).keyring(keyring.clone()).build()?;
        let body: Bytes = (0..size).map(|index| (index ^ (index >> 8)) as u8).collect();
        let url: Url = "http://example.com/items?page=1".parse()?;
        let client = ClientBuilder::new(cache.clone()).build()?;
        let client = reqwest_middleware::ClientBuilder::from_client(client).with(Ready(body.clone())).build();
        let stored = runtime.block_on(async {
            let response = client.get(url.clone()).send().await?;
            let info = response.extensions().get::<CacheInfo>().copied();
            response.bytes().await?;
            Ok::<_, Box<dyn Error>>(info)
        })?;
        let key = stored.and_then(|info| info.key).ok_or("the response was not stored")?;
        let bare = Bare::new(path, key, store_id, keyring.clone())?;
        // A second cache on the same file, as in another process.
        let tiered =
            Cache::builder().store(Sqlite::open(path)?).keyring(keyring).memory_tier(64 << 20).build()?;
        let tiered_client = ClientBuilder::new(tiered.clone()).build()?;
        let ready = reqwest::Client::new();
        let ready = reqwest_middleware::ClientBuilder::new(ready).with(Ready(body.clone())).build();
        Ok(Self { url, body, client, cache, bare, tiered_client, tiered, ready })
    }

    /// The median microseconds of each column of the table.
    fn medians(&self, runtime: &Runtime) -> Result<[f64; 6]> {
        let mut client = || runtime.block_on(fetch(&self.client, &self.url));
        let mut ask = || runtime.block_on(ask_for(&self.cache, &self.url));
        let mut bare = || self.bare.read();
        let mut tier = || runtime.block_on(fetch(&self.tiered_client, &self.url));
        let mut tiers_ask = || runtime.block_on(ask_for(&self.tiered, &self.url));
        let mut ready = || runtime.block_on(fetch(&self.ready, &self.url));
        let mut sides: [&mut dyn FnMut() -> Result<Bytes>; 6] =
            [&mut client, &mut ask, &mut bare, &mut tier, &mut tiers_ask, &mut ready];
        if sides
            .iter_mut()
            .map(|side| side())
            .collect::<Result<Vec<_>>>()?
            .iter()
            .any(|body| *body != self.body)
        {
            return Err("a body differs".into());
        }
        let mut samples = [const { Vec::new() }; 6];
        for _ in 0..TURNS {
            for (side, samples) in sides.iter_mut().zip(&mut samples) {
                samples.push(turn(side)?);
            }
        }
        Ok(samples.map(|mut samples| {
            samples.sort_by(f64::total_cmp);
            samples[TURNS / 2]
        }))
    }
}

async fn fetch(client: &ClientWithMiddleware, url: &Url) -> Result<Bytes> {
    Ok(client.get(url.clone()).send().await?.bytes().await?)
}

async fn ask_for(cache: &Cache, url: &Url) -> Result<Bytes> {
    let (head, ()) = http::Request::get(url.as_str()).header("accept", "*/*").body(())?.into_parts();
    match cache.ask(head, RequestBody::Seen(&[])).await? {
        Answer::Hit(reply) => Ok(reply.response.into_body().bytes().await?),
        _ => Err("not a hit".into()),
    }
}

/// Microseconds per call, over one turn.
fn turn(side: &mut dyn FnMut() -> Result<Bytes>) -> Result<f64> {
    let (start, mut calls) = (Instant::now(), 0_u32);
    while start.elapsed() < TURN {
        for _ in 0..8 {
            side()?;
        }
        calls += 8;
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(calls))
}

/// The floor: one prepared statement, one seal and one head, and a statement and a seal for each
/// chunk of a long body.
struct Bare {
    file: Connection,
    sealer: Sealer,
    store: StoreId,
    key: Key,
}

impl Bare {
    fn new(path: &Path, key: Key, store: StoreId, keyring: Keyring) -> Result<Self> {
        let file = Connection::open(path)?;
        file.pragma_update(None, "mmap_size", 256 << 20)?;
        Ok(Self { file, sealer: Sealer::new(Arc::new(keyring), Suite::default()), store, key })
    }

    fn read(&self) -> Result<Bytes> {
        let now = UnixMillis::from_millis(u64::try_from(
            SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
        )?);
        let mut slot = self.file.prepare_cached("SELECT sealed FROM slot WHERE id = ?1")?;
        let opened = slot.query_row([first_eight(self.key.as_bytes())], |row| {
            let at = self.place(Purpose::Slot);
            Ok(self.sealer.open(&at, row.get_ref(0)?.as_blob()?, now))
        })??;
        let Slot::Entry(entry) = codec::decode(&opened.head)? else { return Err("not a response".into()) };
        match black_box(&*entry) {
            Entry { body: BodyHead { chunks: 0, .. }, .. } => Ok(opened.body.into_bytes()),
            Entry { body, .. } => self.chunks(body, now),
        }
    }

    fn chunks(&self, head: &BodyHead, now: UnixMillis) -> Result<Bytes> {
        let mut body = BytesMut::with_capacity(usize::try_from(head.length)?);
        let mut chunk = self.file.prepare_cached("SELECT sealed FROM chunk WHERE id = ?1")?;
        for index in 0..head.chunks {
            let position = if index + 1 == head.chunks { Position::Last } else { Position::Inner };
            let at = self.place(Purpose::Chunk { body: head.id, index, position });
            let id = first_eight(head.id.as_bytes()).wrapping_add(i64::from(index));
            let opened =
                chunk.query_row([id], |row| Ok(self.sealer.open(&at, row.get_ref(0)?.as_blob()?, now)))??;
            body.extend_from_slice(opened.body.as_bytes());
        }
        Ok(body.freeze())
    }

    fn place(&self, purpose: Purpose) -> Context<'_> {
        Context { purpose, store: &self.store, namespace: "", key: self.key.as_bytes() }
    }
}

/// The row id of a key or of a body (docs/format.md §5 and §8).
fn first_eight(bytes: &[u8]) -> i64 {
    bytes.iter().take(8).fold(0, |id, byte| id << 8 | i64::from(*byte))
}

/// Replaces the network below the cache: returns the same response.
struct Ready(Bytes);

#[async_trait]
impl Middleware for Ready {
    async fn handle(
        &self,
        _: reqwest::Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let response = http::Response::builder()
            .header("cache-control", "max-age=86400")
            .header("content-type", "application/json; charset=utf-8")
            .header("content-length", self.0.len())
            .header("etag", "\"6b86b273ff34fce1\"")
            .header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
            .header("server", "example/1.0")
            .header("strict-transport-security", "max-age=63072000")
            .header("x-content-type-options", "nosniff")
            .header("x-request-id", "0f8fad5b-d9cb-469f-a165-70867728950e")
            .body(self.0.clone())
            .map_err(reqwest_middleware::Error::middleware)?;
        Ok(response.into())
    }
}
