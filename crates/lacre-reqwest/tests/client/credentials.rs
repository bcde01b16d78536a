//! Requests with different credentials share no response, also if the cache cannot see the
//! credentials.

use crate::support::{client, get, whole};
use http::{HeaderMap, HeaderValue, header};
use lacre::Policy;
use lacre_drivers::{Origin, cache, fresh, respond};
use lacre_reqwest::{CacheMiddleware, ClientBuilder, FollowRedirects};
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next};
use std::sync::Arc;

/// An origin that echoes the credentials of a request.
fn mirror() -> Origin {
    Origin::start(|request| {
        let credentials =
            ["authorization", "cookie", "x-api-key"].map(|name| request.header(name).unwrap_or("-"));
        fresh(credentials.join(" "))
    })
}

#[tokio::test]
async fn clients_with_different_default_credentials_never_share_a_response() {
    let origin = mirror();
    let (cache, _) = cache(Policy::rfc9111().partition_by_cookies());
    for name in ["authorization", "cookie", "x-api-key"] {
        for secret in ["first", "second"] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(secret))]);
            let client = ClientBuilder::new(cache.clone()).default_headers(headers).build().unwrap();
            for expected in ["fwd=uri-miss", "hit"] {
                let (_, body, status) = get(&client, &origin.url("/")).await;
                assert!(body.windows(secret.len()).any(|part| part == secret.as_bytes()), "{name}: {body:?}");
                assert!(status.contains(expected), "{name}: {status}");
            }
        }
    }
    assert_eq!(origin.request_count(), 6);
}

#[tokio::test]
async fn requests_with_different_credentials_never_share_a_response() {
    let origin = mirror();
    let (client, _) = client();
    for token in ["a", "b", "a", "b"] {
        let (_, body, _) = whole(client.get(origin.url("/")).bearer_auth(token).send().await.unwrap()).await;
        assert_eq!(body, format!("Bearer {token} - -"));
    }
    let userinfo = origin.url("/").replace("http://", "http://user:pass@");
    assert_eq!(get(&client, &userinfo).await.1, "Basic dXNlcjpwYXNz - -");
    assert_eq!(get(&client, &origin.url("/")).await.1, "- - -");
    assert_eq!(origin.request_count(), 4);
}

#[tokio::test]
async fn headers_of_the_request_replace_default_headers() {
    let origin = Origin::start(|_| respond(200, &[], ""));
    let (cache, _) = cache(Policy::rfc9111());
    let mut headers = HeaderMap::new();
    headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_static("de"));
    headers.append(header::ACCEPT_LANGUAGE, HeaderValue::from_static("fr"));
    let builder =
        ClientBuilder::new(cache).default_headers(headers).user_agent(HeaderValue::from_static("test/1"));
    let client = builder.build().unwrap();
    client.get(origin.url("/")).send().await.unwrap();
    client
        .get(origin.url("/"))
        .header("accept-language", "it")
        .header("accept", "text/css")
        .send()
        .await
        .unwrap();
    let [first, second] = &origin.requests()[..] else { panic!("two requests") };
    let all = |seen: &lacre_drivers::ReceivedRequest, name: &str| {
        seen.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(all(first, "accept-language"), ["de", "fr"]);
    assert_eq!((all(first, "accept"), all(first, "user-agent")), (vec!["*/*".into()], vec!["test/1".into()]));
    assert_eq!(
        (all(second, "accept-language"), all(second, "accept")),
        (vec!["it".into()], vec!["text/css".into()])
    );
    assert_eq!(first.header("accept-encoding"), Some("gzip"));
}

/// Adds the same token to every request.
struct Signs(&'static str);

#[async_trait::async_trait]
impl Middleware for Signs {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static(self.0));
        next.run(request, extensions).await
    }
}

#[tokio::test]
async fn the_cache_sees_headers_of_middleware_above_it() {
    let origin = mirror();
    let (cache, _) = cache(Policy::rfc9111());
    for token in ["a", "b"] {
        let client = ClientBuilder::new(cache.clone()).with(Signs(token)).build().unwrap();
        assert_eq!(get(&client, &origin.url("/")).await.1, format!("{token} - -"));
    }
}

/// A client that was not built by this crate, with the cache in its middleware stack.
fn foreign(client: reqwest::Client, above: Vec<Arc<dyn Middleware>>) -> ClientWithMiddleware {
    let (cache, _) = cache(Policy::rfc9111());
    let mut stack = above;
    stack.push(Arc::new(CacheMiddleware::danger_assume_no_hidden_credentials(cache)));
    ClientWithMiddleware::new(client, stack)
}

#[tokio::test]
async fn a_response_that_varies_by_an_unseen_credential_is_not_stored() {
    let origin = Origin::start(|request| {
        let vary = if request.path == "/cookie" { "accept, Cookie" } else { "accept" };
        respond(200, &[("cache-control", "max-age=60"), ("vary", vary)], "")
    });
    let client = foreign(reqwest::Client::new(), Vec::new());
    get(&client, &origin.url("/accept")).await;
    assert_eq!(get(&client, &origin.url("/accept")).await.2, "lacre; hit; ttl=60");
    for _ in 0..2 {
        let (_, _, status) = get(&client, &origin.url("/cookie")).await;
        assert!(
            status.contains("fwd=") && status.ends_with("detail=vary") && !status.contains("stored"),
            "{status}"
        );
    }
    for expected in ["stored", "hit"] {
        let request = client.get(origin.url("/cookie")).header("cookie", "seen=1");
        let (_, _, status) = whole(request.send().await.unwrap()).await;
        assert!(status.contains(expected), "{status}");
    }
}

#[tokio::test]
async fn a_response_redirected_below_the_cache_is_not_stored() {
    let origin = || {
        Origin::start(|request| match request.path.as_str() {
            "/" => respond(302, &[("location", "/end"), ("cache-control", "no-store")], ""),
            _ => fresh("end"),
        })
    };
    let (below, above) = (origin(), origin());
    let client = foreign(reqwest::Client::new(), Vec::new());
    for _ in 0..2 {
        let response = client.get(below.url("/")).send().await.unwrap();
        assert_eq!(response.url().as_str(), below.url("/end"));
        assert_eq!(whole(response).await.1, "end");
    }
    assert_eq!(below.request_count(), 4);
    let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let client = foreign(plain, vec![Arc::new(FollowRedirects::default())]);
    for _ in 0..2 {
        assert_eq!(get(&client, &above.url("/")).await.1, "end");
    }
    assert_eq!(above.request_count(), 3);
}

#[tokio::test]
async fn a_client_built_elsewhere_validates_stale_responses_in_the_foreground() {
    let origin = Origin::start(|_| {
        respond(200, &[("cache-control", "max-age=0, stale-while-revalidate=60"), ("etag", "\"1\"")], "")
    });
    let client = foreign(reqwest::Client::new(), Vec::new());
    get(&client, &origin.url("/")).await;
    let (_, _, status) = get(&client, &origin.url("/")).await;
    assert!(status.starts_with("lacre; fwd=stale; fwd-status=200"), "{status}");
    assert_eq!(origin.request_count(), 2);
}
