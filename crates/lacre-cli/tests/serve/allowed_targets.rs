//! The addresses that a forward proxy connects to (decision 24).

use crate::origin::Origin;
use crate::proxy::{Proxy, header};

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or(response)
}

#[test]
fn a_forward_proxy_never_reaches_its_own_addresses() {
    let proxy =
        Proxy::start(&["--forward", "--admin", "127.0.0.1:0", "--danger-allow-target", "0.0.0.0/0,::/0"]);
    for (port, expected) in [(proxy.admin().port(), "403"), (proxy.address().port(), "508")] {
        for host in ["127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "127.1", "2130706433"] {
            let response = proxy.get(&format!("http://{host}:{port}/metrics"), "");
            assert_eq!(status(&response), expected, "{host}: {response}");
            assert!(
                header(&response, "proxy-status").is_some() && !response.contains("lacre_requests"),
                "{response}"
            );
        }
    }
}

#[test]
fn an_open_forward_proxy_reaches_only_public_or_allowed_addresses() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let port = origin.url().rsplit(':').next().unwrap().to_owned();
    let open = ["--forward", "--danger-open-proxy", "--listen", "0.0.0.0:0"];
    let proxy = Proxy::start(&open);
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "127.1", "[::1]"] {
        let response = proxy.get(&format!("http://{host}:{port}/"), "");
        assert_eq!(status(&response), "403", "{host}: {response}");
        assert!(response.contains("--danger-allow-target"), "{response}");
    }
    assert_eq!(origin.seen().len(), 0);
    let proxy = Proxy::start(&[&open[..], &["--danger-allow-target", "127.0.0.0/8"]].concat());
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(status(&proxy.get(&format!("http://{host}:{port}/"), "")), "200", "{host}");
    }
}

#[test]
fn an_open_forward_proxy_serves_no_stored_response_of_a_denied_target() {
    let origin = Origin::always("cache-control: max-age=60\r\n", "hello");
    let home = tempfile::tempdir().unwrap();
    let store = format!("sqlite:{}", home.path().join("cache.sqlite").display());
    let key = format!("file:{}", home.path().join("keys/keyring").display());
    let flags = ["--forward", "--store", &store, "--key", &key];
    std::fs::create_dir(home.path().join("keys")).unwrap();
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_lacre"))
        .args(["key", "new", &key])
        .env_clear()
        .output();
    assert!(made.unwrap().status.success());
    let target = origin.url().replace("127.0.0.1", "localhost");
    {
        let proxy = Proxy::start(&flags);
        assert_eq!(status(&proxy.get(&target, "")), "200");
        proxy.terminate();
        assert_eq!(proxy.wait().0, Some(0));
    }
    let proxy = Proxy::start(&[&flags[..], &["--danger-open-proxy", "--listen", "0.0.0.0:0"]].concat());
    assert_eq!(status(&proxy.get(&target, "")), "403");
}
