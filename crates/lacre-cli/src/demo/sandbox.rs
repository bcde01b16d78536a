//! The sandbox of the demo: an origin, a store and a keyring, in temporary directories.

use super::check::{ensure, failed, violated};
use super::origin::{self, Origin};
use super::secrets::AUTHORIZATION;
use super::store_file::StoreFile;
use crate::exit::{Failure, chain};
use http::{StatusCode, header};
use lacre::keys::{KeyFile, WritableKeySource};
use lacre::store::Sqlite;
use lacre::{Cache, CacheInfo, CacheStatus, ErrorKind, Keyring, OnTamper};
use lacre_reqwest::ClientBuilder;
use reqwest_middleware::{ClientWithMiddleware, Error};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub(super) struct Sandbox {
    origin: Origin,
    pub(super) keyring: KeyFile,
    directory: TempDir,
}

impl Sandbox {
    pub(super) async fn start() -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("lacre-demo-").tempdir()?;
        let keyring = KeyFile::at(directory.path().join("config/keyring"));
        keyring.create(&Keyring::generate().map_err(lacre::Error::from)?)?;
        Ok(Self { origin: Origin::start().await?, keyring, directory })
    }

    /// Opens the store and a client on it, as a program would.
    pub(super) fn open(&self, on_tamper: OnTamper) -> Result<Session<'_>, Failure> {
        let store = Sqlite::open(self.store())?;
        let cache = Cache::builder().store(store).keys(&self.keyring).on_tamper(on_tamper).build()?;
        // The environment may name a proxy, which must not see requests to loopback.
        let client = ClientBuilder::new(cache.clone()).no_proxy().build();
        let client = client.map_err(unanswered)?;
        Ok(Session { origin: &self.origin, cache, client })
    }

    /// The files of the store: the database, and its log and index while it is open.
    pub(super) fn images(&self) -> io::Result<Vec<StoreFile>> {
        let files = fs::read_dir(self.directory.path().join("cache"))?;
        files.map(|file| StoreFile::read(&file?.path())).collect()
    }

    /// The only file of the closed store.
    pub(super) fn image(&self) -> io::Result<StoreFile> {
        StoreFile::read(&self.store())
    }

    /// The mode of the keyring's file, in parentheses.
    #[cfg(unix)]
    pub(super) fn protection(&self) -> Result<&'static str, Failure> {
        use std::os::unix::fs::PermissionsExt;

        let mode = fs::metadata(self.keyring.path())?.permissions().mode();
        ensure(mode & 0o777 == 0o600, "only the user may read the keyring")?;
        Ok(" (0600)")
    }

    #[cfg(not(unix))]
    pub(super) fn protection(&self) -> Result<&'static str, Failure> {
        Ok("")
    }

    /// The number of requests to the origin so far.
    pub(super) fn requests(&self) -> usize {
        self.origin.requests()
    }

    /// Removes all files.
    pub(super) fn end(self) -> io::Result<()> {
        self.directory.close()
    }

    fn store(&self) -> PathBuf {
        self.directory.path().join("cache/cache.sqlite")
    }
}

/// An open store, with a client.
pub(super) struct Session<'a> {
    origin: &'a Origin,
    cache: Cache,
    client: ClientWithMiddleware,
}

impl Session<'_> {
    /// Sends GET, and checks that the body is the origin's.
    pub(super) async fn fetch(&self, path: &str) -> Result<Fetched, Failure> {
        let (start, requests) = (Instant::now(), self.origin.requests());
        let response = self.send(path).await.map_err(unanswered)?;
        let (code, info) = (response.status(), response.extensions().get::<CacheInfo>().copied());
        let body = response.bytes().await.map_err(unanswered)?;
        let took = start.elapsed();
        ensure(code == StatusCode::OK && body == origin::content(path), "the response is the origin's")?;
        let status = info.ok_or_else(|| violated("the response carries the cache's status"))?.status;
        Ok(Fetched { status, requests: self.origin.requests() - requests, took })
    }

    /// Sends GET, which must be refused without a request to the origin.
    pub(super) async fn refusal(&self, path: &str) -> Result<lacre::Error, Failure> {
        let requests = self.origin.requests();
        let refusal = match self.send(path).await {
            Err(Error::Middleware(error)) => error.downcast::<lacre::Error>().ok(),
            _ => None,
        };
        ensure(self.origin.requests() == requests, "the origin gets no request")?;
        refusal
            .filter(|error| error.kind() == ErrorKind::Tampered)
            .ok_or_else(|| violated("a record that was tampered with is refused"))
    }

    /// The lengths of the stored records.
    pub(super) async fn lengths(&self) -> Result<Vec<usize>, Failure> {
        let mut lengths = Vec::new();
        self.cache.list(&mut |row| lengths.push(row.sealed_bytes)).await?;
        Ok(lengths)
    }

    /// Removes the quarantined records, and returns their number.
    pub(super) async fn empty_quarantine(&self) -> Result<usize, Failure> {
        let mut keys = Vec::new();
        self.cache.quarantined(&mut |record| keys.push(record.key)).await?;
        for key in &keys {
            self.cache.remove(key).await?;
        }
        Ok(keys.len())
    }

    /// Closes the store, which leaves one file.
    pub(super) async fn close(self) -> Result<(), Failure> {
        Ok(self.cache.close().await?)
    }

    async fn send(&self, path: &str) -> Result<reqwest::Response, Error> {
        self.client.get(self.origin.url(path)).header(header::AUTHORIZATION, AUTHORIZATION).send().await
    }
}

/// The error of the client, without the URL, whose query is secret.
fn unanswered(error: impl Into<Error>) -> Failure {
    match error.into() {
        Error::Reqwest(error) => failed(chain(&error.without_url())),
        Error::Middleware(error) => failed(chain(error.as_ref())),
    }
}

/// A successful response.
pub(super) struct Fetched {
    pub(super) status: CacheStatus,
    /// The number of requests to the origin for it.
    requests: usize,
    pub(super) took: Duration,
}

impl Fetched {
    pub(super) fn must_hit(self) -> Result<Self, Failure> {
        ensure(self.status.is_hit() && self.requests == 0, "the response comes from the store")?;
        Ok(self)
    }

    pub(super) fn must_miss(self) -> Result<Self, Failure> {
        ensure(!self.status.is_hit() && self.requests == 1, "the response comes from the origin")?;
        Ok(self)
    }
}
