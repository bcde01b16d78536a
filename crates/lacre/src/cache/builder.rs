//! The settings of a cache.

use super::Cache;
use crate::codec::{Cbor, Format, Formats};
use crate::keys::KeySource;
use crate::stage::{Stage, Stages};
use crate::storage::memory_cache::MemoryCache;
use crate::storage::namespace_list::{Namespaces, row_key_prefix};
use crate::storage::pending_removals::PendingRemovals;
use crate::storage::registry::CopiedStores;
use crate::storage::rollback_guard::RollbackGuard;
use crate::storage::vault::Vault;
use crate::storage::{OnStoreFailure, OnTamper, Storage, StoreRegistry};
use crate::store::Store;
use crate::{Clock, Error, ErrorKind, Observer, SystemClock, Tracing};
use lacre_core::{Engine, Policy};
use lacre_seal::{Keyring, Sealer, Suite};
use std::fmt::Debug;
use std::sync::Arc;

/// The default of [`Builder::read_whole`].
const DEFAULT_READ_WHOLE: usize = 16 << 20;

/// The settings of a [`Cache`]. A store and a key are required. Everything else has defaults:
/// records are sealed and encrypted, and the cache is a private one by RFC 9111.
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
    registry: Option<StoreRegistry>,
    copies: CopiedStores,
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
            read_whole: DEFAULT_READ_WHOLE,
            registry: None,
            copies: CopiedStores::Renewed,
        }
    }
}

impl Builder {
    /// Sets the store of the sealed records. Like every setting that takes a trait, it also takes
    /// an `Arc` of one, for a choice at run time or a shared store.
    #[must_use]
    pub fn store(mut self, store: impl Store) -> Self {
        self.store = Some(Box::new(store));
        self
    }

    /// Sets the source of the keys, which are read at once. The [registry of stores](StoreRegistry)
    /// beside the keys tells a copied store from its original.
    #[must_use]
    pub fn keys(mut self, source: impl KeySource) -> Self {
        self.keyring = Some(source.load());
        self.registry = StoreRegistry::of(&source);
        self
    }

