use super::*;
use http::Request;

fn key(policy: &Policy, request: Request<&str>) -> Key {
    let (parts, body) = request.into_parts();
    let digest = |identity: &[u8]| *blake3::hash(identity).as_bytes();
    request_key(
        policy,
        &digest,
        &parts.method,
        &Target::of(&parts).unwrap(),
        &parts,
        body.as_bytes(),
        &RequestOptions::new(),
        CookieUse::Included,
    )
}

fn get(uri: &str) -> Request<&'static str> {
    Request::get(uri).body("").unwrap()
}

fn with(uri: &str, name: &str, value: &str) -> Request<&'static str> {
    Request::get(uri).header(name, value).body("").unwrap()
}

#[test]
fn equivalent_urls_share_a_key() {
    let policy = Policy::rfc9111();
    let expected = key(&policy, get("http://example.com/a?b"));
    for same in ["http://EXAMPLE.com/a?b", "HTTP://example.com:80/a?b", "http://example.com:80/a?b"] {
        assert_eq!(key(&policy, get(same)), expected, "{same}");
    }
}

#[test]
fn p26_different_requests_never_share_a_key() {
    let policy = Policy::rfc9111().methods([Method::GET, Method::POST]);
    let post = |uri: &str, body: &'static str| Request::post(uri).body(body).unwrap();
    let requests = vec![
        get("http://example.com/"),
        get("https://example.com/"),
        get("http://example.com:8080/"),
        get("http://example.com/?"),
        get("http://example.com/?a"),
        get("http://example.com/?a="),
        get("http://example.com/?a=1&b=2"),
        get("http://example.com/?b=2&a=1"),
        get("http://example.com/a"),
        post("http://example.com/?a=1", "&b=2"),
        post("http://example.com/?a=1&b=2", ""),
        post("http://example.com/", "[1,2]"),
        post("http://example.com/", "[2,1]"),
        with("http://example.com/", "authorization", "Bearer 1"),
        with("http://example.com/", "authorization", "Bearer 2"),
        with("http://example.com/", "cookie", "Bearer 1"),
        with("http://example.com/", "x-api-key", "1"),
        get("http://user:pass@example.com/"),
        with("http://example.com/", "x-forwarded-host", "evil.example"),
        with("http://example.com/", "x-original-url", "/admin"),
    ];
    let keys: std::collections::HashSet<Key> =
        requests.iter().map(|request| key(&policy, request.clone())).collect();
    assert_eq!(keys.len(), requests.len());
}

#[test]
fn ignored_parameter_distinguishes_only_its_presence() {
    let policy = Policy::rfc9111().ignored_parameters(["Nonce"]);
    assert_eq!(key(&policy, get("http://h/?nonce=1")), key(&policy, get("http://h/?nonce=2")));
    assert_ne!(key(&policy, get("http://h/?nonce=1")), key(&policy, get("http://h/")));
}

#[test]
fn ignoring_a_credential_header_does_not_merge_its_users() {
    let policy = Policy::rfc9111().ignored_parameters(["Authorization"]);
    let of = |value| key(&policy, with("http://h/", "authorization", value));
    assert_ne!(of("a"), of("b"));
    let shared = policy.clone().danger_share_across_credentials();
    assert_eq!(
        key(&shared, with("http://h/", "authorization", "a")),
        key(&shared, with("http://h/", "authorization", "b"))
    );
}

#[test]
fn ignoring_a_credential_parameter_does_not_merge_its_users() {
    let policy = Policy::rfc9111().methods([Method::POST]).ignored_parameters(["api_key", "password"]);
    let query = |value: &str| get(&format!("http://h/?api_key={value}"));
    assert_ne!(key(&policy, query("a")), key(&policy, query("b")));
    let form = |body: &'static str| {
        Request::post("http://h/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .unwrap()
    };
    assert_ne!(key(&policy, form("password=a")), key(&policy, form("password=b")));
    let shared = policy.danger_share_across_credentials();
    assert_eq!(key(&shared, query("a")), key(&shared, query("b")));
    assert_eq!(key(&shared, form("password=a")), key(&shared, form("password=b")));
}

