use super::*;
use crate::store::{StoreExt, suite};
use crate::{ErrorKind, wait};

#[test]
fn the_sqlite_store_passes_the_suite() {
    let root = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    suite::run(|| {
        count.set(count.get() + 1);
        Box::new(Sqlite::open(root.path().join(format!("{}.sqlite", count.get()))).unwrap())
    });
}
