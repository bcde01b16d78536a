//! Every kind of store there is, each with a directory of its own.

#[cfg(unix)]
use lacre::store::Fs;
use lacre::store::{Memory, Sqlite, Store};
use std::sync::Arc;
use tempfile::TempDir;

/// The stores there are. A new one gets a line here, and every property.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Memory,
    Sqlite,
    #[cfg(unix)]
    Fs,
}

pub(crate) const KINDS: &[Kind] = &[
    Kind::Memory,
    Kind::Sqlite,
    #[cfg(unix)]
    Kind::Fs,
];

/// What SQLite's file is called in its directory.
pub(crate) const FILE: &str = "cache.sqlite";

/// Where entries lie.
pub(crate) struct Medium {
    pub(crate) kind: Kind,
    pub(crate) directory: TempDir,
    pub(crate) store: Arc<dyn Store>,
}

impl Medium {
    pub(crate) fn new(kind: Kind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn Store> = match kind {
            Kind::Memory => Arc::new(Memory::new().unwrap()),
            Kind::Sqlite => Arc::new(Sqlite::open(directory.path().join(FILE)).unwrap()),
            #[cfg(unix)]
            Kind::Fs => Arc::new(Fs::open(directory.path().join("store")).unwrap()),
        };
        Self { kind, directory, store }
    }
}
