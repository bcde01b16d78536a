//! Settings of a cache.

use super::Cache;
use super::namespaces::{Namespaces, row_key_prefix};
use super::owed::Owed;
use super::rollback::Newest;
use super::tier::Tier;
use super::vault::Vault;
use crate::codec::{Cbor, Format, Formats};
use crate::keys::KeySource;
use crate::places::{Copies, Places};
use crate::stage::{Stage, Stages};
use crate::store::Store;
use crate::{Clock, Error, ErrorKind, Observer, SystemClock, Tracing};
use lacre_core::{Engine, Policy};
use lacre_seal::{Keyring, Sealer, Suite};
use std::fmt::Debug;
use std::sync::Arc;

/// What happens when a stored response's seal does not hold, or what it seals cannot be read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTamper {
    /// The observer is told, the record goes into [quarantine](Cache::quarantined), and the response is fetched again.
    #[default]
    Refetch,
    /// The caller gets the error. The record stays as it is, and so does the answer, until somebody removes it.
    Raise,
    /// The request is answered with 504, and the network is not asked. The record stays, as above.
    FailClosed,
}

/// What happens when the store fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreFailure {
    /// The observer is told, and the cache does without.
    #[default]
    GoOn,
    /// The caller gets the error.
    Raise,
}

/// The longest body that is read whole, unless said otherwise.
const READ_WHOLE: usize = 16 << 20;

/// Settings of a [`Cache`]. A store and a key are needed; all else has defaults: sealed and encrypted, a private cache by RFC 9111.
#[derive(Debug)]
pub struct Builder {
    store: Option<Box<dyn Store>>,
    keyring: Option<Result<Keyring, Error>>,
    suite: Suite,
    accepted: Vec<Suite>,
    namespace: String,
    policy: Policy,
    formats: Formats,
    stages: Stages,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    on_tamper: OnTamper,
    on_store_failure: OnStoreFailure,
    reseal_on_read: bool,
    memory_tier: usize,
    read_whole: usize,
    places: Option<Places>,
    copies: Copies,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            store: None,
            keyring: None,
            suite: Suite::default(),
            accepted: Vec::new(),
            namespace: String::new(),
            policy: Policy::default(),
            formats: Formats { writer: Arc::new(Cbor), readers: Vec::new() },
            stages: Stages { forward: Vec::new(), undone: Vec::new() },
            clock: Arc::new(SystemClock),
            observer: Arc::new(Tracing),
            on_tamper: OnTamper::default(),
            on_store_failure: OnStoreFailure::default(),
            reseal_on_read: false,
            memory_tier: 0,
            read_whole: READ_WHOLE,
            places: None,
            copies: Copies::Renewed,
        }
    }
}

impl Builder {
    /// Where sealed records are kept. Like every setting that takes a trait, it takes an `Arc` of one, too, where that is decided at run
    /// time or shared.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// Where the keys come from: a source, or what points to one. They are read at once. A store that is a copy of another one is told from
    /// it by what is noted [beside them](Places).
    #[must_use]
    pub fn keys(mut self, source: impl KeySource) -> Self {
        self.keyring = Some(source.load());
        self.places = Places::of(&source);
        self
    }

    /// Where stores are noted, so that a copy of one is told from it: for keys that do not come from a [source](Self::keys).
    #[must_use]
    pub fn places(mut self, places: Places) -> Self {
        self.places = Some(places);
        self
    }

    /// Uses a store that is a copy of another one as it is, with an [event](crate::Event::StoreCopied). Whoever can read one store and write
    /// another decides then which of both answers: for looking at a backup.
    #[must_use]
    pub fn danger_accept_copies(mut self) -> Self {
        self.copies = Copies::Accepted;
        self
    }

