//! The access log: its content and its file.

use crate::origin::Origin;
use crate::proxy::{Proxy, Signal};
use std::fs;
use std::time::{Duration, Instant};

/// A target with control characters and with secrets of several kinds.
fn hostile_target() -> String {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl";
    format!(
        "/\u{9b}31m\u{202e}\u{200b};token=hunter2/{token}/{jwt}?\u{9b}2J=1&{token}=1&pass=hunter2&hunter2"
    )
}

const FORBIDDEN: [&str; 6] = ["\u{9b}", "\u{202e}", "\u{200b}", "hunter2", "a1B2a1B2", "c2lnbmF0dXJl"];

#[test]
fn no_line_has_control_characters_or_secrets() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let proxy = Proxy::to(&origin.url(), &[]);
    proxy.get(&hostile_target(), "");
    proxy.wait_for_log(|line| line["url"].as_str().is_some_and(|url| url.contains("%C2%9B31m")));
    proxy.terminate();
    let (_, log) = proxy.wait();
    for forbidden in FORBIDDEN {
        assert!(!format!("{log:?}").contains(forbidden), "{forbidden:?} in {log:?}");
    }
}

#[test]
fn the_access_log_file_is_reopened_on_a_signal() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let home = tempfile::tempdir().unwrap();
    let (path, moved) = (home.path().join("access.log"), home.path().join("access.log.1"));
    let flags = ["--upstream", &origin.url(), "--access-log", path.to_str().unwrap()];
    let proxy = Proxy::with_home(home, &flags);
    let wait_for = |path: &std::path::Path, text: &str| {
        let begun = Instant::now();
        while !fs::read_to_string(path).is_ok_and(|log| log.contains(text)) {
            assert!(begun.elapsed() < crate::proxy::TIMEOUT, "{text} is not in {}", path.display());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    for (signal, before, after) in [(Signal::HUP, "/one", "/two"), (Signal::USR1, "/three", "/four")] {
        proxy.get(before, "");
        wait_for(&path, before);
        fs::rename(&path, &moved).unwrap();
        proxy.signal(signal);
        wait_for(&path, "");
        proxy.get(after, "");
        wait_for(&path, after);
        assert!(fs::read_to_string(&moved).unwrap().contains(before));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    proxy.terminate();
    let (_, log) = proxy.wait();
    assert!(log.iter().all(|line| line["schema"] != "lacre/access/v1"), "{log:?}");
}
