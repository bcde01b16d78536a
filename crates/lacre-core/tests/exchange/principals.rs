//! Separation of requesters: properties 28 to 30 of the threat model.

use crate::cache::{Cache, plain, respond, url, with, with_options};
use http::Request;
use lacre_core::{Policy, RequestOptions, Slot, Transport};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// The same request for `who`, with every kind of credential.
fn on_behalf_of(who: &str) -> Vec<Request<&'static str>> {
    let posted = |content_type: &str, body: String| {
        let body: &'static str = body.leak();
        Request::post("http://example.com/").header("content-type", content_type).body(body).unwrap()
    };
    let mut all: Vec<Request<&'static str>> = [
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-api-key",
        "X-Auth-Token",
        "x-amz-security-token",
        "x-csrf-token",
        "x-gitlab-token",
        "apikey",
        "x-functions-key",
        "x-jfrog-art-api",
        "x-honeycomb-team",
        "ocp-apim-subscription-key",
        "cf-access-jwt-assertion",
        "x-goog-iap-jwt-assertion",
        "x-amzn-oidc-data",
        "x-amzn-oidc-identity",
        "x-ms-client-principal",
        "x-ms-client-principal-name",
        "x-auth-request-user",
        "x-auth-request-groups",
        "x-forwarded-user",
        "x-forwarded-email",
        "x-forwarded-client-cert",
        "remote-user",
        "x-remote-user",
        "client-cert",
        "x-ssl-client-dn",
        "dpop",
        "x-session",
        "x-tenant-id",
        "openai-organization",
        "x-org-id",
    ]
    .map(|name| with("/", &[(name, who)]))
    .into();
    all.extend(
        ["api_key", "access_token", "sig", "X-Amz-Signature"].map(|name| url(&format!("/?{name}={who}"))),
    );
    all.push(Request::get(format!("http://{who}@example.com/")).body("").unwrap());
    all.push(Request::get(format!("http://user:{who}@example.com/")).body("").unwrap());
    all.push(posted("application/x-www-form-urlencoded", format!("password={who}")));
    all.push(posted("application/json", format!(r#"{{"a":[{{"token":"{who}"}}]}}"#)));
    // A principal that only the caller knows, for example from a client certificate.
    all.push(with_options("/", RequestOptions::new().partition(who)));
    all
}

fn policy() -> Policy {
    Policy::rfc9111().methods([http::Method::GET, http::Method::POST])
}

/// A cookie separates responses without a lifetime only. See `cookies`.
#[test]
fn p28_credentials_partition_by_default() {
    let ignoring = policy().ignored_parameters(["api_key", "Authorization", "password", "token"]);
    let own_keys = policy().key_fn(|_, _| "the same".to_owned());
    for policy in [
        policy(),
        policy().shared(),
        Policy::requests_cache().methods([http::Method::GET, http::Method::POST]),
        ignoring,
        own_keys,
    ] {
        for (alice, bob) in on_behalf_of("alice").into_iter().zip(on_behalf_of("bob")) {
            let by_cookie = alice.headers().contains_key("cookie");
            let policy = if by_cookie { policy.clone().partition_by_cookies() } else { policy.clone() };
            let mut cache = Cache::new(policy);
            let public = [("cache-control", "public, max-age=60")];
            let shown = format!("{} {:?} {:?}", alice.uri(), alice.headers(), alice.body());
            cache.get(alice.clone(), &public, "alice's");
            assert_eq!(cache.hit(alice).body, "alice's", "{shown}");
            assert!(cache.misses(bob), "{shown}");
            assert!(cache.misses(url("/")), "{shown}");
        }
    }
}

#[test]
fn per_request_headers_do_not_separate_requests() {
    for name in [
        "x-request-id",
        "x-correlation-id",
        "traceparent",
        "tracestate",
        "baggage",
        "x-b3-traceid",
        "x-amzn-trace-id",
        "x-cloud-trace-context",
        "x-datadog-trace-id",
        "sentry-trace",
        "idempotency-key",
        "x-idempotency-key",
        "x-ms-client-request-id",
        "sec-fetch-user",
        "sec-websocket-key",
        "date",
    ] {
        let mut cache = Cache::new(Policy::rfc9111().shared());
        cache.get(with("/", &[(name, "1")]), &[FRESH], "");
        cache.hit(with("/", &[(name, "2")]));
        cache.hit(url("/"));
    }
    let proofs = |proof| with("/", &[("authorization", "DPoP token"), ("dpop", proof)]);
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(proofs("for the first request"), &[FRESH], "");
    cache.hit(proofs("for the second"));
}

#[test]
fn named_headers_partition_the_cache() {
    let on_behalf_of = |who| with("/", &[("x-pass", who)]);
    for (policy, apart) in [
        (Policy::rfc9111(), false),
        (Policy::rfc9111().partition_by_headers(["X-Pass"]), true),
        (Policy::rfc9111().partition_by_headers(["x_pass"]).ignored_parameters(["X-Pass"]), true),
        (Policy::rfc9111().partition_by_headers(["X-Pass"]).danger_share_across_credentials(), false),
    ] {
        let name = http::HeaderName::from_static("x-pass");
        assert_eq!(policy.partitions_by_header(&name), apart);
        let mut cache = Cache::new(policy);
        cache.get(on_behalf_of("alice"), &[FRESH], "alice's");
        assert_eq!(cache.misses(on_behalf_of("bob")), apart);
    }
}

#[test]
fn ignoring_an_identity_does_not_merge_its_users() {
    let mut cache = Cache::new(Policy::rfc9111().ignored_parameters(["Remote-User"]));
    cache.get(with("/", &[("remote-user", "alice")]), &[FRESH], "alice's");
    assert!(cache.misses(with("/", &[("remote-user", "bob")])));
}

/// A request over a non-standard transport.
fn over(uri: &str, transport: &Transport) -> Request<&'static str> {
    let mut request = Request::get(uri).body("").unwrap();
    transport.add_to(request.extensions_mut());
    request
}

#[test]
fn responses_are_not_shared_across_transports() {
    let usual = Transport::standard;
    let transports = [
        usual(),
        usual().unverified(),
        usual().roots([b"a private root"]),
        usual().roots([b"another"]),
        usual().client_certificate([b"alice"]),
        usual().client_certificate([b"bob"]),
        usual().verified_name("elsewhere.example"),
        usual().route("unix:/run/app.sock"),
        usual().unseen("1"),
        usual().unseen("2"),
        usual().unseen_tls("1"),
        usual().named("staging"),
    ];
    for policy in
        [Policy::rfc9111(), Policy::rfc9111().shared(), Policy::rfc9111().key_fn(|_, _| "same".to_owned())]
    {
        let mut cache = Cache::new(policy);
        for (index, transport) in transports.iter().enumerate() {
            let body: &'static str = index.to_string().leak();
            cache.get(over("https://example.com/", transport), &[FRESH], body);
        }
        for (index, transport) in transports.iter().enumerate() {
            assert_eq!(
                cache.hit(over("https://example.com/", transport)).body,
                index.to_string(),
                "{transport:?}"
            );
        }
    }
    // Unverified transports are not separated by their roots.
    let mut cache = Cache::new(Policy::rfc9111());
    cache.get(over("http://example.com/", &usual().unverified()), &[FRESH], "");
    cache.hit(over("http://example.com/", &usual()));
    assert!(cache.misses(over("http://example.com/", &usual().proxy("http://proxy.example:3128"))));
    // Sharing across credentials applies to client certificates, but not to unverified transports.
    let mut cache = Cache::new(Policy::rfc9111().danger_share_across_credentials());
    cache.get(over("https://example.com/", &usual().client_certificate([b"alice"])), &[FRESH], "");
    cache.hit(over("https://example.com/", &usual()));
    assert!(cache.misses(over("https://example.com/", &usual().unverified())));
}

#[test]
fn shared_cache_stores_a_cookie_for_its_client_certificate_only() {
    let sets = [FRESH, ("set-cookie", "session=1")];
    let mut cache = Cache::new(Policy::rfc9111().shared());
    let alice = Transport::standard().client_certificate([b"alice"]);
    cache.get(over("https://example.com/", &alice), &sets, "");
    assert!(cache.hit(over("https://example.com/", &alice)).parts.headers.contains_key("set-cookie"));
    assert!(cache.misses(over("https://example.com/", &Transport::standard())));
}

fn for_host(uri: &str, host: &str) -> Request<&'static str> {
    Request::get(uri).header("host", host).body("").unwrap()
}

