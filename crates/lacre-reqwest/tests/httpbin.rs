//! The client with a sealed SQLite cache against a real origin: the httpbin at `LACRE_HTTPBIN`.
//!
//! `cargo xtask httpbin` starts one and prints the variable.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use bytes::Bytes;
use http::{StatusCode, header};
use http_body_util::BodyExt;
use lacre::store::Sqlite;
use lacre::{Cache, CacheInfo, Policy, RequestOptions};
use lacre_reqwest::ClientBuilder;
use reqwest_middleware::{ClientWithMiddleware, RequestBuilder};
use std::time::Duration;

/// A client with an empty cache, and the origin.
struct Client {
    client: ClientWithMiddleware,
    origin: String,
    _directory: tempfile::TempDir,
}

impl Client {
    /// A client with the default settings; prints a notice and returns `None` without an origin.
    fn new() -> Option<Self> {
        Self::built(|builder| builder)
    }

    /// A client with these settings.
    fn built(configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Option<Self> {
        let Ok(origin) = std::env::var("LACRE_HTTPBIN") else {
            eprintln!("SKIPPED: LACRE_HTTPBIN is not set; `cargo xtask test` starts an httpbin and sets it");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path().join("cache/cache.sqlite")).unwrap();
        let policy = Policy::rfc9111().partition_by_cookies();
        let cache = Cache::builder().store(store).danger_ephemeral_key().policy(policy).build().unwrap();
        let client = configure(ClientBuilder::new(cache)).build().unwrap();
        Some(Self { client, origin, _directory: directory })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.origin))
    }

    /// A GET with a lifetime set by the request, for responses of httpbin that have none.
    fn get_for_a_minute(&self, path: &str) -> RequestBuilder {
        self.get(path).with_extension(RequestOptions::new().ttl(Duration::from_secs(60)))
    }
}

struct Reply {
    head: http::response::Parts,
    body: Bytes,
    status: String,
}

impl Reply {
    async fn to(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let status = response.extensions().get::<CacheInfo>().unwrap().status.to_string();
        let (head, body) = http::Response::<reqwest::Body>::from(response).into_parts();
        Self { head, body: body.collect().await.unwrap().to_bytes(), status }
    }

    #[track_caller]
    fn assert_missed(&self) {
        assert!(self.status.contains("fwd=") && self.status.contains("stored"), "{}", self.status);
    }

    /// Asserts that this is the response `network`, served from the cache.
    #[track_caller]
    fn assert_hit(&self, network: &Self) {
        assert!(self.status.starts_with("lacre; hit"), "{}", self.status);
        assert_eq!(self.head.status, network.head.status);
        assert!(self.body == network.body, "the bytes differ");
        let mut headers = self.head.headers.clone();
        headers.remove(header::AGE);
        let mut sent = network.head.headers.clone();
        sent.remove(header::CONNECTION);
        assert_eq!(headers, sent);
    }
}

#[tokio::test]
async fn a_cacheable_response_is_a_hit() {
    let Some(httpbin) = Client::new() else { return };
    let miss = Reply::to(httpbin.get("/cache/60")).await;
    miss.assert_missed();
    Reply::to(httpbin.get("/cache/60")).await.assert_hit(&miss);
}

#[tokio::test]
async fn an_etag_is_validated() {
    let Some(httpbin) = Client::new() else { return };
    let miss = Reply::to(httpbin.get("/etag/x")).await;
    miss.assert_missed();
    let validated = Reply::to(httpbin.get("/etag/x")).await;
    assert!(validated.status.starts_with("lacre; fwd=stale; fwd-status=304"), "{}", validated.status);
    assert_eq!((validated.head.status, &validated.body), (StatusCode::OK, &miss.body));
}

#[tokio::test]
async fn vary_separates_responses() {
    let Some(httpbin) = Client::new() else { return };
    let get = |language| {
        let path = "/response-headers?Vary=Accept-Language&Cache-Control=max-age%3D60";
        Reply::to(httpbin.get(path).header("accept-language", language))
    };
    let german = get("de").await;
    german.assert_missed();
    get("fr").await.assert_missed();
    get("de").await.assert_hit(&german);
}

#[tokio::test]
async fn redirects_are_followed_and_each_hop_is_cached() {
    let Some(httpbin) = Client::new() else { return };
    let miss = Reply::to(httpbin.get_for_a_minute("/redirect/3")).await;
    miss.assert_missed();
    Reply::to(httpbin.get_for_a_minute("/redirect/3")).await.assert_hit(&miss);
    let hop = Reply::to(httpbin.get_for_a_minute("/relative-redirect/1")).await;
    hop.assert_hit(&miss);
}

#[tokio::test]
async fn the_cache_holds_the_bytes_of_the_wire() {
    // This client decodes nothing above the cache.
    let Some(httpbin) = Client::built(ClientBuilder::no_compression) else { return };
    let gzip = Reply::to(httpbin.get_for_a_minute("/gzip")).await;
    assert_eq!(gzip.head.headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(gzip.body[..2], [0x1f, 0x8b]);
    Reply::to(httpbin.get_for_a_minute("/gzip")).await.assert_hit(&gzip);

    let path = "/bytes/100000?seed=1";
    let miss = Reply::to(httpbin.get_for_a_minute(path)).await;
    let hit = Reply::to(httpbin.get_for_a_minute(path)).await;
    hit.assert_hit(&miss);
    let network = reqwest::get(format!("{}{path}", httpbin.origin)).await.unwrap().bytes().await.unwrap();
    assert_eq!(network.len(), 100_000);
    assert!(hit.body == network, "the bytes differ");
}

#[tokio::test]
async fn credentials_are_not_shared() {
    let Some(httpbin) = Client::new() else { return };
    let login =
        |password| Reply::to(httpbin.get_for_a_minute("/basic-auth/u/p").basic_auth("u", Some(password)));
    let welcome = login("p").await;
    assert_eq!(welcome.head.status, StatusCode::OK);
    assert_eq!(login("wrong").await.head.status, StatusCode::UNAUTHORIZED);
    login("p").await.assert_hit(&welcome);

    let cookies = |cookie| Reply::to(httpbin.get_for_a_minute("/cookies").header("cookie", cookie));
    let first = cookies("a=1").await;
    assert!(cookies("a=2").await.body != first.body, "cookies of another request were returned");
    cookies("a=1").await.assert_hit(&first);
}

#[tokio::test]
async fn a_server_error_is_passed_on_and_not_stored() {
    let Some(httpbin) = Client::new() else { return };
    for _ in 0..2 {
        let failure = Reply::to(httpbin.get("/status/503")).await;
        assert_eq!(failure.head.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(
            failure.status.contains("fwd=uri-miss") && !failure.status.contains("stored"),
            "{}",
            failure.status
        );
    }
}
