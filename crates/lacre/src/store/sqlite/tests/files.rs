//! The file system around the file: links, modes, owners.

use super::*;
use std::os::unix::fs::{PermissionsExt, chown, symlink};

pub(super) fn make_private(path: &Path) {
    chmod(path, 0o600);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    file.with_file_name(format!("cache.sqlite{suffix}"))
}

#[test]
fn p21_no_link_is_followed_to_the_file_or_its_companions() {
    let (root, target) = stored(1);
    let link = root.path().join("link.sqlite");
    symlink(&target, &link).unwrap();
    assert_eq!(refusal(&link).0, StoreErrorKind::Unusable);
    let victim = root.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    for suffix in ["-wal", "-shm", "-journal"] {
        symlink(&victim, beside(&target, suffix)).unwrap();
        assert_eq!(refusal(&target).0, StoreErrorKind::Unusable, "{suffix}");
        fs::remove_file(beside(&target, suffix)).unwrap();
    }
    let dangling = root.path().join("dangling.sqlite");
    symlink(root.path().join("nowhere"), &dangling).unwrap();
    assert_eq!(refusal(&dangling).0, StoreErrorKind::Unusable);
    assert!(!root.path().join("nowhere").exists());
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert!(Sqlite::open(&target).is_ok());
}

#[test]
fn p21_a_file_with_another_name_is_not_written_through_it() {
    let (root, file) = stored(1);
    let (victim, companion) = (root.path().join("victim"), beside(&file, "-wal"));
    fs::write(&victim, "precious").unwrap();
    make_private(&victim);
    fs::hard_link(&victim, &companion).unwrap();
    assert!(refusal(&file).1.to_string().contains("hard link"));
    fs::remove_file(&companion).unwrap();
    let other = root.path().join("snapshot.sqlite");
    fs::hard_link(&file, &other).unwrap();
    let (trouble, error) = refusal(&file);
    assert!(trouble == StoreErrorKind::Unusable && error.hint().unwrap().contains("copy"), "{error:?}");
    assert_eq!(sealed(&Sqlite::options().read_only().open(&file).unwrap(), 0).unwrap(), [0; 100]);
    fs::remove_file(&other).unwrap();
    assert!(Sqlite::open(&file).is_ok());
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

#[test]
fn p21_files_and_directories_that_others_can_write_are_refused_with_their_remedy() {
    let (root, file) = stored(1);
    for mode in [0o660, 0o606, 0o666] {
        chmod(&file, mode);
        let (trouble, error) = refusal(&file);
        assert_eq!(trouble, StoreErrorKind::Unusable);
        assert!(error.hint().unwrap().starts_with("chmod 600 "), "{error:?}");
    }
    chmod(&file, 0o600);
    chmod(root.path(), 0o777);
    assert!(refusal(&file).1.hint().unwrap().starts_with("chmod go-w "));
    chmod(root.path(), 0o1777);
    assert!(Sqlite::open(&file).is_ok(), "others cannot touch our files in a sticky directory");
}

#[test]
fn file_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give files away");
        return;
    }
    const SOMEBODY: u32 = 12345;
    let (root, file) = stored(1);
    chown(&file, Some(SOMEBODY), None).unwrap();
    assert!(refusal(&file).1.to_string().contains("another user"));
    chown(&file, Some(0), None).unwrap();
    chown(root.path(), Some(SOMEBODY), None).unwrap();
    assert!(refusal(&file).1.to_string().contains("another user"));
}

#[test]
fn every_file_is_private_while_the_store_is_in_use() {
    let (root, _) = place();
    let file = root.path().join("made/on/the/way/cache.sqlite");
    let store = Sqlite::open(&file).unwrap();
    wait(store.put(&key(1), record(&[1; 100_000]))).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let mode = fs::metadata(beside(&file, suffix)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{suffix}");
    }
    let directory = file.parent().unwrap();
    assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(directory.join("CACHEDIR.TAG").exists() && directory.join(".gitignore").exists());
}
