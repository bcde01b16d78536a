//! A cache over a store that tests reach into while the cache uses it, and an origin that says what
//! the test says.

use bytes::Bytes;
use http::{Request, Response};
use lacre::store::{Memory, OwnedRecord, Sqlite, Store, StoreExt};
use lacre::{
    Answer, Builder, Cache, CacheInfo, Error, Event, Key, Keyring, ManualClock, Observer, Outcome, Reply,
    RequestBody, Settlement, Slot, Timestamp, wait,
};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

pub(crate) const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// A body that takes three chunks.
pub(crate) const LARGE: usize = 700_000;

/// Remembers the names of what it was told.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Vec<&'static str>>);

impl Observer for Notes {
    fn on_event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(match event {
            Event::Hit { .. } => "hit",
            Event::Refused { .. } => "refused",
            Event::Quarantined { .. } => "quarantined",
            Event::MetadataCorrected { .. } => "corrected",
            Event::StoreFailed { .. } => "store failed",
            _ => "other",
        });
    }
}

pub(crate) struct World {
    pub(crate) cache: Cache,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ring: Keyring,
    pub(crate) clock: Arc<ManualClock>,
    notes: Arc<Notes>,
    directory: TempDir,
    open: Open,
}

/// Opens a store in a directory.
type Open = fn(&TempDir) -> Arc<dyn Store>;

impl World {
    pub(crate) fn on_sqlite() -> Self {
        Self::on(|directory| Arc::new(Sqlite::open(directory.path().join("cache.sqlite")).unwrap()))
    }

    /// One on each kind of store.
    pub(crate) fn on_every_store() -> Vec<Self> {
        let mut worlds = Self::on_every_file();
        worlds.push(Self::on(|_| Arc::new(Memory::new().unwrap())));
        worlds
    }

    /// One on each kind of store that processes share.
    pub(crate) fn on_every_file() -> Vec<Self> {
        vec![
            Self::on_sqlite(),
            #[cfg(unix)]
            Self::on(|directory| Arc::new(lacre::store::Fs::open(directory.path().join("cache")).unwrap())),
        ]
    }

    fn on(open: Open) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        let ring = Keyring::generate().unwrap();
        let (clock, notes) = (Arc::new(ManualClock::new(START)), Arc::new(Notes::default()));
        let cache = builder(&store, &ring, &clock, &notes).build().unwrap();
        Self { cache, store, ring, clock, notes, directory, open }
    }

    /// Another cache over the same store.
    pub(crate) fn another(&self) -> Builder {
        builder(&self.store, &self.ring, &self.clock, &self.notes)
    }

    /// A cache over the same files, as another process would have it.
    pub(crate) fn elsewhere(&self) -> Cache {
        let store = (self.open)(&self.directory);
        builder(&store, &self.ring, &self.clock, &self.notes).build().unwrap()
    }

    /// The same world with a cache that is set otherwise.
    pub(crate) fn with(mut self, set: impl FnOnce(Builder) -> Builder) -> Self {
        self.cache = set(self.another()).build().unwrap();
        self
    }

    /// Makes a fresh key the one that seals.
    pub(crate) fn rotate(&mut self) {
        self.ring.rotate().unwrap();
        self.cache = self.another().build().unwrap();
    }

    /// Lets go of the SQLite file.
    pub(crate) fn shut(&mut self) {
        self.store = Arc::new(Memory::new().unwrap());
        self.cache = self.another().build().unwrap();
    }

    /// Takes the SQLite file up again.
    pub(crate) fn open(&mut self) {
        self.store = Arc::new(Sqlite::open(self.file()).unwrap());
        self.cache = self.another().build().unwrap();
    }

    /// The SQLite file.
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join("cache.sqlite")
    }

    /// Changes the SQLite file as somebody would who can write it.
    pub(crate) fn sql(&self, sql: &str) {
        rusqlite::Connection::open(self.file()).unwrap().execute_batch(sql).unwrap();
    }

    /// Asks for `path`; the origin, where it is asked, answers with `body`, which is fresh for an
    /// hour.
    pub(crate) fn get(&self, path: &str, body: &[u8]) -> Got {
        fetch(&self.cache, path, "max-age=3600", body).unwrap()
    }

    /// The same, of which nothing is stored.
    pub(crate) fn peek(&self, path: &str) -> Result<Got, Error> {
        fetch(&self.cache, path, "no-store", b"from the origin")
    }

    /// Stores `body` in place of what is there.
    pub(crate) fn replace(&self, path: &str, body: &[u8]) {
        replace(&self.cache, path, body);
    }

    pub(crate) fn rows(&self) -> Vec<(Key, OwnedRecord)> {
        let mut rows = Vec::new();
        wait(self.store.each(&mut |row| rows.push((row.key, row.record.unwrap().to_owned())))).unwrap();
        rows
    }

    /// The only row of an entry there is.
    pub(crate) fn row(&self) -> (Key, OwnedRecord) {
        self.rows().pop().unwrap()
    }

    pub(crate) fn put(&self, key: &Key, record: &OwnedRecord) {
        wait(self.store.put(key, record.lend())).unwrap();
    }

    /// Flips a bit of what is stored under `key`.
    pub(crate) fn tamper(&self, key: &Key) {
        let mut record = wait(self.store.fetch(key)).unwrap().unwrap();
        let mut sealed = record.sealed.to_vec();
        *sealed.last_mut().unwrap() ^= 1;
        record.sealed = sealed.into();
        assert!(wait(self.store.touch(key, record.body, record.lend())).unwrap());
    }

    /// How often the observer was told so.
    pub(crate) fn told(&self, name: &str) -> usize {
        self.notes.0.lock().unwrap().iter().filter(|told| **told == name).count()
    }

    /// The keys of entries that open, and of rows that do not, all of each looked at.
    pub(crate) fn verify(&self) -> (Vec<Key>, Vec<Key>) {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        wait(self.cache.verify(&mut |row| match row.slot {
            Ok(Slot::Entry(_)) => good.push(row.key),
            Ok(_) => {}
            Err(_) => bad.push(row.key),
        }))
        .unwrap();
        (good, bad)
    }
}

