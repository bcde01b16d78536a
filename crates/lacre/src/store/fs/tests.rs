//! The directory as a hostile one: each test plants one thing and is named after the property that
//! survives it.

use super::*;
use crate::store::{ORPHAN_AGE, StoreExt, suite};
use crate::{ErrorKind, StoreErrorKind, wait};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::Duration;
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn place() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("store");
    (root, path)
}

/// A store of `count` records.
fn stored(count: u8) -> (TempDir, PathBuf, Fs) {
    let (root, path) = place();
    let store = Fs::open(&path).unwrap();
    (0..count).for_each(|n| put(&store, n, record(&[n; 100])));
    (root, path, store)
}

fn key(n: u8) -> Key {
    Key::from_bytes([n; 32])
}

fn record(sealed: &[u8]) -> Record<'_> {
    Record { body: None, chunks: 0, expires: NOW.plus(Duration::from_secs(60)), written: NOW, sealed }
}

fn put(store: &Fs, n: u8, record: Record<'_>) {
    wait(store.put(&key(n), record)).unwrap();
}

fn sealed(store: &Fs, n: u8) -> Option<Vec<u8>> {
    wait(store.fetch(&key(n))).unwrap().map(|record| record.sealed.to_vec())
}

fn file_of(path: &Path, n: u8) -> PathBuf {
    path.join(format!("slot/{n:02x}/{}", key(n)))
}

fn refusal(path: &Path) -> (StoreErrorKind, Error) {
    let error = Fs::open(path).unwrap_err();
    let ErrorKind::Store(trouble) = error.kind() else { panic!("{error:?}") };
    assert!(error.hint().is_some(), "{error:?} has no remedy");
    (trouble, error)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn everything_below(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything_below(&path));
        }
        found.push(path);
    }
    found
}

#[test]
fn the_file_store_passes_the_suite() {
    let root = tempfile::tempdir().unwrap();
    let count = std::cell::Cell::new(0);
    suite::run(|| {
        count.set(count.get() + 1);
        Box::new(Fs::open(root.path().join(count.get().to_string())).unwrap())
    });
}

#[test]
fn a_store_keeps_its_id_and_records_when_opened_again() {
    let (_root, path, store) = stored(2);
    let again = Fs::open(&path).unwrap();
    assert_eq!(again.id(), store.id());
    assert_eq!(sealed(&again, 1).unwrap(), [1; 100]);
    put(&again, 1, record(b"of another"));
    assert_eq!(sealed(&store, 1).unwrap(), b"of another");
}

#[test]
fn the_files_are_those_of_the_format() {
    let (_root, path, store) = stored(0);
    let body = BodyId::from_bytes([0xAB; 16]);
    wait(store.stage(body, 0, b"chunk", NOW)).unwrap();
    put(&store, 7, Record { body: Some(body), chunks: 1, ..record(b"\x89LAC...") });
    let read = |name: &str| String::from_utf8_lossy(&fs::read(path.join(name)).unwrap()).into_owned();
    let (key, body) = ("07".repeat(32), "ab".repeat(16));
    let slot = read(&format!("slot/07/{key}"));
    let line = format!("lacre-slot-v1 body={body} chunks=1 expires=1800000060000 written=1800000000000");
    assert_eq!(slot.split_once('\n').unwrap().0, line);
    assert_eq!(read(&format!("body/ab/{body}/0")), "lacre-chunk-v1 written=1800000000000\nchunk");
    assert_eq!(read(&format!("body/ab/{body}/slot")), format!("{key}\n"));
    assert_eq!(read("lacre-store"), format!("lacre-store-v1 id={}\n", store.id()));
    assert_eq!(fs::read(path.join("state")).unwrap(), (4_u128 << 64 | 8192).to_be_bytes());
    assert!(path.join("CACHEDIR.TAG").exists() && path.join(".gitignore").exists());
    assert_eq!(fs::read_dir(path.join("temp")).unwrap().count(), 0);
}

