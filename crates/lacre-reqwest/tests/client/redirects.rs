//! Redirects, followed above the cache: each hop is a request of its own (RFC 9110 §15.4).

use crate::support::{client, get, whole};
use http::Method;
use lacre::Policy;
use lacre_drivers::{Origin, cache, chunked, fresh, respond};
use lacre_reqwest::{ClientBuilder, TooManyRedirects};
use reqwest::redirect;
use std::time::Duration;

#[tokio::test]
async fn each_hop_is_cached_by_itself() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/start" => respond(301, &[("location", "/brief")], "moved"),
        "/brief" => {
            let body = ["moved, ", "for now"].map(|piece| Ok(piece.into()));
            respond(302, &[("location", "/end"), ("cache-control", "max-age=5")], "").map(|_| chunked(body))
        }
        "/end" => respond(200, &[("cache-control", "max-age=60")], "end"),
        path => panic!("unexpected request for {path}"),
    });
    let (client, clock) = client();
    let ask = || client.get(origin.url("/start")).send();
    let first = ask().await.unwrap();
    assert_eq!(first.url().as_str(), origin.url("/end"));
    assert_eq!(whole(first).await.1, "end");
    assert_eq!(origin.request_count(), 3);
    let second = ask().await.unwrap();
    assert_eq!(second.url().as_str(), origin.url("/end"));
    assert_eq!(whole(second).await.2, "lacre; hit; ttl=60");
    // The 301 has neither freshness nor a validator, so it was not stored. The other two were hits.
    let paths =
        |from: usize| origin.requests()[from..].iter().map(|seen| seen.path.clone()).collect::<Vec<_>>();
    assert_eq!(paths(3), ["/start"]);
    clock.advance(Duration::from_secs(10));
    ask().await.unwrap();
    assert_eq!(paths(4), ["/start", "/brief"]);
}

#[tokio::test]
async fn a_redirect_loop_ends_with_an_error() {
    let origin = Origin::start(|_| respond(302, &[("location", "/"), ("cache-control", "no-store")], ""));
    let (client, _) = client();
    let error = client.get(origin.url("/")).send().await.unwrap_err();
    let reqwest_middleware::Error::Middleware(cause) = error else { panic!("{error}") };
    assert_eq!(cause.downcast_ref::<TooManyRedirects>(), Some(&TooManyRedirects::after(10)));
    assert_eq!(origin.request_count(), 11);
}

#[tokio::test]
async fn a_303_turns_post_into_get_and_a_307_repeats_the_body() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/303" => respond(303, &[("location", "/end")], ""),
        "/307" => respond(307, &[("location", "/end")], ""),
        _ => fresh("end"),
    });
    let (client, _) = client();
    for (path, method, body) in [("/303", Method::GET, ""), ("/307", Method::POST, "form")] {
        client.post(origin.url(path)).body("form").send().await.unwrap();
        let last = origin.requests().pop().unwrap();
        assert_eq!((last.method, &last.body[..]), (method, body.as_bytes()), "{path}");
    }
}

#[tokio::test]
async fn custom_headers_are_not_sent_to_another_origin() {
    let other = Origin::start(|_| fresh("elsewhere"));
    let target = other.url("/");
    let origin = Origin::start(move |_| respond(302, &[("location", &target)], ""));
    let (client, _) = client();
    let request = client.get(origin.url("/")).bearer_auth("1").header("x-api-key", "2").header("x-else", "3");
    request.send().await.unwrap();
    let (first, last) = (origin.requests().remove(0), other.requests().remove(0));
    assert_eq!(first.header("authorization"), Some("Bearer 1"));
    assert_eq!(
        (last.header("authorization"), last.header("x-api-key"), last.header("x-else")),
        (None, None, None)
    );
    assert_eq!(last.header("accept"), Some("*/*"));
    assert_eq!(last.header("referer"), None);
}

