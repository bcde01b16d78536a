//! Redirects, followed above the cache (RFC 9110 §15.4).

use crate::clients::MakeClient;
use crate::support::{client, get, request};
use http::Method;
use lacre_drivers::{Origin, fresh, respond};

pub(crate) fn each_hop_of_a_redirect_is_cached_by_itself(make: MakeClient) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/a" => respond(301, &[("location", "b"), ("cache-control", "max-age=60")], ""),
        "/b" => respond(302, &[("location", "/c?d"), ("cache-control", "no-store")], ""),
        "/c?d" => respond(307, &[("location", "/end"), ("cache-control", "max-age=60")], ""),
        _ => fresh("end"),
    });
    let (client, _) = client(make);
    for _ in 0..2 {
        let end = get(&*client, &origin.url("/a"));
        assert_eq!((end.status, &end.body[..]), (200, &b"end"[..]));
    }
    let paths: Vec<String> = origin.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/a", "/b", "/c?d", "/end", "/b"]);
}

pub(crate) fn a_redirect_loop_ends_with_an_error(make: MakeClient) {
    let origin = Origin::start(|_| respond(302, &[("location", "/")], ""));
    let (client, _) = client(make);
    client.fetch(request(Method::GET, &origin.url("/"), &[])).unwrap_err();
    assert_eq!(origin.request_count(), 11);
}

pub(crate) fn credentials_are_not_sent_to_another_origin(make: MakeClient) {
    let end = Origin::start(|_| fresh("end"));
    let elsewhere = end.url("/");
    let origin = Origin::start(move |_| respond(302, &[("location", &elsewhere)], ""));
    let (client, _) = client(make);
    let headers = [("authorization", "Bearer hidden"), ("cookie", "hidden=1"), ("accept", "text/html")];
    client.fetch(request(Method::GET, &origin.url("/"), &headers)).unwrap();
    let seen = end.requests().pop().unwrap();
    assert_eq!((seen.header("authorization"), seen.header("cookie")), (None, None));
    assert_eq!(seen.header("accept"), Some("text/html"));
}

pub(crate) fn custom_headers_are_not_sent_to_another_origin(make: MakeClient) {
    let end = Origin::start(|_| fresh("end"));
    let elsewhere = end.url("/");
    let origin = Origin::start(move |_| respond(302, &[("location", &elsewhere)], ""));
    let (client, _) = client(make);
    let own = ["x-secret-sauce", "x-tenant-id", "x-functions-key", "x-whatever", "origin", "referer"];
    let headers = own.map(|name| (name, "hidden"));
    client.fetch(request(Method::GET, &origin.url("/"), &headers)).unwrap();
    let seen = end.requests().pop().unwrap();
    assert!(seen.headers.values().all(|value| value != "hidden"), "{:?}", seen.headers.keys());
}

pub(crate) fn redirects_within_a_virtual_host_keep_its_host_header(make: MakeClient) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/a" => respond(302, &[("location", "/b")], ""),
        "/b" => respond(302, &[("location", "http://virtual.example/c")], ""),
        _ => fresh(request.header("host").unwrap_or_default().to_owned()),
    });
    let (client, _) = client(make);
    let request = request(Method::GET, &origin.url("/a"), &[("host", "virtual.example")]);
    assert_eq!(client.fetch(request).unwrap().body, "virtual.example");
    assert_eq!(origin.request_count(), 3);
}