#[test]
fn p20_all_files_are_private() {
    let (_root, path, store) = stored(3);
    wait(store.stage(BodyId::from_bytes([1; 16]), 0, b"chunk", NOW)).unwrap();
    for found in everything_below(&path) {
        let mode = fs::metadata(&found).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if found.is_dir() { 0o700 } else { 0o600 }, "{}", found.display());
    }
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn p21_no_link_is_followed_and_what_it_points_to_is_untouched() {
    let (root, path, store) = stored(2);
    let victim = root.path().join("victim");
    fs::write(&victim, fs::read(file_of(&path, 0)).unwrap()).unwrap();
    let before = fs::read(&victim).unwrap();
    fs::remove_file(file_of(&path, 0)).unwrap();
    symlink(&victim, file_of(&path, 0)).unwrap();
    assert_eq!(wait(store.fetch(&key(0))).unwrap_err().kind(), ErrorKind::Broken);
    let mut bad = Vec::new();
    wait(store.each(&mut |row| bad.extend(row.record.err().map(|_| row.key)))).unwrap();
    assert_eq!(bad, [key(0)]);
    assert!(wait(store.inspect()).unwrap()[0].starts_with("link \"slot/00/0000"));
    put(&store, 0, record(b"healed"));
    assert_eq!(sealed(&store, 0).unwrap(), b"healed");

    let shard = path.join("slot/01");
    let kept = fs::read(file_of(&path, 1)).unwrap();
    fs::rename(&shard, root.path().join("elsewhere")).unwrap();
    symlink(root.path().join("elsewhere"), &shard).unwrap();
    assert!(wait(store.fetch(&key(1))).is_err());
    assert!(wait(store.put(&key(1), record(b"x"))).is_err());
    assert_eq!(fs::read(root.path().join("elsewhere").join(key(1).to_string())).unwrap(), kept);
    assert!(sealed(&store, 0).is_some(), "it breaks nothing else");
    assert_eq!(fs::read(&victim).unwrap(), before);

    let link = root.path().join("link");
    fs::rename(path.join("body"), root.path().join("moved")).unwrap();
    symlink(root.path().join("moved"), path.join("body")).unwrap();
    assert_eq!(refusal(&path).0, StoreErrorKind::Unusable);
    symlink("/nowhere/at/all", &link).unwrap();
    assert!(Fs::open(&link).is_err());
}

#[test]
fn p21_a_state_with_another_name_is_not_written_through_it() {
    let (root, path, store) = stored(1);
    drop(store);
    let victim = root.path().join("victim");
    fs::write(&victim, "precious, and longer than sixteen bytes").unwrap();
    chmod(&victim, 0o600);
    fs::remove_file(path.join("state")).unwrap();
    fs::hard_link(&victim, path.join("state")).unwrap();
    assert_eq!(refusal(&path).0, StoreErrorKind::Unusable);
    assert_eq!(fs::read(&victim).unwrap(), b"precious, and longer than sixteen bytes");
}