#[test]
fn multipart_boundary_is_not_part_of_the_key() {
    let policy = Policy::rfc9111().methods([Method::POST]);
    let form = |boundary: &str, content: &str| {
        let part = format!("content-disposition: form-data; name=\"a\"\r\n\r\n{content}");
        let body = format!("--{boundary}\r\n{part}\r\n--{boundary}\r\n{part}\r\n--{boundary}--\r\n");
        let content_type = format!("multipart/form-data; boundary={boundary}");
        let request = Request::post("http://h/").header("content-type", content_type);
        let (head, ()) = request.body(()).unwrap().into_parts();
        let (digest, options) = (|bytes: &[u8]| *blake3::hash(bytes).as_bytes(), RequestOptions::new());
        request_key(
            &policy,
            &digest,
            &Method::POST,
            &Target::of(&head).unwrap(),
            &head,
            body.as_bytes(),
            &options,
            CookieUse::Included,
        )
    };
    assert_eq!(form("a1b2", "text"), form("c3d4e5", "text"));
    assert_ne!(form("a1b2", "text"), form("a1b2", "txet"));
    assert_ne!(form("a1b2", "text"), form("a1b2", "text\r\n--c3d4e5\r\ntext"));
}

#[test]
fn redacted_header_is_part_of_the_key() {
    let policy = Policy::rfc9111().redact(["X-Session"]);
    let of = |value| key(&policy, with("http://h/", "x-session", value));
    assert_ne!(of("a"), of("b"));
}

#[test]
fn matched_headers_are_part_of_the_key_except_connection_headers() {
    let of = |policy: &Policy, name, value| key(policy, with("http://h/", name, value));
    let all = Policy::rfc9111().match_headers(MatchHeaders::All);
    assert_ne!(of(&all, "accept", "a"), of(&all, "accept", "b"));
    assert_eq!(of(&all, "connection", "a"), of(&all, "connection", "b"));
    let ignored = all.ignored_parameters(["Accept"]);
    assert_eq!(of(&ignored, "accept", "a"), of(&ignored, "accept", "b"));
    assert_ne!(of(&ignored, "accept", "a"), key(&ignored, get("http://h/")));
}

#[test]
fn sorted_queries_share_a_key_if_order_is_ignored() {
    let policy = Policy::rfc9111().query_order(QueryOrder::Sorted);
    assert_eq!(key(&policy, get("http://h/?a=1&b=2")), key(&policy, get("http://h/?b=2&a=1")));
}

#[test]
fn key_function_replaces_the_url_but_not_the_partition() {
    let policy = Policy::rfc9111().key_fn(|parts, _| parts.uri.path().to_owned());
    assert_eq!(key(&policy, get("http://a/x")), key(&policy, get("http://b/x")));
    assert_ne!(key(&policy, get("http://a/x")), key(&policy, with("http://a/x", "cookie", "s=1")));
    assert_ne!(key(&policy, get("http://a/x?api_key=1")), key(&policy, get("http://a/x?api_key=2")));
    assert_eq!(key(&policy, get("http://a/x?page=1")), key(&policy, get("http://a/x?page=2")));
    let json =
        |body| Request::post("http://a/x").header("content-type", "application/json").body(body).unwrap();
    assert_ne!(key(&policy, json(r#"[{"token":"1"}]"#)), key(&policy, json(r#"[{"token":"2"}]"#)));
    assert_eq!(key(&policy, json(r#"[{"page":"1"}]"#)), key(&policy, json(r#"[{"page":"2"}]"#)));
}

#[test]
fn client_addresses_are_not_part_of_a_shared_key() {
    let of = |policy: &Policy, value| key(policy, with("http://h/", "x-forwarded-for", value));
    let (private, shared) = (Policy::rfc9111(), Policy::rfc9111().shared());
    assert_ne!(of(&private, "127.0.0.1"), of(&private, "192.0.2.1"));
    assert_eq!(of(&shared, "127.0.0.1"), of(&shared, "192.0.2.1"));
    let of = |value| key(&shared, with("http://h/", "forwarded", value));
    assert_eq!(of("for=192.0.2.1;proto=https;host=a"), of("For=\"[2001:db8::1]\";proto=https;host=a, by=_x"));
    assert_eq!(of("for=192.0.2.1"), key(&shared, get("http://h/")));
    for other in ["for=192.0.2.1;proto=http;host=a", "proto=https;host=b", "for=\"x;proto=https;host=a\""] {
        assert_ne!(of("proto=https;host=a"), of(other), "{other}");
    }
}