    /// The keys themselves.
    #[must_use]
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = Some(Ok(keyring));
        self
    }

    /// A fresh key that ends with this process. What is stored with it can never be read again: for tests and for memory.
    #[must_use]
    pub fn danger_ephemeral_key(mut self) -> Self {
        self.keyring = Some(Keyring::generate().map_err(Error::from));
        self
    }

    /// How records are sealed: encrypted with AES-256-GCM unless said otherwise. With a suite that leaves them readable, those that
    /// came of a secret or hold one (docs/threat-model.md) are encrypted with AES-256-GCM all the same.
    #[must_use]
    pub fn suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Opens records of this suite, too: for a store that changes from one to another.
    #[must_use]
    pub fn also_accept(mut self, suite: Suite) -> Self {
        self.accepted.push(suite);
        self
    }

    /// The name of this application, bound into every seal and every row key: what is sealed in one namespace neither opens nor is found
    /// in another. The names that are in use are listed in the store, sealed, so that what belongs to another namespace is not taken for
    /// tampering.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// What is cached, and for how long.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// How heads are written: CBOR unless said otherwise. Whatever is written, all formats of this crate are read, too.
    #[must_use]
    pub fn format(mut self, format: impl Format) -> Self {
        self.formats.writer = Arc::new(format);
        self
    }

    /// Reads heads in this format, too: for one of your own that no longer writes.
    #[must_use]
    pub fn also_read(mut self, format: impl Format) -> Self {
        self.formats.readers.push(Arc::new(format));
        self
    }

    /// Adds a transformation of bodies, such as compression, before they are sealed. Several apply in the order named; a body longer
    /// than 256 KiB goes through them piece by piece.
    #[must_use]
    pub fn stage(mut self, stage: impl Stage) -> Self {
        self.stages.forward.push(Arc::new(stage));
        self
    }

    /// Undoes this stage, too: for one of your own that is no longer applied. All stages of this crate are undone in any case.
    #[must_use]
    pub fn also_undo(mut self, stage: impl Stage) -> Self {
        self.stages.undone.push(Arc::new(stage));
        self
    }

    /// Where the time comes from.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Who is told what happens; [`Tracing`] unless said otherwise.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// What happens when a stored response's seal does not hold.
    #[must_use]
    pub fn on_tamper(mut self, on_tamper: OnTamper) -> Self {
        self.on_tamper = on_tamper;
        self
    }

    /// What happens when the store fails.
    #[must_use]
    pub fn on_store_failure(mut self, on_store_failure: OnStoreFailure) -> Self {
        self.on_store_failure = on_store_failure;
        self
    }

    /// Seals anew, with the primary key and the suite in use, what is found sealed otherwise: one write before the answer, once for each
    /// record. Bodies over 256 KiB are left to [`Cache::reseal`], and so is what is never asked for.
    #[must_use]
    pub fn reseal_on_read(mut self) -> Self {
        self.reseal_on_read = true;
        self
    }

    /// Keeps up to `bytes` of what was read in memory, verified and decoded (0, as at first: nothing): with bodies of up to a sixteenth
    /// of that, which are then read whole. A hit from there shares its body with all others, without a copy.
    ///
    /// What this cache writes or removes is seen at once, what other processes do within a millisecond. What is tampered with in the
    /// store after it was read is found out when it is read again, and not before. Where caches share one store *value* (an `Arc`), give
    /// only one of them a tier: they do not see what the others write.
    #[must_use]
    pub fn memory_tier(mut self, bytes: usize) -> Self {
        self.memory_tier = bytes;
        self
    }

    /// Reads bodies of up to `bytes` (16 MiB) whole before a request is answered with them: all of such a body is verified before anybody
    /// sees the first of it, and it is handed out in one piece, which a client that collects it need not copy. A longer one is read while it
    /// is handed out, 256 KiB at a time, as it is where many clients read slowly and memory counts: then say less.
    #[must_use]
    pub fn read_whole(mut self, bytes: usize) -> Self {
        self.read_whole = bytes;
        self
    }

    /// The cache.
    ///
    /// # Errors
    /// There is no store, or no usable key; or two formats or two stages have the same id. The store is a copy of another one and cannot be
    /// written, or fails to be emptied.
    pub fn build(self) -> Result<Cache, Error> {
        let store = self.store.ok_or_else(|| missing("store", "Builder::store(Sqlite::open(path)?)"))?;
        let keyring =
            Arc::new(self.keyring.ok_or_else(|| missing("key", "Builder::keys(&keys::user(&Tracing)?)"))??);
        unique("formats", self.formats.own().map(Format::id))?;
        unique("stages", self.stages.own().map(Stage::id))?;
        let store_id = match &self.places {
            Some(places) => places.admit(&*store, self.copies, &*self.observer)?,
            None => store.id(),
        };
        let secret_suite = if self.suite.is_encrypted() { self.suite } else { Suite::default() };
        let secret_sealer = Sealer::new(Arc::clone(&keyring), secret_suite);
        let any = Suite::ALL.into_iter().fold(secret_sealer.clone(), Sealer::also_accept);
        let sealer = Sealer::new(Arc::clone(&keyring), self.suite).also_accept(secret_suite);
        let sealer = self.accepted.into_iter().fold(sealer, Sealer::also_accept);
        let prefix = row_key_prefix(&self.namespace);
        let digest = move |identity: &[u8]| match prefix.as_slice() {
            [] => keyring.row_key(identity),
            prefix => keyring.row_key(&[prefix, identity].concat()),
        };
        Ok(Cache {
            engine: Arc::new(Engine::new(self.policy, digest)),
            vault: Arc::new(Vault {
                store_id,
                store,
                sealer,
                secret_sealer,
                any,
                namespace: self.namespace,
                namespaces: Namespaces::default(),
                formats: self.formats,
                stages: self.stages,
                newest: Newest::default(),
                owed: Owed::default(),
                tier: (self.memory_tier > 0).then(|| Tier::new(self.memory_tier)),
                read_whole: self.read_whole,
            }),
            clock: self.clock,
            observer: self.observer,
            on_tamper: self.on_tamper,
            on_store_failure: self.on_store_failure,
            reseal_on_read: self.reseal_on_read,
        })
    }
}