#[test]
fn key_has_the_authority_of_host() {
    let mut cache = Cache::new(Policy::rfc9111());
    let here = "http://example.com/";
    cache.get(for_host(here, "evil.example"), &[FRESH], "evil's");
    assert!(cache.misses(url("/")), "the URL alone");
    assert!(cache.misses(for_host(here, "good.example")));
    assert!(
        cache.misses(Request::get("http://evil.example/").body("").unwrap()),
        "a request to that host itself"
    );
    assert!(
        cache.misses(for_host("http://other.example/", "evil.example")),
        "another peer that answers for the host"
    );
    assert_eq!(cache.hit(for_host(here, "EVIL.example:80")).body, "evil's");
    // A Host equal to the URL's changes nothing.
    cache.get(url("/"), &[FRESH], "ours");
    assert_eq!(cache.hit(for_host(here, "example.com")).body, "ours");
    // A request as a server receives it has a path only.
    cache.get(for_host("/p", "example.com"), &[FRESH], "p");
    assert_eq!(cache.hit(url("/p")).body, "p");
}

#[test]
fn request_without_exactly_one_valid_host_is_bypassed() {
    let twice =
        || Request::get("http://example.com/").header("host", "a").header("host", "b").body("").unwrap();
    let here = "http://example.com/";
    let mut cache = Cache::new(Policy::rfc9111());
    for request in
        [twice(), for_host(here, ""), for_host(here, "u:p@evil"), for_host(here, "a b"), for_host("/", "a/b")]
    {
        let passed = cache.get(request, &[FRESH], "");
        assert_eq!(passed.status.to_string(), "lacre; fwd=bypass; fwd-status=200; detail=no-authority");
    }
    let without = cache.get(Request::get("/").body("").unwrap(), &[FRESH], "");
    assert_eq!(without.status.to_string(), "lacre; fwd=bypass; fwd-status=200; detail=no-authority");
    assert!(cache.rows.is_empty());
}

