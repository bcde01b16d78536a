//! The client with a stored response that was changed.

use crate::support::get;
use http::StatusCode;
use lacre::store::Sqlite;
use lacre::{Cache, ErrorKind, OnTamper};
use lacre_drivers::{Origin, fresh};
use lacre_reqwest::ClientBuilder;
use reqwest_middleware::ClientWithMiddleware;
use rusqlite::Connection;
use std::path::Path;

/// A client whose cache holds a response with one bit flipped.
async fn tampered(path: &Path, url: &str, on_tamper: OnTamper) -> ClientWithMiddleware {
    let store = Sqlite::open(path).unwrap();
    let cache = Cache::builder().store(store).danger_ephemeral_key().on_tamper(on_tamper).build().unwrap();
    let client = ClientBuilder::new(cache).build().unwrap();
    get(&client, url).await;
    let file = Connection::open(path).unwrap();
    let mut sealed: Vec<u8> = file.query_row("SELECT sealed FROM slot", [], |row| row.get(0)).unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    assert_eq!(file.execute("UPDATE slot SET sealed = ?1", [sealed]).unwrap(), 1);
    client
}

#[tokio::test]
async fn a_tampered_response_is_handled_as_configured() {
    for on_tamper in [OnTamper::Refetch, OnTamper::Raise, OnTamper::FailClosed] {
        let origin = Origin::start(|_| fresh("body"));
        let directory = tempfile::tempdir().unwrap();
        let url = origin.url("/");
        let client = tampered(&directory.path().join("store/cache.sqlite"), &url, on_tamper).await;
        match on_tamper {
            OnTamper::Refetch => {
                let (_, body, status) = get(&client, &url).await;
                assert_eq!(body, "body");
                assert!(status.contains("fwd=uri-miss") && status.ends_with("detail=tampered"), "{status}");
                assert_eq!(get(&client, &url).await.2, "lacre; hit; ttl=60");
            }
            OnTamper::Raise => {
                let error = client.get(&url).send().await.unwrap_err();
                let reqwest_middleware::Error::Middleware(cause) = error else { panic!("{error}") };
                let kind = cause.downcast_ref::<lacre::Error>().map(lacre::Error::kind);
                assert_eq!(kind, Some(ErrorKind::Tampered));
            }
            OnTamper::FailClosed => {
                assert_eq!(get(&client, &url).await.0.status, StatusCode::GATEWAY_TIMEOUT);
            }
        }
        assert_eq!(origin.request_count(), if on_tamper == OnTamper::Refetch { 2 } else { 1 });
    }
}