fn missing(what: &str, remedy: &'static str) -> Error {
    Error::new(ErrorKind::Config, format!("the cache has no {what}")).with_hint(format!("say {remedy}"))
}

/// Refuses two of a kind: a reader could not tell which of them wrote a record.
fn unique<T: PartialEq + Debug>(kind: &str, ids: impl Iterator<Item = T>) -> Result<(), Error> {
    let mut seen = Vec::new();
    for id in ids {
        if seen.contains(&id) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("two {kind} of the cache have the same id, {id:?}"),
            )
            .with_hint("name each once, and give those of your own different numbers"));
        }
        seen.push(id);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ManualClock;
    use crate::store::Memory;
    use lacre_core::Timestamp;
    use zeroize::Zeroizing;

    /// The text of a keyring.
    #[derive(Debug)]
    struct Text(String);

    impl KeySource for Text {
        fn read(&self) -> Result<Zeroizing<String>, Error> {
            Ok(Zeroizing::new(self.0.clone()))
        }

        fn describe(&self) -> String {
            "text".into()
        }
    }

    #[test]
    fn every_setting_takes_a_value_or_what_points_to_one() {
        let text = || Text(Keyring::generate().unwrap().to_text().to_string());
        let source = text();
        let primary = source.load().unwrap().primary();
        let boxed: Box<dyn KeySource> = Box::new(text());
        for builder in [
            Builder::default().keys(&source),
            Builder::default().keys(&source as &dyn KeySource),
            Builder::default().keys(Arc::new(Text(source.0.clone()))),
            Builder::default().keys(Box::new(Text(source.0.clone()))),
            Builder::default().keys(Text(source.0.clone())),
        ] {
            let cache = builder.store(Arc::new(Memory::new().unwrap())).build().unwrap();
            assert_eq!(cache.key_ids().next(), Some(primary));
        }
        let clock = Arc::new(ManualClock::new(Timestamp::from_seconds(1)));
        let shared: Arc<dyn Clock> = clock.clone();
        for builder in [
            Builder::default().clock(Arc::clone(&clock)),
            Builder::default().clock(shared),
            Builder::default().clock(SystemClock).observer(Tracing),
            Builder::default().observer(Arc::new(Tracing)),
        ] {
            builder.store(Memory::new().unwrap()).keys(&*boxed).build().unwrap();
        }
    }
}
