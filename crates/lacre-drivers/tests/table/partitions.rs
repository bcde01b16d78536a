//! Requests that must not share a response: other variants, credentials, hosts and cookies.

use crate::clients::MakeClient;
use crate::support::{client, get, request};
use http::Method;
use lacre_drivers::{Origin, fresh, respond};
use std::sync::atomic::{AtomicUsize, Ordering};

pub(crate) fn variants_are_stored_separately(make: MakeClient) {
    let origin = Origin::start(|request| {
        let language = request.header("accept-language").unwrap_or("none").to_owned();
        respond(200, &[("cache-control", "max-age=60"), ("vary", "accept-language")], language)
    });
    let (client, _) = client(make);
    for _ in 0..2 {
        for language in ["de", "fr"] {
            let request = request(Method::GET, &origin.url("/"), &[("accept-language", language)]);
            assert_eq!(client.fetch(request).unwrap().body, language);
        }
        assert_eq!(get(&*client, &origin.url("/")).body, "none");
    }
    assert_eq!(origin.request_count(), 3);
}

pub(crate) fn responses_are_not_shared_between_credentials(make: MakeClient) {
    let origin =
        Origin::start(|request| fresh(request.header("authorization").unwrap_or("nobody").to_owned()));
    let (client, _) = client(make);
    for token in ["a", "b", "a", "b"] {
        let request = request(Method::GET, &origin.url("/"), &[("authorization", token)]);
        assert_eq!(client.fetch(request).unwrap().body, token);
    }
    assert_eq!(get(&*client, &origin.url("/")).body, "nobody");
}

pub(crate) fn responses_are_not_shared_between_api_keys_and_identities(make: MakeClient) {
    const NAMES: [&str; 8] = [
        "x-api-key",
        "x-functions-key",
        "x-jfrog-art-api",
        "cf-access-jwt-assertion",
        "remote-user",
        "client-cert",
        "dpop",
        "x-tenant-id",
    ];
    let origin = Origin::start(|request| {
        let who = NAMES.into_iter().find_map(|name| request.header(name));
        fresh(who.unwrap_or("nobody").to_owned())
    });
    let (client, _) = client(make);
    for name in NAMES {
        for who in ["a", "b", "a", "b"] {
            let request = request(Method::GET, &origin.url("/"), &[(name, who)]);
            assert_eq!(client.fetch(request).unwrap().body, who, "{name}");
        }
    }
    assert_eq!(get(&*client, &origin.url("/")).body, "nobody");
    assert_eq!(origin.request_count(), 2 * NAMES.len() + 1);
}

pub(crate) fn responses_are_not_shared_between_host_headers(make: MakeClient) {
    let origin = Origin::start(|request| fresh(request.header("host").unwrap_or_default().to_owned()));
    let (client, _) = client(make);
    let url = origin.url("/");
    for host in ["a.example", "b.example", "a.example", "b.example"] {
        assert_eq!(client.fetch(request(Method::GET, &url, &[("host", host)])).unwrap().body, host);
    }
    let own = url.strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    assert_eq!(get(&*client, &url).body, own);
    let named = client.fetch(request(Method::GET, &url, &[("host", &own)])).unwrap();
    assert_eq!(named.cache_status(), "lacre; hit; ttl=60");
    assert_eq!(origin.request_count(), 3);
    client.fetch(request(Method::POST, &url, &[("host", "a.example")])).unwrap();
    let left: Vec<_> = ["a.example", "b.example", &own]
        .into_iter()
        .filter(|host| {
            let request = request(Method::GET, &url, &[("host", host)]);
            client.fetch(request).unwrap().cache_status().starts_with("lacre; hit")
        })
        .collect();
    assert_eq!(left, ["b.example", &own]);
}

pub(crate) fn cookies_are_kept_and_partition_responses(make: MakeClient) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/log-in" => {
            let headers = [("set-cookie", "user=1"), ("location", "/"), ("cache-control", "no-store")];
            respond(302, &headers, "")
        }
        "/log-out" => respond(200, &[("set-cookie", "user=; Max-Age=0"), ("cache-control", "no-store")], ""),
        _ => {
            let headers = [("cache-control", "max-age=60"), ("vary", "Cookie")];
            respond(200, &headers, request.header("cookie").unwrap_or("nobody").to_owned())
        }
    });
    let (client, _) = client(make);
    for _ in 0..2 {
        assert_eq!(get(&*client, &origin.url("/")).body, "nobody");
        assert_eq!(get(&*client, &origin.url("/log-in")).body, "user=1");
        assert_eq!(get(&*client, &origin.url("/")).body, "user=1");
        get(&*client, &origin.url("/log-out"));
    }
    let pages = origin.requests().into_iter().filter(|seen| seen.path == "/").count();
    assert_eq!(pages, 2, "once as nobody, once as the user");
}

pub(crate) fn a_rotating_cookie_does_not_prevent_hits(make: MakeClient) {
    let turn = AtomicUsize::new(0);
    let origin = Origin::start(move |_| {
        let cookie = format!("__cf_bm={}; Path=/", turn.fetch_add(1, Ordering::SeqCst));
        respond(200, &[("cache-control", "max-age=60"), ("set-cookie", &cookie)], "page")
    });
    let (client, _) = client(make);
    for path in ["/one", "/two"] {
        assert_eq!(
            get(&*client, &origin.url(path)).cache_status(),
            "lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored"
        );
    }
    for path in ["/one", "/two", "/one"] {
        assert_eq!(get(&*client, &origin.url(path)).cache_status(), "lacre; hit; ttl=60");
    }
    // The latest cookie from the origin: hits have not reset it.
    get(&*client, &origin.url("/three"));
    let sent: Vec<_> =
        origin.requests().iter().map(|seen| seen.header("cookie").map(str::to_owned)).collect();
    assert_eq!(sent, [None, Some("__cf_bm=0".into()), Some("__cf_bm=1".into())]);
}
