//! Who may get whose answer: properties 28 to 30 of the threat model.

use crate::cache::{Cache, plain, respond, url, wishing, with};
use http::Request;
use lacre_core::{Policy, RequestOptions};

const FRESH: (&str, &str) = ("cache-control", "max-age=60");

/// The same request on behalf of `who`, in every way to say so.
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
    // What only the caller knows, such as the certificate that a connection is made with.
    all.push(wishing("/", RequestOptions::new().partition(who)));
    all
}

fn policy() -> Policy {
    Policy::rfc9111().methods([http::Method::GET, http::Method::POST])
}

/// A cookie does so where nothing says that the answer may be reused; `cookies` has the rest.
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
            assert!(cache.asks(bob), "{shown}");
            assert!(cache.asks(url("/")), "{shown}");
        }
    }
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
fn a_shared_cache_stores_no_cookie_that_was_set_for_one_of_those_without_credentials() {
    let sets = [FRESH, ("set-cookie", "session=1")];
    let mut cache = Cache::new(Policy::rfc9111().shared());
    let first = cache.get(url("/"), &sets, "");
    assert_eq!(first.status.to_string(), "lacre; fwd=uri-miss; fwd-status=200; detail=set-cookie");
    assert!(cache.asks(url("/")));

    // By way of a validation, neither; whoever caused it gets the cookie.
    cache.get(url("/"), &[FRESH, ("etag", "\"1\"")], "body");
    cache.after(61);
    let news = [FRESH, ("etag", "\"1\""), ("set-cookie", "session=2")];
    let validated = cache.exchange(url("/"), &mut |_| Some(respond(304, &news, ""))).unwrap();
    assert_eq!(validated.parts.headers["set-cookie"], plain("session=2"));
    assert!(!cache.hit(url("/")).parts.headers.contains_key("set-cookie"));

    // One's own cache, or one whose users were told to share, keeps it.
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
        assert!(cache.asks(with("/", &[(name, "PUT")])), "{name}");
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
        assert!(cache.asks(url("/")), "{name}");
        assert!(cache.asks(with("/", &[(name, "good.example")])), "{name}");
        assert_eq!(cache.hit(with("/", &[(name, "evil.example")])).body, "poison", "{name}");
    }
}