#[test]
fn lock_wait_does_not_block_the_executor() {
    use std::task::{Context, Waker};
    let (_root, path, store) = stored(1);
    let other = fs::File::open(path.join("state")).unwrap();
    other.lock().unwrap();
    let (holder, until) = (LeaseHolder::generate().unwrap(), NOW.plus(Duration::from_secs(1)));
    for mut waiting in [
        store.put(&key(1), record(b"x")),
        Box::pin(async { store.touch(&key(0), None, record(b"x")).await.map(drop) }),
        Box::pin(async { store.remove(&key(0)).await.map(drop) }),
        store.stage(BodyId::from_bytes([1; 16]), 0, b"x", NOW),
        Box::pin(async { store.lease(&key(0), holder, until, NOW).await.map(drop) }),
        Box::pin(async { store.sweep(NOW).await.map(drop) }),
        store.clear(),
    ] {
        assert!(waiting.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    assert_eq!(sealed(&store, 0).unwrap(), [0; 100], "reading goes on");
    let first = wait(store.put(&key(1), record(b"x"))).unwrap_err();
    assert!(first.kind() == ErrorKind::Store(StoreErrorKind::Locked) && !first.is_repeated());
    assert!(wait(store.put(&key(1), record(b"x"))).unwrap_err().is_repeated());
    other.unlock().unwrap();
    put(&store, 1, record(b"written"));
    assert_eq!(sealed(&store, 1).unwrap(), b"written");
}

#[test]
fn p21_files_writable_by_others_are_refused() {
    let (_root, path, store) = stored(2);
    chmod(&file_of(&path, 1), 0o622);
    assert_eq!(wait(store.fetch(&key(1))).unwrap_err().kind(), ErrorKind::Broken);
    chmod(&path.join("slot/00"), 0o777);
    assert!(wait(store.fetch(&key(0))).is_err());
    chmod(&path.join("slot"), 0o777);
    assert_eq!(refusal(&path).0, StoreErrorKind::Unusable);
    chmod(&path.join("slot"), 0o700);
    chmod(&path, 0o777);
    assert!(refusal(&path).1.hint().unwrap().starts_with("chmod go-w "));
}

#[test]
fn pipes_giants_and_directories_in_the_place_of_records_break_nothing_else() {
    let (_root, path, store) = stored(4);
    for n in 0..3 {
        fs::remove_file(file_of(&path, n)).unwrap();
    }
    rustix::fs::mknodat(
        rustix::fs::CWD,
        file_of(&path, 0),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    fs::File::create(file_of(&path, 1)).unwrap().set_len(20_000_000).unwrap();
    fs::create_dir(file_of(&path, 2)).unwrap();
    for n in 0..3 {
        assert_eq!(wait(store.fetch(&key(n))).unwrap_err().kind(), ErrorKind::Broken, "{n}");
    }
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    wait(store.each(&mut |row| if row.record.is_ok() { good.push(row.key) } else { bad.push(row.key) }))
        .unwrap();
    assert_eq!((good, bad.as_slice()), (vec![key(3)], &[key(0), key(1)][..]));
    assert!(wait(store.sweep(NOW)).is_ok());
    assert!(bad.iter().all(|key| wait(store.remove(key)).unwrap()));
    assert!(wait(store.trim(0, NOW)).is_ok());
    assert_eq!(sealed(&store, 3), None);
}

#[test]
fn a_line_that_was_edited_is_broken_and_breaks_nothing_else() {
    let lines =
        ["", "\n", "lacre-slot-v2 x\n", "lacre-slot-v1 body=- chunks=-1 expires=0 written=0\n", "é\n"];
    for line in lines {
        let (_root, path, store) = stored(3);
        fs::write(file_of(&path, 1), format!("{line}sealed")).unwrap();
        chmod(&file_of(&path, 1), 0o600);
        assert_eq!(wait(store.fetch(&key(1))).unwrap_err().kind(), ErrorKind::Broken, "{line:?}");
        assert!(wait(store.sweep(NOW)).is_ok());
        assert_eq!(wait(store.usage()).unwrap().records, 3);
        put(&store, 1, record(b"healed"));
        assert_eq!(sealed(&store, 1).unwrap(), b"healed");
    }
}

#[test]
fn foreign_newer_and_damaged_directories_are_refused_and_left_as_they_are() {
    for (name, content, expected) in [
        ("letter.txt", "private", StoreErrorKind::Unusable),
        ("lacre-store", "lacre-store-v2 whatever\n", StoreErrorKind::TooNew),
        ("lacre-store", "garbage", StoreErrorKind::Unusable),
    ] {
        let (_root, path) = place();
        fs::create_dir(&path).unwrap();
        fs::write(path.join(name), content).unwrap();
        chmod(&path.join(name), 0o600);
        assert_eq!(refusal(&path).0, expected, "{name} {content}");
        assert_eq!(everything_below(&path), [path.join(name)]);
        assert_eq!(fs::read_to_string(path.join(name)).unwrap(), content);
    }
}

#[test]
fn foreign_things_are_reported_in_one_printable_line_each() {
    let (_root, path, store) = stored(1);
    fs::write(path.join("x\n\u{1b}[31m"), "").unwrap();
    fs::create_dir(path.join("slot/zz")).unwrap();
    fs::write(path.join("slot/00/short"), "").unwrap();
    let findings = wait(store.inspect()).unwrap();
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.chars().all(|c| !c.is_control())), "{findings:?}");
    for n in 0..200 {
        fs::write(path.join(format!("slot/00/{n}")), "").unwrap();
    }
    assert_eq!(wait(store.inspect()).unwrap().len(), inspect::MAX_FINDINGS + 1);
    assert_eq!(sealed(&store, 0).unwrap(), [0; 100]);
}

#[test]
fn full_store_evicts_expired_and_old_records() {
    const MAX_BYTES: u64 = 2 << 20;
    let (_root, path) = place();
    let store = Fs::options().max_bytes(MAX_BYTES).open(&path).unwrap();
    for n in 0..200_u8 {
        let expires = if n % 10 == 0 { NOW } else { Timestamp::MAX };
        let written = NOW.plus(Duration::from_secs(1 + u64::from(n)));
        put(&store, n, Record { expires, written, ..record(&[n; 20_000]) });
        assert!(sealed(&store, n).is_some(), "what was just written stays");
    }
    let usage = wait(store.usage()).unwrap();
    assert!(usage.bytes <= MAX_BYTES && usage.records > 60, "{usage:?}");
    let mut left = Vec::new();
    wait(store.each(&mut |row| left.push(row.record.unwrap().sealed[0]))).unwrap();
    let gone = left.iter().filter(|n| **n < 40 || **n % 10 == 0).count();
    assert!(gone < 12, "{left:?}");
    let error = wait(store.put(&key(1), record(&[0; 3 << 20]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Full));
}

#[test]
fn orphans_are_evicted_before_records() {
    let (_root, path) = place();
    let store = Fs::options().max_bytes(1 << 20).open(&path).unwrap();
    for index in 0..40 {
        wait(store.stage(BodyId::from_bytes([1; 16]), index, &[0; 20_000], NOW)).unwrap();
    }
    let later = NOW.plus(ORPHAN_AGE * 2);
    for n in 0..30 {
        put(&store, n, Record { expires: Timestamp::MAX, written: later, ..record(&[n; 20_000]) });
    }
    assert_eq!(wait(store.usage()).unwrap().records, 30);
}

#[test]
fn sweep_removes_leftovers_of_killed_writers_and_recounts() {
    let (_root, path, store) = stored(2);
    let abandoned = path.join("temp").join("0".repeat(32));
    fs::write(&abandoned, "half").unwrap();
    wait(store.sweep(Timestamp::from_seconds(0))).unwrap();
    assert!(abandoned.exists(), "it may still be written");
    fs::remove_file(file_of(&path, 1)).unwrap();
    wait(store.sweep(NOW.plus(ORPHAN_AGE))).unwrap();
    assert!(!abandoned.exists());
    assert_eq!(wait(store.usage()).unwrap(), Usage { records: 0, bytes: 0 });
}

#[test]
fn copies_are_stale_after_a_writer_was_killed() {
    let (_root, path, store) = stored(1);
    let other = Fs::open(&path).unwrap();
    let before = other.generation();
    let mut state = fs::read(path.join("state")).unwrap();
    state[7] += 1;
    fs::write(path.join("state"), state).unwrap();
    assert_eq!((store.generation(), other.generation()), (None, None));
    put(&store, 1, record(b"x"));
    assert!(other.generation().is_some() && other.generation() != before);
}

#[test]
fn generation_changes_only_when_another_writer_writes() {
    let (_root, path, store) = stored(1);
    let other = Fs::open(&path).unwrap();
    let before = [store.generation().unwrap(), other.generation().unwrap()];
    put(&store, 1, record(b"own"));
    assert_eq!(store.generation().unwrap(), before[0]);
    assert_ne!(other.generation().unwrap(), before[1]);
    let before = other.generation();
    let until = NOW.plus(Duration::from_secs(1));
    wait(store.lease(&key(1), LeaseHolder::generate().unwrap(), until, NOW)).unwrap();
    assert_eq!(other.generation(), before, "a lease changes no record");
    assert_eq!(wait(store.change(Purpose::Write, |_| Ok(store.generation()))).unwrap(), None);
}

#[test]
fn planted_lease_or_state_delays_nobody() {
    let (_root, path, store) = stored(1);
    let until = NOW.plus(Duration::from_secs(1));
    for planted in ["garbage".to_owned(), text::lease_line(LeaseHolder::generate().unwrap(), Timestamp::MAX)]
    {
        let lease = path.join("lease").join(key(1).to_string());
        fs::write(&lease, planted).unwrap();
        chmod(&lease, 0o600);
        assert!(wait(store.lease(&key(1), LeaseHolder::generate().unwrap(), until, NOW)).unwrap());
    }
    for state in [vec![0xFF; 16], vec![1, 2, 3], vec![]] {
        fs::write(path.join("state"), state).unwrap();
        put(&store, 5, record(b"goes on"));
        assert_eq!(sealed(&store, 5).unwrap(), b"goes on");
    }
}

#[test]
fn a_store_opened_for_reading_reads_and_refuses_to_write() {
    let (root, path, store) = stored(0);
    let reading = Fs::options().read_only().open(&path).unwrap();
    suite::run_reading(&store, &reading);
    assert!(reading.generation().is_some());
    let empty = root.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for missing in [root.path().join("absent"), empty.clone()] {
        let error = Fs::options().read_only().open(&missing).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Store(StoreErrorKind::Missing));
    }
    assert!(!root.path().join("absent").exists());
    assert_eq!(everything_below(&empty), Vec::<PathBuf>::new());
}

#[test]
fn reading_changes_no_file() {
    let (_root, path, store) = stored(3);
    drop(store);
    let contents = || -> Vec<_> {
        let files = everything_below(&path).into_iter().filter(|path| path.is_file());
        files
            .map(|file| (fs::read(&file).unwrap(), fs::metadata(&file).unwrap().modified().unwrap(), file))
            .collect()
    };
    let before = contents();
    let reading = Fs::options().read_only().open(&path).unwrap();
    assert_eq!(sealed(&reading, 2).unwrap(), [2; 100]);
    wait(reading.each(&mut |row| assert!(row.record.is_ok()))).unwrap();
    assert_eq!(wait(reading.usage()).unwrap().records, 3);
    assert_eq!(wait(reading.inspect()).unwrap(), Vec::<String>::new());
    assert_eq!(contents(), before);
}
