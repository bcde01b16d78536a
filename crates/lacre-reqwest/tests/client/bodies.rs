//! Bodies of requests and responses. A response is stored once its body is complete, and only then.

use crate::support::{client, get, whole};
use bytes::Bytes;
use http::Method;
use lacre::Policy;
use lacre_drivers::{Origin, cache, chunked, fresh, respond};
use lacre_reqwest::ClientBuilder;
use std::io;

/// A body of this length in which shifted bytes differ.
fn bytes(length: usize) -> Bytes {
    (0..length).map(|index| (index ^ (index >> 8) ^ (index >> 16)) as u8).collect()
}

#[tokio::test]
async fn a_long_body_of_unknown_length_is_stored() {
    let origin = Origin::start(|_| {
        let body = bytes(1 << 20);
        let body: Vec<_> = body.chunks(10_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        fresh("").map(|_| chunked(body))
    });
    let (client, _) = client();
    for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
        let (_, body, status) = get(&client, &origin.url("/")).await;
        assert!(body == bytes(1 << 20), "the body differs");
        assert_eq!(status, expected);
    }
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn a_body_reaches_the_caller_before_it_is_complete() {
    let origin = Origin::start(|_| {
        let first = futures_util::stream::iter([Ok(http_body::Frame::data(Bytes::from_static(b"first")))]);
        let body = futures_util::StreamExt::chain(first, futures_util::stream::pending());
        fresh("").map(|_| http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(body)))
    });
    let (client, _) = client();
    let mut response = client.get(origin.url("/")).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "first");
}

#[tokio::test]
async fn a_dropped_body_is_not_stored() {
    let origin = Origin::start(|_| fresh(bytes(1 << 20)));
    let (client, _) = client();
    let mut response = client.get(origin.url("/")).send().await.unwrap();
    assert!(response.chunk().await.unwrap().is_some());
    drop(response);
    assert!(get(&client, &origin.url("/")).await.2.contains("fwd=uri-miss"));
}

#[tokio::test]
async fn a_truncated_body_is_an_error_and_is_not_stored() {
    let cut = || vec![Ok(bytes(1000)), Err(io::ErrorKind::BrokenPipe.into())];
    for headers in [
        &[("cache-control", "max-age=60")][..],
        &[("cache-control", "max-age=60"), ("content-length", "2000")],
    ] {
        let headers = headers.to_vec();
        let origin = Origin::start(move |_| respond(200, &headers, "").map(|_| chunked(cut())));
        let (client, _) = client();
        for _ in 0..2 {
            let response = client.get(origin.url("/")).send().await.unwrap();
            assert!(response.bytes().await.is_err());
        }
        assert_eq!(origin.request_count(), 2);
    }
}

#[tokio::test]
async fn a_body_over_the_limit_passes_and_is_not_stored() {
    let origin = Origin::start(|_| fresh(bytes(5000)));
    let (cache, _) = cache(Policy::rfc9111().max_body(4999));
    let client = ClientBuilder::new(cache).build().unwrap();
    for _ in 0..2 {
        assert!(get(&client, &origin.url("/")).await.1 == bytes(5000), "the body differs");
    }
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn a_body_of_known_length_is_stored_at_its_last_byte() {
    let origin = Origin::start(|_| fresh(bytes(300_000)));
    let (client, _) = client();
    let mut response = client.get(origin.url("/")).send().await.unwrap();
    assert_eq!(response.content_length(), Some(300_000));
    let mut read = 0;
    while read < 300_000 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
    assert_eq!(get(&client, &origin.url("/")).await.2, "lacre; hit; ttl=60");
    drop(response);
}

#[tokio::test]
async fn a_response_without_a_body_is_stored_unread() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/204" => respond(204, &[("cache-control", "max-age=60")], ""),
        _ => fresh(""),
    });
    let (client, _) = client();
    for path in ["/204", "/empty"] {
        drop(client.get(origin.url(path)).send().await.unwrap());
        let (_, body, status) = get(&client, &origin.url(path)).await;
        assert_eq!((body.len(), status.as_str()), (0, "lacre; hit; ttl=60"), "{path}");
    }
    assert_eq!(origin.request_count(), 2);
}

#[tokio::test]
async fn a_head_response_is_passed_through() {
    let origin = Origin::start(|_| fresh("body"));
    let (client, _) = client();
    let (head, body, _) = whole(client.head(origin.url("/")).send().await.unwrap()).await;
    assert_eq!((head.headers["content-length"].as_bytes(), body.len()), (&b"4"[..], 0));
    assert_eq!(get(&client, &origin.url("/")).await.1, "body");
}

#[tokio::test]
async fn a_streamed_request_is_sent_whole_and_not_looked_up() {
    let origin = Origin::start(|request| fresh(request.body.clone()));
    let (client, _) = client();
    for method in [Method::GET, Method::POST] {
        let pieces = ["stre", "amed"].map(|piece| Ok::<_, io::Error>(Bytes::from_static(piece.as_bytes())));
        let body = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
        // Without this header, hyper sends a GET without its body.
        let request =
            client.request(method, origin.url("/")).header("transfer-encoding", "chunked").body(body);
        let (_, body, status) = whole(request.send().await.unwrap()).await;
        assert_eq!(body, "streamed");
        assert!(!status.contains("stored"), "{status}");
    }
}

