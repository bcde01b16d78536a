//! A cache over one store, whose raw bytes can be read, and a driver that notes whatever can be
//! shown on the way.

use crate::channel::Channel;
use crate::medium::Medium;
use bytes::Bytes;
use http::{Request, Response};
use lacre::codec::Format;
use lacre::store::{OwnedRecord, StoreExt};
use lacre::{
    Answer, Cache, Event, Key, Keyring, ManualClock, Observer, Outcome, Policy, Reply, RequestBody,
    Settlement, Slot, Suite, Ticket, Timestamp, Tracing, wait,
};
use std::fmt::{Debug, Write};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

pub(crate) struct World {
    cache: Cache,
    pub(crate) medium: Medium,
    clock: Arc<ManualClock>,
    said: Arc<Notes>,
}

/// Everything that was shown.
#[derive(Default)]
struct Notes(Mutex<String>);

impl Notes {
    fn note(&self, shown: &dyn Debug) {
        writeln!(self.0.lock().unwrap(), "{shown:?}").unwrap();
    }
}

impl Debug for Notes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Notes")
    }
}

impl Observer for Notes {
    fn on_event(&self, event: Event<'_>) {
        self.note(&event);
        if let Event::Refused { error, .. } | Event::StoreFailed { error } = event {
            writeln!(self.0.lock().unwrap(), "{error} {:?}", error.hint()).unwrap();
        }
        Tracing.on_event(event);
    }
}