    /// Sets the registry that tells a copied store from its original, for keys that do not come
    /// from a [source](Self::keys).
    #[must_use]
    pub fn registry(mut self, registry: StoreRegistry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Uses a copied store as it is, and reports it as an [event](crate::Event::StoreCopied): for
    /// reading a backup. Somebody who can read one store and write another then decides which of
    /// the two answers.
    #[must_use]
    pub fn danger_accept_copies(mut self) -> Self {
        self.copies = CopiedStores::Accepted;
        self
    }

    /// Sets the keys themselves.
    #[must_use]
    pub fn keyring(mut self, keyring: Keyring) -> Self {
        self.keyring = Some(Ok(keyring));
        self
    }

    /// Uses a new key that ends with this process, so that nothing stored can be read afterwards:
    /// for tests, and for stores in memory.
    #[must_use]
    pub fn danger_ephemeral_key(mut self) -> Self {
        self.keyring = Some(Keyring::generate().map_err(Error::from));
        self
    }

    /// Sets the suite that seals records; AES-256-GCM by default. With a suite that leaves records
    /// readable, a sensitive record (docs/threat-model.md) is still encrypted with AES-256-GCM
    /// ([decision
    /// 5](../../../../docs/decisions/0005-encrypt-sensitive-entries-in-signed-stores.md)).
    #[must_use]
    pub fn suite(mut self, suite: Suite) -> Self {
        self.suite = suite;
        self
    }

    /// Also opens records of this suite: for a store that changes its suite.
    #[must_use]
    pub fn also_accept(mut self, suite: Suite) -> Self {
        self.accepted.push(suite);
        self
    }

    /// Sets the namespace, usually the application's name. It is bound into every seal and every
    /// row key, so that a record of one namespace neither opens nor is found in another. A sealed
    /// list of namespaces in the store keeps records of other namespaces from looking like
    /// tampering.
    #[must_use]
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Sets the caching policy.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Sets the format of heads; CBOR by default. All formats of this crate are read in any case.
    #[must_use]
    pub fn format(mut self, format: impl Format) -> Self {
        self.formats.writer = Arc::new(format);
        self
    }

    /// Also reads heads in this format: for a format of your own that is no longer written.
    #[must_use]
    pub fn also_read(mut self, format: impl Format) -> Self {
        self.formats.readers.push(Arc::new(format));
        self
    }

    /// Adds a transformation of bodies before they are sealed, such as compression. Several stages
    /// apply in the order added. A body longer than 256 KiB goes through them piece by piece.
    #[must_use]
    pub fn stage(mut self, stage: impl Stage) -> Self {
        self.stages.forward.push(Arc::new(stage));
        self
    }

    /// Also undoes this stage: for a stage of your own that is no longer applied. All stages of
    /// this crate are undone in any case.
    #[must_use]
    pub fn also_undo(mut self, stage: impl Stage) -> Self {
        self.stages.undone.push(Arc::new(stage));
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Sets the observer of events; [`Tracing`] by default.
    #[must_use]
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Arc::new(observer);
        self
    }

    /// Sets the answer to a stored response whose seal does not hold.
    #[must_use]
    pub fn on_tamper(mut self, on_tamper: OnTamper) -> Self {
        self.on_tamper = on_tamper;
        self
    }

    /// Sets the answer to a store that fails.
    #[must_use]
    pub fn on_store_failure(mut self, on_store_failure: OnStoreFailure) -> Self {
        self.on_store_failure = on_store_failure;
        self
    }

    /// Reseals a record that a request finds sealed with another key or suite than the current one:
    /// one write before the answer, once for each record. Bodies over 256 KiB, and records that are
    /// never requested, are left to [`Cache::reseal`].
    #[must_use]
    pub fn reseal_on_read(mut self) -> Self {
        self.reseal_on_read = true;
        self
    }

    /// Keeps up to `bytes` of verified records in memory; 0, the default, keeps none. A body of up
    /// to a sixteenth of that is kept with its record. Hits from memory share the body without a
    /// copy.
    ///
    /// Writes and removals by this cache are seen at once, those of other processes within a
    /// millisecond. Tampering with a record in the store after it was read is noticed when it is
    /// read again, and not before. If several caches share one store *value* (an `Arc`), give only
    /// one of them a memory tier: they do not see each other's writes.
    #[must_use]
    pub fn memory_tier(mut self, bytes: usize) -> Self {
        self.memory_tier = bytes;
        self
    }

    /// Reads a body of up to `bytes` (16 MiB by default) whole before it answers a request: all of
    /// the body is verified before any of it is returned, and it is returned in one piece. A longer
    /// body is read while it is returned, 256 KiB at a time. Set less where many clients read
    /// slowly and memory is short.
    #[must_use]
    pub fn read_whole(mut self, bytes: usize) -> Self {
        self.read_whole = bytes;
        self
    }

    /// Builds the cache.
    ///
    /// # Errors
    /// The store or a usable key is missing. Two formats or two stages have the same id. The store
    /// is a copy of another one, and cannot be written or emptied.
    pub fn build(self) -> Result<Cache, Error> {
        let store = self.store.ok_or_else(|| missing("store", "Builder::store(Sqlite::open(path)?)"))?;
        let keyring =
            Arc::new(self.keyring.ok_or_else(|| missing("key", "Builder::keys(&keys::user(&Tracing)?)"))??);
        unique("formats", self.formats.custom().map(Format::id))?;
        unique("stages", self.stages.custom().map(Stage::id))?;
        let store_id = match &self.registry {
            Some(registry) => registry.admit(&*store, self.copies, &*self.observer)?,
            None => store.id(),
        };
        let secret_suite = if self.suite.is_encrypted() { self.suite } else { Suite::default() };
        let sensitive_sealer = Sealer::new(Arc::clone(&keyring), secret_suite);
        let any_suite = Suite::ALL.into_iter().fold(sensitive_sealer.clone(), Sealer::also_accept);
        let sealer = Sealer::new(Arc::clone(&keyring), self.suite).also_accept(secret_suite);
        let sealer = self.accepted.into_iter().fold(sealer, Sealer::also_accept);
        let prefix = row_key_prefix(&self.namespace);
        let digest = move |identity: &[u8]| match prefix.as_slice() {
            [] => keyring.row_key(identity),
            prefix => keyring.row_key(&[prefix, identity].concat()),
        };
        let read_only = self.policy.is_read_only();
        let storage = Storage {
            vault: Arc::new(Vault {
                store_id,
                store,
                sealer,
                sensitive_sealer,
                any_suite,
                namespace: self.namespace,
                namespaces: Namespaces::default(),
                formats: self.formats,
                stages: self.stages,
                rollback_guard: RollbackGuard::default(),
                pending_removals: PendingRemovals::default(),
                memory_cache: (self.memory_tier > 0).then(|| MemoryCache::new(self.memory_tier)),
                read_whole: self.read_whole,
            }),
            clock: self.clock,
            observer: self.observer,
            on_tamper: self.on_tamper,
            on_store_failure: self.on_store_failure,
            read_only,
        };
        let engine = Arc::new(Engine::new(self.policy, digest));
        Ok(Cache { engine, storage, reseal_on_read: self.reseal_on_read })
    }
}

fn missing(what: &str, remedy: &'static str) -> Error {
    Error::new(ErrorKind::Config, format!("the cache has no {what}")).with_hint(format!("call {remedy}"))
}

/// Refuses duplicate ids: a reader could not tell which format or stage wrote a record.
fn unique<T: PartialEq + Debug>(kind: &str, ids: impl Iterator<Item = T>) -> Result<(), Error> {
    let mut seen = Vec::new();
    for id in ids {
        if seen.contains(&id) {
            return Err(Error::new(
                ErrorKind::Config,
                format!("two {kind} of the cache have the same id, {id:?}"),
            )
            .with_hint("add each once, and give formats and stages of your own different numbers"));
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