#[tokio::test]
async fn a_streamed_request_body_of_known_length_is_looked_up() {
    let origin = Origin::start(|request| fresh(request.body.clone()));
    let (cache, _) = cache(Policy::rfc9111().methods([Method::GET, Method::POST]));
    let client = ClientBuilder::new(cache).build().unwrap();
    let stream = |text: &'static str| {
        reqwest::Body::wrap_stream(futures_util::stream::iter([Ok::<_, io::Error>(Bytes::from_static(
            text.as_bytes(),
        ))]))
    };
    for expected in ["fwd=uri-miss", "hit"] {
        for text in ["a=1", "a=2"] {
            let declared =
                client.post(origin.url("/declared")).header("content-length", text.len()).body(stream(text));
            let known = client.post(origin.url("/known")).body(reqwest::Body::wrap(String::from(text)));
            for request in [declared, known] {
                let (_, body, status) = whole(request.send().await.unwrap()).await;
                assert!(body == text && status.contains(expected), "{status}");
            }
        }
    }
    assert_eq!(origin.request_count(), 4);
    let unknown = whole(client.post(origin.url("/")).body(stream("a=1")).send().await.unwrap()).await;
    assert_eq!((&unknown.1[..], unknown.2.ends_with("detail=body-unseen")), (&b"a=1"[..], true));
}

#[tokio::test]
async fn a_body_longer_than_the_limit_arrives_whole() {
    let origin = Origin::start(|request| fresh(request.body.len().to_string()));
    let (cache, _) = cache(Policy::rfc9111().methods([Method::POST]));
    let client = ClientBuilder::new(cache).build().unwrap();
    let long = reqwest::Body::wrap(String::from_utf8(vec![b'x'; 3 << 20]).unwrap());
    assert_eq!(
        whole(client.post(origin.url("/")).body(long).send().await.unwrap()).await.1,
        (3 << 20).to_string()
    );
}

#[tokio::test]
async fn json_forms_and_queries_work_with_the_features_of_this_crate() {
    let origin = Origin::start(|request| {
        let answer =
            format!("{:?}", [request.path.clone(), String::from_utf8_lossy(&request.body).into_owned()]);
        respond(200, &[("cache-control", "max-age=60"), ("content-type", "application/json")], answer)
    });
    let client = client().0;
    let pairs = [("a", "1 2"), ("b", "&")];
    for _ in 0..2 {
        let reply: Vec<String> =
            client.get(origin.url("/")).query(&pairs).send().await.unwrap().json().await.unwrap();
        assert_eq!(reply, ["/?a=1+2&b=%26", ""]);
    }
    assert_eq!(origin.request_count(), 1, "a query that is built is a part of the key");
    let reply: Vec<String> =
        client.post(origin.url("/")).form(&pairs).send().await.unwrap().json().await.unwrap();
    assert_eq!(reply, ["/", "a=1+2&b=%26"]);
    let reply: Vec<String> =
        client.post(origin.url("/")).json(&pairs).send().await.unwrap().json().await.unwrap();
    assert_eq!(reply, ["/", r#"[["a","1 2"],["b","&"]]"#]);
}

#[tokio::test]
async fn text_is_decoded_by_the_charset_that_the_response_names() {
    let origin = Origin::start(|_| {
        let headers = [("cache-control", "max-age=60"), ("content-type", "text/plain; charset=iso-8859-1")];
        respond(200, &headers, &b"caf\xe9"[..])
    });
    let (client, _) = client();
    for _ in 0..2 {
        assert_eq!(client.get(origin.url("/")).send().await.unwrap().text().await.unwrap(), "café");
    }
    assert_eq!(origin.request_count(), 1);
}

#[tokio::test]
async fn decoding_removes_only_headers_of_the_coding() {
    let origin = Origin::start(|_| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        io::Write::write_all(&mut encoder, b"text").unwrap();
        let headers = [("cache-control", "max-age=60"), ("content-encoding", "gzip"), ("x-other", "stays")];
        respond(200, &headers, encoder.finish().unwrap())
    });
    let (client, _) = client();
    for expected in ["lacre; fwd=uri-miss; fwd-status=200; ttl=60; stored", "lacre; hit; ttl=60"] {
        let response = client.get(origin.url("/page")).send().await.unwrap();
        assert_eq!(
            (response.url().as_str(), response.headers()["x-other"].as_bytes()),
            (&origin.url("/page")[..], &b"stays"[..])
        );
        assert_eq!(response.content_length(), None);
        let (_, body, status) = whole(response).await;
        assert_eq!((&body[..], status.as_str()), (&b"text"[..], expected));
    }
}