impl World {
    pub(crate) fn new(medium: Medium, suite: Suite, format: impl Format) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1_700_000_000)));
        let said = Arc::new(Notes::default());
        let cache = Cache::builder()
            .store(Arc::clone(&medium.store))
            .keyring(Keyring::parse(KEY).unwrap())
            .suite(suite)
            .format(format)
            .policy(
                Policy::rfc9111()
                    // Without it, a cookie tells nobody apart where a response has a lifetime.
                    .partition_by_cookies()
                    .keep_request_headers()
                    .methods([http::Method::GET, http::Method::POST])
                    .match_headers(lacre::MatchHeaders::Only(vec![http::HeaderName::from_static(
                        "x-channel",
                    )])),
            )
            .clock(clock.clone())
            .observer(said.clone())
            .build()
            .unwrap();
        Self { cache, medium, clock, said }
    }

    /// A miss, and then a hit, which must be what the origin sent.
    pub(crate) fn exchange(&mut self, channel: &Channel, secret: &str) -> Result<(), &'static str> {
        let request = channel.request(secret);
        let sent = channel.response(&request, secret);
        let Answer::Send(ticket) = self.ask(&request) else { return Err("it was stored already") };
        self.answer(ticket, &sent)?;
        let Answer::Hit(reply) = self.ask(&request) else { return Err("it was not stored") };
        same(reply, &sent)
    }

    /// The origin confirms what is stored, with all the headers again.
    pub(crate) fn refresh(&mut self, channel: &Channel, secret: &str) -> Result<(), &'static str> {
        self.clock.advance(Duration::from_secs(61));
        let request = channel.request(secret);
        let sent = channel.response(&request, secret);
        let Answer::Send(ticket) = self.ask(&request) else { return Err("it is still fresh") };
        let (mut head, _) = sent.clone().into_parts();
        head.status = http::StatusCode::NOT_MODIFIED;
        let settled = wait(self.cache.settle(ticket, Outcome::Response(&head))).unwrap();
        self.said.note(&settled);
        let Settlement::Stored(reply) = settled else { return Err("it was not confirmed") };
        same(reply, &sent)?;
        let Answer::Hit(reply) = self.ask(&request) else { return Err("it was not refreshed") };
        same(reply, &sent)
    }

    pub(crate) fn is_miss(&self, channel: &Channel, secret: &str) -> bool {
        matches!(self.ask(&channel.request(secret)), Answer::Send(_))
    }

    fn ask(&self, request: &Request<Vec<u8>>) -> Answer {
        let body = RequestBody::Seen(request.body());
        let (head, ()) = request.clone().map(drop).into_parts();
        self.said.note(&body);
        let answer = wait(self.cache.ask(head, body)).unwrap();
        self.said.note(&answer);
        answer
    }

    fn answer(&self, ticket: Ticket, sent: &Response<Vec<u8>>) -> Result<(), &'static str> {
        let (head, body) = sent.clone().into_parts();
        let outcome = Outcome::Response(&head);
        self.said.note(&outcome);
        let settled = wait(self.cache.settle(ticket, outcome)).unwrap();
        self.said.note(&settled);
        let Settlement::Network { keep: Some(mut recording), .. } = settled else {
            return Err("it is not to be stored");
        };
        wait(async {
            recording.write(&body).await;
            self.said.note(&recording);
            recording.finish().await;
        });
        Ok(())
    }

    /// Changes a byte of every record.
    pub(crate) fn damage_everything(&self) {
        for (key, mut record) in self.records() {
            let mut sealed = record.sealed.to_vec();
            let middle = sealed.len() / 2;
            sealed[middle] ^= 1;
            record.sealed = sealed.into();
            wait(self.medium.store.put(&key, record.lend())).unwrap();
        }
    }

    /// All that was shown so far, and what listings show now.
    pub(crate) fn said(&self) -> String {
        self.said.note(&self.cache);
        wait(self.cache.verify(&mut |listed| self.said.note(&listed))).unwrap();
        for (key, record) in self.records() {
            self.said.note(&record);
            self.said.note(&wait(self.cache.stored(&key)));
        }
        let said = self.said.0.lock().unwrap();
        said.clone()
    }

    /// The URLs and request headers of all entries, as whoever has the key sees them.
    pub(crate) fn kept_of_requests(&self) -> String {
        let mut kept = String::new();
        wait(self.cache.list(&mut |listed| {
            if let Ok(Slot::Entry(entry)) = listed.slot {
                writeln!(kept, "{} {:?}", entry.url, entry.request_headers).unwrap();
            }
        }))
        .unwrap();
        kept
    }

    fn records(&self) -> Vec<(Key, OwnedRecord)> {
        let mut records = Vec::new();
        wait(self.medium.store.each(&mut |row| records.push((row.key, row.record.unwrap().to_owned()))))
            .unwrap();
        records
    }

    /// What whoever has a copy of the store has: all it holds, and the bytes of its files, the log
    /// of SQLite among them.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (key, record) in self.records() {
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(&record.sealed);
            for index in 0..record.chunks {
                let chunk = record
                    .body
                    .map(|body| wait(self.medium.store.fetch_chunk(body, index)).unwrap().unwrap());
                bytes.extend(chunk.unwrap_or_else(Bytes::new));
            }
        }
        files(self.medium.directory.path(), &mut bytes);
        wait(self.medium.store.close()).unwrap();
        files(self.medium.directory.path(), &mut bytes);
        bytes
    }
}

/// The names and bytes of all files below a directory.
fn files(directory: &Path, bytes: &mut Vec<u8>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend_from_slice(path.file_name().unwrap().as_encoded_bytes());
        if path.is_dir() {
            files(&path, bytes);
        } else {
            bytes.extend(fs::read(path).unwrap());
        }
    }
}

/// Whether a reply is what the origin sent, but for its age.
fn same(reply: Reply, sent: &Response<Vec<u8>>) -> Result<(), &'static str> {
    let (mut head, body) = reply.response.into_parts();
    head.headers.remove("age");
    if head.status != sent.status() || head.headers != *sent.headers() {
        return Err("its status or headers are not what the origin sent");
    }
    let body = wait(body.bytes()).map_err(|_| "its body cannot be read")?;
    if body == sent.body() { Ok(()) } else { Err("its body is not what the origin sent") }
}
