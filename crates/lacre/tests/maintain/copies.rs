//! The id that binds records to a store lies in that store. Who copies records and id makes no
//! store serve another's records.

use crate::world::{fetch, is_hit};
use lacre::keys::{KeyFile, WritableKeySource};
use lacre::store::{OpenOptions, ReadOnly, StoreUrl};
use lacre::{Cache, ErrorKind, Event, Keyring, Observer, StoreErrorKind};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

#[derive(Debug, Default)]
struct Copied(Mutex<Vec<(PathBuf, PathBuf)>>);

impl Observer for Copied {
    fn on_event(&self, event: Event<'_>) {
        if let Event::StoreCopied { copy: at, original: of } = event {
            self.0.lock().unwrap().push((at.into(), of.into()));
        }
    }
}

struct Places {
    root: TempDir,
    kind: &'static str,
    keys: KeyFile,
    copied: Arc<Copied>,
}

impl Places {
    fn of(kind: &'static str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let keys = KeyFile::at(root.path().join("config/keyring"));
        keys.create(&Keyring::generate().unwrap()).unwrap();
        Self { root, kind, keys, copied: Arc::default() }
    }

    /// The directory of a store, free of links.
    fn directory(&self, name: &str) -> PathBuf {
        self.root.path().canonicalize().unwrap().join(name)
    }

    fn location(&self, name: &str) -> StoreUrl {
        let directory = self.directory(name);
        match self.kind {
            "sqlite" => StoreUrl::with_path("sqlite", directory.join("cache.sqlite")).unwrap(),
            _ => StoreUrl::with_path("dir", directory).unwrap(),
        }
    }

    fn builder(&self, name: &str) -> lacre::Builder {
        let store = self.location(name).open().unwrap();
        Cache::builder().store(store).keys(&self.keys).observer(self.copied.clone())
    }

    fn cache(&self, name: &str) -> Cache {
        self.builder(name).build().unwrap()
    }

    /// Stores `body` in a store, and lets go of it.
    fn store(&self, name: &str, body: &[u8]) {
        let cache = self.cache(name);
        fetch(&cache, "/", "max-age=3600", body).unwrap();
        lacre::wait(cache.close()).unwrap();
    }

    /// What a store answers by itself.
    fn answer(&self, name: &str) -> Option<Vec<u8>> {
        answer(&self.cache(name))
    }

    fn told(&self) -> usize {
        self.copied.0.lock().unwrap().len()
    }
}

fn answer(cache: &Cache) -> Option<Vec<u8>> {
    let got = fetch(cache, "/", "no-store", b"from the origin").unwrap();
    is_hit(&got).then(|| got.response.body().to_vec())
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-a").args([from, to]).status().unwrap().success());
}

fn everywhere() -> [Places; 2] {
    ["sqlite", "dir"].map(Places::of)
}

#[test]
fn p05_copied_id_makes_no_store_serve_records_of_another() {
    for places in everywhere() {
        places.store("a", b"of a");
        places.store("b", b"of b");
        copy(&places.directory("a"), &places.directory("b"));
        assert_eq!(places.answer("b"), None);
        let told = places.copied.0.lock().unwrap().clone();
        let path = |name| places.location(name).path().unwrap().to_owned();
        assert_eq!(told, [(path("b"), path("a"))]);
        // Both are stores of their own from then on.
        assert_eq!(places.answer("a").unwrap(), b"of a");
        places.store("b", b"of b again");
        assert_eq!(places.answer("b").unwrap(), b"of b again");
        assert_eq!(places.told(), 1);
    }
}

#[test]
fn moved_store_and_copy_without_original_keep_their_records() {
    for places in everywhere() {
        places.store("a", b"kept");
        fs::rename(places.directory("a"), places.directory("b")).unwrap();
        assert_eq!(places.answer("b").unwrap(), b"kept");
        copy(&places.directory("b"), &places.directory("c"));
        fs::remove_dir_all(places.directory("b")).unwrap();
        assert_eq!(places.answer("c").unwrap(), b"kept");
        places.store("a", b"another");
        assert_eq!(places.answer("c").unwrap(), b"kept");
        assert_eq!(places.told(), 0);
    }
}

#[test]
fn read_only_copy_is_refused_unless_it_is_only_inspected() {
    for places in everywhere() {
        places.store("a", b"of a");
        copy(&places.directory("a"), &places.directory("b"));
        let before = fs::read(places.directory("config/keyring.stores")).unwrap();
        let open = || places.location("b").open_with(&OpenOptions::new().read_only()).unwrap();
        let builder = || {
            Cache::builder().store(ReadOnly::new(open())).keys(&places.keys).observer(places.copied.clone())
        };
        let error = builder().build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Unusable));
        assert!(error.hint().is_some());
        assert_eq!(places.told(), 0);
        assert_eq!(answer(&builder().danger_accept_copies().build().unwrap()).unwrap(), b"of a");
        assert_eq!(places.told(), 1);
        assert_eq!(fs::read(places.directory("config/keyring.stores")).unwrap(), before);
    }
}