#[tokio::test]
async fn a_redirect_without_a_usable_location_is_returned() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/missing" => respond(302, &[], "missing"),
        _ => respond(302, &[("location", "mailto:nobody")], "mail"),
    });
    let (client, _) = client();
    for path in ["/missing", "/mail"] {
        let (head, body, _) = get(&client, &origin.url(path)).await;
        assert_eq!((head.status.as_u16(), &body[..]), (302, &path.as_bytes()[1..]));
    }
}

#[tokio::test]
async fn a_redirect_with_an_endless_body_is_followed() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/" => {
            let body = std::iter::repeat_with(|| Ok(vec![0; 1000].into()));
            respond(302, &[("location", "/end")], "").map(|_| chunked(body))
        }
        _ => fresh("end"),
    });
    let (client, _) = client();
    let url = origin.url("/");
    let followed = tokio::time::timeout(Duration::from_secs(10), get(&client, &url)).await;
    assert_eq!(followed.expect("the endless body is not read to its end").1, "end");
}

/// The status that such a client returns for a redirect (0: an error), and the number of requests.
async fn outcome_of_a_redirect(build: impl FnOnce(ClientBuilder) -> ClientBuilder) -> (u16, usize) {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/" => respond(302, &[("location", "/one"), ("cache-control", "max-age=60")], "moved"),
        "/one" => respond(302, &[("location", "/two"), ("cache-control", "max-age=60")], ""),
        _ => fresh("end"),
    });
    let client = build(ClientBuilder::new(cache(Policy::rfc9111()).0)).build().unwrap();
    for _ in 0..2 {
        if let Ok(response) = client.get(origin.url("/")).send().await {
            let status = response.status().as_u16();
            response.bytes().await.unwrap();
            return (status, origin.request_count());
        }
    }
    (0, origin.request_count())
}

#[tokio::test]
async fn redirects_are_followed_up_to_the_limit() {
    assert_eq!(outcome_of_a_redirect(|it| it).await, (200, 3));
    assert_eq!(outcome_of_a_redirect(|it| it.redirects(2)).await, (200, 3));
    assert_eq!(
        outcome_of_a_redirect(|it| it.redirects(1)).await,
        (0, 2),
        "an error, though both redirects are stored"
    );
    assert_eq!(outcome_of_a_redirect(|it| it.redirects(0)).await, (302, 1));
}

#[tokio::test]
async fn a_redirect_policy_of_the_transport_applies() {
    assert_eq!(
        outcome_of_a_redirect(|it| it.danger_configure(|it| it.redirect(redirect::Policy::none()))).await,
        (302, 1)
    );
    let limited = |it: ClientBuilder| it.danger_configure(|it| it.redirect(redirect::Policy::limited(1)));
    assert_eq!(outcome_of_a_redirect(limited).await.0, 0);
    #[expect(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is not general enough in its lifetime"
    )]
    let own = redirect::Policy::custom(|attempt| attempt.follow());
    assert_eq!(outcome_of_a_redirect(|it| it.danger_configure(|it| it.redirect(own))).await, (200, 3));
    let overridden =
        |it: ClientBuilder| it.danger_configure(|it| it.redirect(redirect::Policy::none())).redirects(5);
    assert_eq!(outcome_of_a_redirect(overridden).await, (200, 3));
    assert_eq!(outcome_of_a_redirect(|it| it.danger_configure(|it| it.referer(false))).await, (200, 3));
}

#[tokio::test]
async fn a_response_redirected_by_the_transport_is_not_stored_for_the_first_url() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/" => respond(302, &[("location", "/end")], ""),
        _ => fresh("end"),
    });
    let follow = |it: reqwest::ClientBuilder| it.redirect(redirect::Policy::limited(3));
    let client = ClientBuilder::new(cache(Policy::rfc9111()).0).danger_configure(follow).build().unwrap();
    for asked in [2, 4] {
        let (_, body, status) = whole(client.get(origin.url("/")).send().await.unwrap()).await;
        assert_eq!((&body[..], origin.request_count()), (&b"end"[..], asked));
        assert!(status.ends_with("detail=filtered"), "{status}");
    }
}
