//! The clients that are compared.

use crate::Result;
use async_trait::async_trait;
use bytes::Bytes;
use http_cache_reqwest::{
    CACacheManager, Cache as HttpCacheMiddleware, CacheManager, CacheMode, HttpCache, HttpCacheOptions,
    MokaCache, MokaManager, RedbManager,
};
use lacre::store::Sqlite;
use lacre::{Cache, Keyring};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tempfile::TempDir;

/// A client, by its cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No cache: a middleware that returns a ready response.
    Ready,
    /// lacre with its defaults: encrypted, in a SQLite file.
    Sealed,
    /// lacre with a memory tier over the SQLite file.
    Tier,
    /// http-cache in memory. This and the next two store plaintext.
    Moka,
    /// http-cache in a redb file, its default.
    Redb,
    /// http-cache in a directory.
    Cacache,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Ready, Self::Sealed, Self::Tier, Self::Moka, Self::Redb, Self::Cacache];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ready => "no cache",
            Self::Sealed => "lacre, SQLite",
            Self::Tier => "lacre, memory tier",
            Self::Moka => "http-cache, moka",
            Self::Redb => "http-cache, redb",
            Self::Cacache => "http-cache, cacache",
        }
    }
}

/// A client that stores responses in a directory of its own.
pub struct Side {
    pub kind: Kind,
    client: ClientWithMiddleware,
    origin: Origin,
    _directory: TempDir,
}

impl Side {
    /// A client over an origin that answers every request with `body`.
    pub fn new(kind: Kind, body: Bytes) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let origin = Origin { body, requests: Arc::default() };
        let client = cached(kind, directory.path())?.with(origin.clone()).build();
        Ok(Self { kind, client, origin, _directory: directory })
    }

    pub async fn fetch(&self, url: &str) -> Result<Bytes> {
        Ok(self.client.get(url).send().await?.bytes().await?)
    }

    /// The number of requests that reached the origin.
    pub fn request_count(&self) -> u64 {
        self.origin.requests.load(Ordering::Relaxed)
    }
}

/// The builder of a client with a cache. The origin is still to be added.
fn cached(kind: Kind, directory: &Path) -> Result<ClientBuilder> {
    let path = directory.join("cache");
    Ok(match kind {
        Kind::Ready => ClientBuilder::new(reqwest::Client::new()),
        Kind::Sealed => lacre(&path, 0)?,
        Kind::Tier => lacre(&path, 256 << 20)?,
        Kind::Moka => http_cache(MokaManager::new(MokaCache::new(100_000))),
        Kind::Redb => http_cache(RedbManager::new(&path)?),
        Kind::Cacache => http_cache(CACacheManager::new(path, false)),
    })
}

fn lacre(path: &Path, memory: usize) -> Result<ClientBuilder> {
    let cache = Cache::builder().store(Sqlite::open(path)?).keyring(Keyring::generate()?).memory_tier(memory);
    Ok(ClientBuilder::from_client(lacre_reqwest::ClientBuilder::new(cache.build()?).build()?))
}

fn http_cache(manager: impl CacheManager) -> ClientBuilder {
    let cache = HttpCache { mode: CacheMode::Default, manager, options: HttpCacheOptions::default() };
    ClientBuilder::new(reqwest::Client::new()).with(HttpCacheMiddleware(cache))
}

/// Replaces the network below the cache: returns the same response at once.
#[derive(Clone)]
struct Origin {
    body: Bytes,
    requests: Arc<AtomicU64>,
}

#[async_trait]
impl Middleware for Origin {
    async fn handle(
        &self,
        _: reqwest::Request,
        _: &mut http::Extensions,
        _: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let response = http::Response::builder()
            .header("cache-control", "max-age=86400")
            .header("content-type", "application/json; charset=utf-8")
            .header("content-length", self.body.len())
            .header("etag", "\"6b86b273ff34fce1\"")
            .header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
            .header("server", "example/1.0")
            .header("strict-transport-security", "max-age=63072000")
            .header("x-content-type-options", "nosniff")
            .header("x-request-id", "0f8fad5b-d9cb-469f-a165-70867728950e")
            .body(self.body.clone())
            .map_err(reqwest_middleware::Error::middleware)?;
        Ok(response.into())
    }
}
