//! The program of tests that need another process: `lacre-test-process ROLE ARGUMENTS`.
//!
//! Tests start it by its path in `CARGO_BIN_EXE_lacre-test-process`. The feature `test-process`,
//! which only the tests of this crate enable, builds it.
#![expect(clippy::unwrap_used, reason = "a role fails by panicking")]

#[cfg(unix)]
mod records;

#[cfg(unix)]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["keys", role] => keys::run(role),
        ["reseal", store, ring] => reseal::run(store, ring),
        ["store", role, file] => store::run(role, file),
        _ => unreachable!("unknown role: {arguments:?}"),
    }
}

#[cfg(not(unix))]
fn main() {}

/// The roles of `tests/keys.rs`.
#[cfg(unix)]
mod keys {
    use lacre::keys::{self, KeySource};
    use lacre::store::StoreUrl;
    use lacre::{Event, Observer, config};

    /// Reports that a key was created.
    #[derive(Debug)]
    struct Announce;

    impl Observer for Announce {
        fn on_event(&self, event: Event<'_>) {
            if let Event::KeyCreated { .. } = event {
                println!("made");
            }
        }
    }

    pub(crate) fn run(role: &str) {
        match role {
            "variables" => return print_locations(),
            "first-use" => {}
            "first-use-umask-000" => make_cache_directory(0),
            "first-use-umask-777" => make_cache_directory(0o777),
            _ => unreachable!("unknown role: {role}"),
        }
        let ring = keys::user(&Announce).unwrap().load().unwrap();
        println!("primary {}", ring.primary());
    }

    /// Prints which key and which store the environment selects.
    fn print_locations() {
        match keys::user_source() {
            Ok(keys) => {
                println!("key {} {:?}", keys.describe(), keys.load().map(|ring| ring.primary().to_string()));
            }
            Err(error) => println!("key {error}"),
        }
        match StoreUrl::user() {
            Ok(location) => println!("store {location}"),
            Err(error) => println!("store {error}"),
        }
    }

    fn make_cache_directory(umask: u32) {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        config::make_cache_directory(config::store_path().unwrap().parent().unwrap()).unwrap();
    }
}

/// The role of `tests/maintain/reseal.rs`.
#[cfg(unix)]
mod reseal {
    use lacre::store::Sqlite;
    use lacre::{Cache, Keyring, ManualClock, Pass, ResealedRow, Resealing, Suite, Timestamp, wait};
    use std::fs;
    use std::sync::Arc;

    /// The time of the entries, as in the test.
    const START: Timestamp = Timestamp::from_seconds(1_700_000_000);

    /// Reseals every entry of a store, with the keyring in a file. Prints a line after the first.
    pub(crate) fn run(store: &str, ring: &str) {
        let cache = Cache::builder()
            .store(Sqlite::open(store).unwrap())
            .keyring(Keyring::parse(&fs::read_to_string(ring).unwrap()).unwrap())
            .clock(Arc::new(ManualClock::new(START)))
            .also_accept(Suite::Blake3)
            .build()
            .unwrap();
        let mut started = false;
        let report = &mut |row: ResealedRow<'_>| {
            if !started && matches!(row.outcome, Resealing::Done) {
                started = true;
                println!("started");
            }
        };
        wait(cache.reseal(Pass::Real, report)).unwrap();
    }
}

/// The roles of `tests/store_processes.rs`.
#[cfg(unix)]
mod store {
    use crate::records::{get, key, put};
    use lacre::store::{Fs, Sqlite, Store};
    use lacre::{ErrorKind, StoreErrorKind, wait};
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    pub(crate) fn run(role: &str, file: &str) {
        match role {
            "serve" => serve(&open(file)),
            "write-many" => {
                let store = open(file);
                for n in 0..50 {
                    put(&store, key(std::process::id(), n), "x");
                }
            }
            "umask-000" => print_modes(Path::new(file), 0),
            "umask-777" => print_modes(Path::new(file), 0o777),
            "read-only" => {
                let store = open(file);
                println!("{}", get(&store, key(0, 0)).unwrap());
                let error = wait(store.remove(&key(0, 0))).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::ReadOnly));
                println!("refused");
            }
            "denied" => {
                let directory = Path::new(file).parent().unwrap();
                for error in [
                    Sqlite::open(file).unwrap_err(),
                    Sqlite::options().read_only().open(file).unwrap_err(),
                    Fs::open(directory.join("dir")).unwrap_err(),
                    Fs::options().read_only().open(directory.join("dir")).unwrap_err(),
                ] {
                    println!("{:?}: {error}; {}", error.kind(), error.hint().unwrap());
                }
            }
            _ => unreachable!("unknown role: {role}"),
        }
    }

    /// Answers `get` and `put` lines until its input ends.
    fn serve(store: &Sqlite) {
        println!("ready");
        for line in std::io::stdin().lines() {
            match line.unwrap().split_once(' ').unwrap() {
                ("get", n) => {
                    println!("{}", get(store, key(0, n.parse().unwrap())).unwrap_or("nothing".into()));
                }
                (_, n) => {
                    put(store, key(0, n.parse().unwrap()), "from the other");
                    println!("done");
                }
            }
        }
    }

    fn open(file: &str) -> Sqlite {
        Sqlite::open(file).unwrap()
    }

    /// Prints the modes of everything that a store creates under this umask.
    fn print_modes(file: &Path, umask: u32) {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        // Open until the end, or SQLite removes its log.
        let store = Sqlite::open(file).unwrap();
        put(&store, key(0, 0), "x");
        let directory = file.parent().unwrap();
        println!("mode {:o}", fs::metadata(directory).unwrap().permissions().mode() & 0o777);
        for suffix in ["", "-wal", "-shm"] {
            let mode = fs::metadata(format!("{}{suffix}", file.display())).unwrap().permissions().mode();
            println!("mode {:o}", mode & 0o777);
        }
    }
}
