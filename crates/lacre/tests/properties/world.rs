//! A cache over each store there is, an origin that answers as it is told, and the hand of whoever
//! can write the store.

pub(crate) use crate::medium::{KINDS, Kind};

use crate::medium::{FILE, Medium};
use bytes::Bytes;
use http::{Request, Response};
use lacre::store::{OwnedRecord, StoreExt};
use lacre::{
    Answer, Builder, Cache, Error, Event, Key, Keyring, ManualClock, Observer, Outcome, Reply, RequestBody,
    Settlement, Suite, Timestamp, wait,
};
use lacre_seal::{Context, Lifetime, Opened, Purpose, Sealer, UnixMillis};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

pub(crate) const START: Timestamp = Timestamp::from_seconds(1_700_000_000);
pub(crate) const FRESH: &[(&str, &str)] = &[("cache-control", "max-age=60")];
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub(crate) fn keyring() -> Keyring {
    Keyring::parse(KEY).unwrap()
}

const NOW: UnixMillis = UnixMillis::from_millis(START.as_millis().unsigned_abs());

/// Seals as the cache does.
pub(crate) fn sealer(suite: Suite) -> Sealer {
    Sealer::new(Arc::new(keyring()), suite)
}

impl Medium {
    pub(crate) fn file(&self) -> PathBuf {
        self.directory.path().join(FILE)
    }
}

/// What happened, by name.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<&'static str>>);

impl Observer for Notes {
    fn on_event(&self, event: Event<'_>) {
        if let Event::Refused { .. } = event {
            self.0.lock().unwrap().push("refused");
        }
    }
}

/// A cache and what is around it.
pub(crate) struct World {
    pub(crate) medium: Medium,
    pub(crate) cache: Cache,
    pub(crate) clock: Arc<ManualClock>,
    notes: Arc<Notes>,
}

impl World {
    pub(crate) fn new(kind: Kind, adjust: impl FnOnce(Builder) -> Builder) -> Self {
        Self::on(Medium::new(kind), adjust)
    }

    /// A cache over what is there already: the same program, started again.
    pub(crate) fn on(medium: Medium, adjust: impl FnOnce(Builder) -> Builder) -> Self {
        let (clock, notes) = (Arc::new(ManualClock::new(START)), Arc::new(Notes::default()));
        let builder = Cache::builder()
            .store(medium.store.clone())
            .keyring(keyring())
            .clock(clock.clone())
            .observer(notes.clone());
        Self { cache: adjust(builder).build().unwrap(), medium, clock, notes }
    }

    /// The same store, seen by a cache that was just started: it remembers nothing.
    pub(crate) fn restarted(self, adjust: impl FnOnce(Builder) -> Builder) -> Self {
        Self::on(self.medium, adjust)
    }

    pub(crate) fn try_fetch(
        &self,
        request: Request<()>,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Fetched, Error> {
        wait(async {
            let mut ticket = match self.cache.ask(request.into_parts().0, RequestBody::Seen(b"")).await? {
                Answer::Hit(reply) | Answer::Refuse(reply) | Answer::Refresh(reply, _) => {
                    return Fetched::of(reply).await;
                }
                Answer::Send(ticket) => ticket,
            };
            let response =
                headers.iter().fold(Response::builder(), |b, (name, value)| b.header(*name, *value));
            let (parts, ()) = response.body(()).unwrap().into_parts();
            loop {
                ticket = match self.cache.settle(ticket, Outcome::Response(&parts)).await? {
                    Settlement::Network { keep, .. } => {
                        if let Some(mut recording) = keep {
                            recording.write(body).await;
                            recording.finish().await;
                        }
                        return Ok(Fetched { hit: false, body: Bytes::copy_from_slice(body) });
                    }
                    Settlement::Stored(reply) => return Fetched::of(reply).await,
                    Settlement::Resend(ticket) => ticket,
                    Settlement::Failed(_) => panic!("the origin answered"),
                };
            }
        })
    }

    /// One request, all the way, to an origin that answers with `body`, fresh for a minute.
    pub(crate) fn get(&self, path: &str, body: &[u8]) -> Fetched {
        self.try_fetch(get(path), FRESH, body).unwrap()
    }

    /// Every row but evidence of what was refused, and the list of namespaces.
    pub(crate) fn rows(&self) -> Vec<(Key, OwnedRecord)> {
        let mut listed = Vec::new();
        wait(self.cache.list(&mut |row| listed.push(row.key))).unwrap();
        let mut rows = Vec::new();
        let mut each = |row: lacre::store::Row<'_>| rows.push((row.key, row.record.unwrap().to_owned()));
        wait(self.medium.store.each(&mut each)).unwrap();
        rows.retain(|(key, _)| listed.contains(key));
        rows
    }

    /// The only one.
    pub(crate) fn row(&self) -> (Key, OwnedRecord) {
        let mut rows = self.rows();
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    /// The only row, or why the store does not hand it out.
    pub(crate) fn row_or_error(&self) -> Result<OwnedRecord, Error> {
        let mut found = None;
        let mut each = |row: lacre::store::Row<'_>| found = Some(row.record.map(|record| record.to_owned()));
        wait(self.medium.store.each(&mut each)).unwrap();
        found.unwrap()
    }

    /// What a record holds, for who has the key.
    pub(crate) fn open(&self, key: &Key, record: &OwnedRecord) -> Opened {
        let at = Context {
            purpose: Purpose::Slot,
            store: &self.medium.store.id(),
            namespace: "",
            key: key.as_bytes(),
        };
        let any = Suite::ALL.into_iter().fold(sealer(Suite::default()), Sealer::also_accept);
        any.open(&at, &record.sealed, NOW).unwrap()
    }

    /// What `sealer` would make for `key`.
    pub(crate) fn seal_as(
        &self,
        sealer: &Sealer,
        key: &Key,
        purpose: Purpose,
        head: &[u8],
        body: &[u8],
    ) -> Vec<u8> {
        let at = Context { purpose, store: &self.medium.store.id(), namespace: "", key: key.as_bytes() };
        sealer.seal(&at, Lifetime::unbounded(NOW), head, body).unwrap()
    }

    /// The attacker writes.
    pub(crate) fn plant(&self, key: &Key, record: &OwnedRecord, sealed: &[u8]) {
        let record = OwnedRecord { sealed: Bytes::copy_from_slice(sealed), ..record.clone() };
        wait(self.medium.store.put(key, record.lend())).unwrap();
    }

    /// Whether an alarm was raised since this was last asked.
    pub(crate) fn alarmed(&self) -> bool {
        !std::mem::take(&mut *self.notes.0.lock().unwrap()).is_empty()
    }
}

pub(crate) fn get(path: &str) -> Request<()> {
    Request::get(format!("http://example.com{path}")).body(()).unwrap()
}

/// What the caller got.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fetched {
    pub(crate) hit: bool,
    pub(crate) body: Bytes,
}

impl Fetched {
    async fn of(reply: Reply) -> Result<Self, Error> {
        Ok(Self { hit: reply.info.status.is_hit(), body: reply.response.into_body().bytes().await? })
    }
}