#[test]
fn invalidation_and_display_use_the_target_uri() {
    let here = "http://example.com/";
    let post = |path: &str, host: &str| {
        Request::post(format!("http://example.com{path}")).header("host", host).body("").unwrap()
    };
    let mut cache = Cache::new(Policy::rfc9111());
    let shown = |cache: &Cache| {
        let entry = |slot: &Slot<_>| match slot {
            Slot::Entry(entry) => Some(entry.url.clone()),
            _ => None,
        };
        let mut urls: Vec<_> = cache.rows.values().filter_map(entry).collect();
        urls.sort_unstable();
        urls
    };
    cache.get(for_host(here, "a.example"), &[FRESH], "a");
    cache.get(for_host(here, "b.example"), &[FRESH], "b");
    cache.get(for_host("http://example.com/named", "a.example"), &[FRESH], "named");
    assert_eq!(shown(&cache), ["http://a.example/", "http://a.example/named", "http://b.example/"]);
    // Another host at the same address, and a location on another host.
    cache.get(post("/", "c.example"), &[("location", "http://a.example/named")], "");
    assert_eq!(shown(&cache).len(), 3);
    cache.get(post("/", "a.example"), &[("location", "http://a.example/named")], "");
    assert_eq!(shown(&cache), ["http://b.example/"]);
}

#[test]
fn p29_set_cookie_never_crosses_partitions() {
    let sets = [("cache-control", "public, max-age=60"), ("set-cookie", "session=alice's")];
    for policy in [Policy::rfc9111(), Policy::rfc9111().partition_by_cookies(), Policy::rfc9111().shared()] {
        let mut cache = Cache::new(policy);
        cache.get(with("/", &[("cookie", "id=alice")]), &sets, "");
        cache.hit(with("/", &[("cookie", "id=alice")]));
        for other in [url("/"), with("/", &[("cookie", "id=bob")])] {
            assert!(!cache.get(other, &[FRESH], "").parts.headers.contains_key("set-cookie"));
        }
    }
}

#[test]
fn shared_cache_stores_no_cookie_of_an_anonymous_client() {
    let sets = [FRESH, ("set-cookie", "session=1")];
    let mut cache = Cache::new(Policy::rfc9111().shared());
    let first = cache.get(url("/"), &sets, "");
    assert_eq!(first.status.to_string(), "lacre; fwd=uri-miss; fwd-status=200; detail=set-cookie");
    assert!(cache.misses(url("/")));

    // After a validation, neither gets it; the client that caused it gets the cookie.
    cache.get(url("/"), &[FRESH, ("etag", "\"1\"")], "body");
    cache.after(61);
    let update = [FRESH, ("etag", "\"1\""), ("set-cookie", "session=2")];
    let validated = cache.exchange(url("/"), &mut |_| Some(respond(304, &update, ""))).unwrap();
    assert_eq!(validated.parts.headers["set-cookie"], plain("session=2"));
    assert!(!cache.hit(url("/")).parts.headers.contains_key("set-cookie"));

    // A private cache, or one that shares across credentials, keeps it.
    for policy in [Policy::rfc9111(), Policy::rfc9111().shared().danger_share_across_credentials()] {
        let mut cache = Cache::new(policy);
        cache.get(url("/"), &sets, "");
        assert_eq!(cache.hit(url("/")).parts.headers["set-cookie"], plain("session=1"));
    }
}

#[test]
fn p30_method_override_and_forwarding_headers_bypass_or_are_keyed() {
    for name in ["x-http-method-override", "x-http-method", "x-method-override"] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(with("/", &[(name, "PUT")]), &[FRESH], "answer to something else");
        assert!(cache.rows.is_empty(), "{name}");
        cache.get(url("/"), &[FRESH], "");
        assert!(cache.misses(with("/", &[(name, "PUT")])), "{name}");
    }
    for name in [
        "forwarded",
        "front-end-https",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-path",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-host",
        "x-original-url",
        "x-original-uri",
        "x-rewrite-url",
    ] {
        let mut cache = Cache::new(Policy::rfc9111());
        cache.get(with("/", &[(name, "evil.example")]), &[FRESH], "poison");
        assert!(cache.misses(url("/")), "{name}");
        assert!(cache.misses(with("/", &[(name, "good.example")])), "{name}");
        assert_eq!(cache.hit(with("/", &[(name, "evil.example")])).body, "poison", "{name}");
    }
}
