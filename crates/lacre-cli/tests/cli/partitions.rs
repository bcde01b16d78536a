//! Requests that share no response: other hosts, other requesters, other proxies and roots.

use crate::sandbox::{Origin, Sandbox, response, unreachable_url};
use crate::tls::Authority;

const FRESH: &str = "cache-control: max-age=60\r\n";

/// An origin that answers with the request's `Host`.
fn virtual_hosts() -> Origin {
    Origin::start(|head| {
        let host = head.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        response("200 OK", FRESH, host.as_bytes())
    })
}

#[test]
fn host_header_is_part_of_the_key_and_of_the_url_shown() {
    let (sandbox, origin) = (Sandbox::new(), virtual_hosts());
    let url = origin.url("/");
    for host in ["a.example", "b.example", "a.example"] {
        assert_eq!(sandbox.ok(&["get", &url, &format!("Host:{host}")]).text(), host);
    }
    let own = url.strip_prefix("http://").unwrap().trim_end_matches('/');
    assert_eq!(sandbox.ok(&["get", &url]).text(), own);
    assert_eq!(origin.count(), 3);

    let explained = sandbox.ok(&["explain", &url, "Host:a.example"]);
    assert!(explained.text().starts_with("HIT"), "{}", explained.text());
    let identity = format!("GET + http://a.example/ + sent to {own}");
    assert!(explained.text().contains(&identity), "{}", explained.text());
    assert!(sandbox.ok(&["explain", &url, "Host:c.example"]).text().starts_with("MISS"));

    let listed = sandbox.ok(&["ls"]);
    for shown in ["http://a.example/", "http://b.example/", &url] {
        assert!(listed.text().contains(shown), "{}", listed.text());
    }
    assert!(sandbox.ok(&["show", "http://a.example/"]).text().ends_with("a.example"));
    sandbox.ok(&["rm", "--yes", "http://a.example/"]);
    assert_eq!(sandbox.ok(&["get", &url, "Host:b.example"]).cache_result(), "HIT");
    assert_eq!(sandbox.ok(&["get", &url, "Host:a.example"]).cache_result(), "MISS");
}

#[test]
fn request_with_an_invalid_host_bypasses_the_cache() {
    let (sandbox, origin) = (Sandbox::new(), virtual_hosts());
    for _ in 0..2 {
        let passed = sandbox.ok(&["get", &origin.url("/"), "Host:user:hunter2@a.example"]);
        assert_eq!(passed.cache_result(), "BYPASS");
        assert!(
            passed.err.contains("detail=no-authority") && !passed.err.contains("hunter2"),
            "{}",
            passed.err
        );
    }
    assert_eq!(origin.count(), 2);
}

#[test]
fn requester_headers_partition_the_cache_and_are_explained_by_name_only() {
    let (sandbox, origin) = (Sandbox::new(), Origin::always(FRESH, "x"));
    let url = origin.url("/");
    for (item, word) in [
        ("X-Functions-Key:hunter2", "MISS"),
        ("X-Functions-Key:hunter3", "MISS"),
        ("Remote-User:alice", "MISS"),
        ("X-Request-Id:1", "MISS"),
        ("X-Request-Id:2", "HIT"),
        ("X-Flavour:a", "HIT"),
    ] {
        assert_eq!(sandbox.ok(&["get", &url, item]).cache_result(), word, "{item}");
    }
    for (team, word) in [("a", "MISS"), ("b", "MISS"), ("a", "HIT")] {
        let result =
            sandbox.ok(&["get", "--partition-by-header", "X-Flavour", &url, &format!("X-Flavour:{team}")]);
        assert_eq!(result.cache_result(), word);
    }
    let explained = sandbox.ok(&[
        "explain",
        "--partition-by-header",
        "X-Flavour",
        &url,
        "X-Flavour:a",
        "X-Functions-Key:hunter2",
    ]);
    assert!(explained.text().contains("x-flavour (identifies the requester)"), "{}", explained.text());
    assert!(explained.text().contains("x-functions-key (identifies the requester)"), "{}", explained.text());
    assert!(!explained.text().contains("hunter2"));
}

#[test]
fn other_proxies_and_roots_of_the_environment_share_no_response() {
    let (sandbox, proxy, nowhere) = (Sandbox::new(), Origin::always(FRESH, "forged"), unreachable_url());
    let get = |proxy: Option<&str>| {
        let mut command = sandbox.command(&["get", &nowhere]);
        if let Some(proxy) = proxy {
            command.env("http_proxy", proxy);
        }
        command.output().unwrap()
    };
    let through = proxy.url("");
    for _ in 0..2 {
        assert_eq!(get(Some(&through)).stdout, b"forged");
    }
    assert_eq!(proxy.count(), 1);
    assert!(!get(None).status.success());
    let explained = |name: &str, value: &str| {
        let mut command = sandbox.command(&["explain", "--json", "https://site.invalid/"]);
        let output = command.env(name, value).output().unwrap();
        let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        object["key"].as_str().unwrap().to_owned()
    };
    let roots = ["one", "two"].map(|name| sandbox.file(name, Authority::new().pem()));
    let keys = [
        explained("NOTHING", ""),
        explained("SSL_CERT_FILE", &roots[0]),
        explained("SSL_CERT_FILE", &roots[1]),
        explained("SSL_CERT_DIR", "/etc/ssl/certs"),
    ];
    assert!(keys.iter().enumerate().all(|(at, key)| !keys[..at].contains(key)), "{keys:?}");
}
