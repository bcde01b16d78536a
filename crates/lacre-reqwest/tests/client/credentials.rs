//! Who may share an answer, and what happens where the cache cannot see who asks.

use crate::origin::{Origin, cache, client, fresh, get, respond, whole};
use http::{HeaderMap, HeaderValue, header};
use lacre::Policy;
use lacre_reqwest::{CacheMiddleware, ClientBuilder, FollowRedirects};
use reqwest_middleware::{ClientWithMiddleware, Middleware, Next};
use std::sync::Arc;

/// An origin that tells everybody what it knows of them.
async fn mirror() -> Origin {
    Origin::start(|request| {
        let told = ["authorization", "cookie", "x-api-key"].map(|name| request.header(name).unwrap_or("-"));
        fresh(told.join(" "))
    })
    .await
}

#[tokio::test]
async fn clients_with_different_default_credentials_never_share_an_answer() {
    let origin = mirror().await;
    let (cache, _) = cache(Policy::rfc9111().partition_by_cookies());
    for name in ["authorization", "cookie", "x-api-key"] {
        for secret in ["first", "second"] {
            let headers = HeaderMap::from_iter([(name.parse().unwrap(), HeaderValue::from_static(secret))]);
            let client = ClientBuilder::new(cache.clone()).default_headers(headers).build().unwrap();
            for expected in ["fwd=uri-miss", "hit"] {
                let (_, body, did) = get(&client, &origin.url("/")).await;
                assert!(body.windows(secret.len()).any(|part| part == secret.as_bytes()), "{name}: {body:?}");
                assert!(did.contains(expected), "{name}: {did}");
            }
        }
    }
    assert_eq!(origin.count(), 6);
}

#[tokio::test]
async fn requests_with_different_credentials_never_share_an_answer() {
    let origin = mirror().await;
    let (client, _) = client();
    for token in ["a", "b", "a", "b"] {
        let (_, body, _) = whole(client.get(origin.url("/")).bearer_auth(token).send().await.unwrap()).await;
        assert_eq!(body, format!("Bearer {token} - -"));
    }
    let userinfo = origin.url("/").replace("http://", "http://user:pass@");
    assert_eq!(get(&client, &userinfo).await.1, "Basic dXNlcjpwYXNz - -");
    assert_eq!(get(&client, &origin.url("/")).await.1, "- - -");
    assert_eq!(origin.count(), 4);
}

#[tokio::test]
async fn default_headers_give_way_to_a_request_s_own() {
    let origin = Origin::start(|_| respond(200, &[], "")).await;
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
    let [first, second] = &origin.seen()[..] else { panic!("two requests") };
    let all = |seen: &crate::origin::Seen, name: &str| {
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

/// Signs every request with the same token.
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
async fn the_cache_sees_what_middleware_above_it_adds() {
    let origin = mirror().await;
    let (cache, _) = cache(Policy::rfc9111());
    for token in ["a", "b"] {
        let client = ClientBuilder::new(cache.clone()).with(Signs(token)).build().unwrap();
        assert_eq!(get(&client, &origin.url("/")).await.1, format!("{token} - -"));
    }
}

/// A client that was built elsewhere, with the cache in a stack of its own.
fn foreign(client: reqwest::Client, above: Vec<Arc<dyn Middleware>>) -> ClientWithMiddleware {
    let (cache, _) = cache(Policy::rfc9111());
    let mut stack = above;
    stack.push(Arc::new(CacheMiddleware::danger_assume_no_hidden_credentials(cache)));
    ClientWithMiddleware::new(client, stack)
}

#[tokio::test]
async fn what_varies_by_an_unseen_credential_is_not_stored() {
    let origin = Origin::start(|request| {
        let vary = if request.path == "/cookie" { "accept, Cookie" } else { "accept" };
        respond(200, &[("cache-control", "max-age=60"), ("vary", vary)], "")
    })
    .await;
    let client = foreign(reqwest::Client::new(), Vec::new());
    get(&client, &origin.url("/accept")).await;
    assert_eq!(get(&client, &origin.url("/accept")).await.2, "lacre; hit; ttl=60");
    for _ in 0..2 {
        let (_, _, did) = get(&client, &origin.url("/cookie")).await;
        assert!(did.contains("fwd=") && did.ends_with("detail=vary") && !did.contains("stored"), "{did}");
    }
    for expected in ["stored", "hit"] {
        let request = client.get(origin.url("/cookie")).header("cookie", "seen=1");
        let (_, _, did) = whole(request.send().await.unwrap()).await;
        assert!(did.contains(expected), "{did}");
    }
}

#[tokio::test]
async fn what_was_redirected_below_the_cache_is_not_stored() {
    let origin = || {
        Origin::start(|request| match request.path.as_str() {
            "/" => respond(302, &[("location", "/end"), ("cache-control", "no-store")], ""),
            _ => fresh("end"),
        })
    };
    let (below, above) = (origin().await, origin().await);
    let client = foreign(reqwest::Client::new(), Vec::new());
    for _ in 0..2 {
        let response = client.get(below.url("/")).send().await.unwrap();
        assert_eq!(response.url().as_str(), below.url("/end"));
        assert_eq!(whole(response).await.1, "end");
    }
    assert_eq!(below.count(), 4);
    let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let client = foreign(plain, vec![Arc::new(FollowRedirects::default())]);
    for _ in 0..2 {
        assert_eq!(get(&client, &above.url("/")).await.1, "end");
    }
    assert_eq!(above.count(), 3);
}

#[tokio::test]
async fn a_stale_response_is_validated_in_the_foreground_where_there_is_no_background() {
    let origin = Origin::start(|_| {
        respond(200, &[("cache-control", "max-age=0, stale-while-revalidate=60"), ("etag", "\"1\"")], "")
    })
    .await;
    let client = foreign(reqwest::Client::new(), Vec::new());
    get(&client, &origin.url("/")).await;
    let (_, _, did) = get(&client, &origin.url("/")).await;
    assert!(did.starts_with("lacre; fwd=stale; fwd-status=200"), "{did}");
    assert_eq!(origin.count(), 2);
}