/// A response, with its body read.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) response: Response<Bytes>,
    pub(crate) info: CacheInfo,
}

impl Got {
    async fn all_of(reply: Reply) -> Result<Self, Error> {
        let (parts, body) = reply.response.into_parts();
        Ok(Self { response: Response::from_parts(parts, body.bytes().await?), info: reply.info })
    }
}

fn builder(store: &Arc<dyn Store>, ring: &Keyring, clock: &Arc<ManualClock>, notes: &Arc<Notes>) -> Builder {
    let builder = Cache::builder().store(store.clone()).keyring(ring.clone());
    builder.clock(clock.clone()).observer(notes.clone())
}

pub(crate) fn is_hit(got: &Got) -> bool {
    got.info.status.is_hit()
}

pub(crate) fn request(path: &str) -> http::request::Parts {
    Request::get(format!("http://example.com{path}")).body(()).unwrap().into_parts().0
}

pub(crate) fn fetch(cache: &Cache, path: &str, control: &str, body: &[u8]) -> Result<Got, Error> {
    exchange(cache, request(path), control, body)
}

pub(crate) fn replace(cache: &Cache, path: &str, body: &[u8]) {
    let mut request = request(path);
    request.headers.insert("cache-control", "no-cache".parse().unwrap());
    exchange(cache, request, "max-age=3600", body).unwrap();
}

pub(crate) fn exchange(
    cache: &Cache,
    request: http::request::Parts,
    control: &str,
    body: &[u8],
) -> Result<Got, Error> {
    wait(async {
        let ticket = match cache.ask(request, RequestBody::Seen(b"")).await? {
            Answer::Hit(reply) | Answer::Refuse(reply) | Answer::Refresh(reply, _) => {
                return Got::all_of(reply).await;
            }
            Answer::Send(ticket) => ticket,
        };
        let response = Response::builder().header("cache-control", control).body(()).unwrap();
        let (parts, ()) = response.into_parts();
        let Settlement::Network { keep, info, .. } = cache.settle(ticket, Outcome::Response(&parts)).await?
        else {
            panic!("a whole response is the network's")
        };
        if let Some(mut recording) = keep {
            recording.write(body).await;
            recording.finish().await;
        }
        Ok(Got { response: Response::from_parts(parts, Bytes::copy_from_slice(body)), info })
    })
}
