//! Properties of this driver alone: errors of ureq, request configuration, extensions, agents built
//! elsewhere.
#![expect(clippy::unwrap_used, reason = "a test ends at what it did not expect")]

mod timeouts;

use http::{HeaderMap, HeaderValue, Request, Response, header};
use lacre::{CacheInfo, ErrorKind, Expire, Policy, RequestOptions};
use lacre_drivers::{Origin, builder, cache, chunked, fresh, respond};
use lacre_ureq::{AgentBuilder, CacheMiddleware};
use std::io::Read;
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, Body, Error, ResponseExt, SendBody};

fn agent() -> Agent {
    AgentBuilder::new(cache(Policy::rfc9111()).0).build()
}

/// An agent that was not built by this crate, with the cache as a middleware.
fn foreign() -> Agent {
    let middleware = CacheMiddleware::danger_assume_no_hidden_credentials(cache(Policy::rfc9111()).0);
    Agent::config_builder().middleware(middleware).build().into()
}

fn cache_status(response: &Response<Body>) -> String {
    response.extensions().get::<CacheInfo>().unwrap().status.to_string()
}

fn text(agent: &Agent, url: &str) -> String {
    agent.get(url).call().unwrap().into_body().read_to_string().unwrap()
}

#[test]
fn every_response_has_its_url() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/old" => respond(301, &[("location", "/new?a#b"), ("cache-control", "max-age=60")], "moved"),
        _ => fresh("body"),
    });
    for agent in [agent(), foreign()] {
        for (asked, answered) in [("/a?b", "/a?b"), ("/old", "/new?a")] {
            for _ in 0..2 {
                let response = agent.get(origin.url(asked)).call().unwrap();
                assert_eq!(response.get_uri().to_string(), origin.url(answered));
                assert!(response.into_body().read_to_string().is_ok());
            }
        }
    }
}

#[test]
fn a_redirect_with_a_body_is_stored() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/old" => respond(301, &[("location", "/new"), ("cache-control", "max-age=60")], "moved"),
        _ => fresh("body"),
    });
    let agent = agent();
    for _ in 0..2 {
        assert_eq!(text(&agent, &origin.url("/old")), "body");
    }
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn a_status_is_an_error_if_the_request_or_the_agent_is_configured_so() {
    let origin = Origin::start(|_| respond(404, &[("cache-control", "max-age=60")], "nothing here"));
    let url = origin.url("/");
    let lenient = AgentBuilder::new(cache(Policy::rfc9111()).0).no_status_errors().build();
    for (agent, is_error) in [(agent(), true), (lenient, false)] {
        // Once from the network and once from the cache.
        for _ in 0..2 {
            match agent.get(&url).call() {
                Err(Error::StatusCode(404)) => assert!(is_error),
                response => assert_eq!((response.unwrap().status().as_u16(), is_error), (404, false)),
            }
        }
        let response = agent.get(&url).config().http_status_as_error(!is_error).build().call();
        assert_eq!(response.is_err(), !is_error);
        let mut hit = agent.get(&url).config().http_status_as_error(false).build().call().unwrap();
        assert_eq!(hit.body_mut().read_to_string().unwrap(), "nothing here");
    }
}

#[test]
fn a_status_error_made_below_the_cache_is_passed_on_and_not_stored() {
    let origin = Origin::start(|_| respond(404, &[("cache-control", "max-age=60")], ""));
    let agent = foreign();
    for asked in [1, 2] {
        assert!(matches!(agent.get(origin.url("/")).call(), Err(Error::StatusCode(404))));
        assert_eq!(origin.request_count(), asked);
    }
    for _ in 0..2 {
        let response = agent.get(origin.url("/")).config().http_status_as_error(false).build().call();
        assert_eq!(response.unwrap().status(), 404);
        assert_eq!(origin.request_count(), 3);
    }
    assert!(matches!(agent.get(origin.url("/")).call(), Err(Error::StatusCode(404))));
    assert_eq!(origin.request_count(), 3);
}

#[test]
fn options_of_a_request_apply_to_it() {
    let origin = Origin::start(|_| fresh("body"));
    let agent = agent();
    for _ in 0..2 {
        let never = RequestOptions::new().ttl(Expire::DoNotStore);
        let response = agent.get(origin.url("/")).extension(never).call().unwrap();
        assert!(cache_status(&response).contains("fwd=uri-miss"));
        assert_eq!(response.into_body().read_to_string().unwrap(), "body");
    }
}

#[test]
fn redirects_are_followed_up_to_the_limit() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/" => respond(302, &[("location", "/one")], ""),
        "/one" => respond(302, &[("location", "/two")], ""),
        _ => fresh("end"),
    });
    let build = |config: fn(AgentBuilder) -> AgentBuilder| {
        config(AgentBuilder::new(cache(Policy::rfc9111()).0)).build()
    };
    let status = |agent: &Agent| agent.get(origin.url("/")).call().map(|response| response.status().as_u16());
    assert_eq!(status(&build(|it| it)).unwrap(), 200);
    assert_eq!(status(&build(|it| it.redirects(2))).unwrap(), 200);
    assert!(matches!(status(&build(|it| it.redirects(1))), Err(Error::TooManyRedirects)));
    assert_eq!(status(&build(|it| it.redirects(0))).unwrap(), 302);
    let configured =
        build(|it| it.danger_configure(|it| it.max_redirects(1).max_redirects_will_error(false)));
    assert_eq!(status(&configured).unwrap(), 302);
    let get =
        |agent: &Agent, at_most| agent.get(origin.url("/")).config().max_redirects(at_most).build().call();
    assert_eq!(get(&build(|it| it), 0).unwrap().status(), 302);
    assert!(matches!(get(&build(|it| it), 1), Err(Error::TooManyRedirects)));
    assert_eq!(get(&build(|it| it.redirects(0)), 5).unwrap().status(), 200);
}

#[test]
fn headers_configured_on_the_agent_or_the_request_are_sent() {
    let origin = Origin::start(|_| respond(200, &[], ""));
    let agent = AgentBuilder::new(cache(Policy::rfc9111()).0)
        .danger_configure(|it| it.user_agent("agent/1").accept("text/css"))
        .build();
    agent.get(origin.url("/")).call().unwrap();
    let own = agent.get(origin.url("/")).config().user_agent("own/1").accept_encoding("identity").build();
    own.call().unwrap();
    let plain = AgentBuilder::new(cache(Policy::rfc9111()).0).no_compression().build();
    plain.get(origin.url("/")).call().unwrap();
    let [first, second, third] = &origin.requests()[..] else { panic!("three requests") };
    assert_eq!((first.header("user-agent"), first.header("accept")), (Some("agent/1"), Some("text/css")));
    assert_eq!(
        (second.header("user-agent"), second.header("accept-encoding")),
        (Some("own/1"), Some("identity"))
    );
    assert_eq!((third.header("user-agent"), third.header("accept-encoding")), (None, None));
}

#[test]
fn an_https_only_agent_is_not_served_http_responses_of_another() {
    let origin = Origin::start(|_| fresh("body"));
    let (cache, _) = cache(Policy::rfc9111());
    assert_eq!(text(&AgentBuilder::new(cache.clone()).build(), &origin.url("/")), "body");
    let strict = AgentBuilder::new(cache).danger_configure(|it| it.https_only(true)).build();
    assert!(matches!(strict.get(origin.url("/")).call(), Err(Error::RequireHttpsOnly(_))));
}

#[test]
fn a_response_returned_as_a_status_error_is_stored() {
    let origin = Origin::start(|_| respond(404, &[("cache-control", "max-age=60")], "nothing here"));
    let agent = agent();
    for _ in 0..3 {
        assert!(matches!(agent.get(origin.url("/")).call(), Err(Error::StatusCode(404))));
    }
    assert_eq!(origin.request_count(), 1);
}

#[test]
fn headers_of_the_request_replace_default_headers() {
    let origin = Origin::start(|_| respond(200, &[], ""));
    let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_static("de"))]);
    let agent = AgentBuilder::new(cache(Policy::rfc9111()).0)
        .default_headers(headers)
        .user_agent(HeaderValue::from_static("test/1"))
        .build();
    agent.get(origin.url("/")).call().unwrap();
    agent.get(origin.url("/")).header("accept-language", "it").header("accept", "text/css").call().unwrap();
    let [first, second] = &origin.requests()[..] else { panic!("two requests") };
    assert_eq!(first.header("accept-language"), Some("de"));
    assert_eq!((first.header("accept"), first.header("user-agent")), (Some("*/*"), Some("test/1")));
    assert_eq!((second.header("accept-language"), second.header("accept")), (Some("it"), Some("text/css")));
    assert_eq!(first.header("accept-encoding"), Some("gzip"));
}

#[test]
fn the_cache_sees_headers_of_middleware_above_it() {
    let origin = Origin::start(|request| fresh(request.header("authorization").unwrap().to_owned()));
    let (cache, _) = cache(Policy::rfc9111());
    for token in ["a", "b"] {
        let sign = move |mut request: Request<SendBody<'_>>, next: MiddlewareNext<'_>| {
            request.headers_mut().insert(header::AUTHORIZATION, HeaderValue::from_static(token));
            next.handle(request)
        };
        let agent = AgentBuilder::new(cache.clone()).with(sign).build();
        assert_eq!(text(&agent, &origin.url("/")), token);
    }
}

#[test]
fn credentials_in_a_url_are_sent_and_partition_responses() {
    let origin = Origin::start(|request| fresh(request.header("authorization").unwrap_or("-").to_owned()));
    let agent = agent();
    let userinfo = origin.url("/").replace("http://", "http://user:pass@");
    for _ in 0..2 {
        assert_eq!(text(&agent, &userinfo), "Basic dXNlcjpwYXNz");
        assert_eq!(text(&agent, &origin.url("/")), "-");
    }
    assert_eq!(origin.request_count(), 2);
}

#[test]
fn a_response_that_varies_by_an_unseen_credential_is_not_stored() {
    let origin = Origin::start(|_| respond(200, &[("cache-control", "max-age=60"), ("vary", "Cookie")], ""));
    let agent = foreign();
    for _ in 0..2 {
        let response = agent.get(origin.url("/")).call().unwrap();
        assert!(
            cache_status(&response).ends_with("detail=vary") && !cache_status(&response).contains("stored")
        );
    }
}

#[test]
fn a_response_redirected_below_the_cache_is_not_stored() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/" => respond(302, &[("location", "/end")], ""),
        _ => fresh("end"),
    });
    let agent = foreign();
    for asked in [2, 4] {
        assert_eq!((text(&agent, &origin.url("/")), origin.request_count()), ("end".into(), asked));
    }
}

#[test]
fn a_long_body_of_a_looked_up_request_arrives_whole() {
    let origin = Origin::start(|request| fresh(request.body.len().to_string()));
    let (cache, _) = cache(Policy::rfc9111().methods([http::Method::GET, http::Method::POST]));
    let agent = AgentBuilder::new(cache).build();
    for length in [1 << 20, (1 << 20) + 1, 5 << 20] {
        let reader = &mut std::io::repeat(b'x').take(length);
        let response = agent.post(origin.url("/")).send(SendBody::from_reader(reader)).unwrap();
        assert_eq!(response.into_body().read_to_string().unwrap(), length.to_string());
    }
}

#[test]
fn a_request_with_a_body_is_not_repeated_by_a_redirect() {
    let origin = Origin::start(|request| match request.path.as_str() {
        "/see" => respond(303, &[("location", "/end")], ""),
        "/" => respond(307, &[("location", "/end")], ""),
        _ => fresh("end"),
    });
    let agent = agent();
    assert_eq!(agent.post(origin.url("/")).send("form").unwrap().status(), 307);
    let response = agent.post(origin.url("/see")).send("form").unwrap();
    assert_eq!(response.into_body().read_to_string().unwrap(), "end");
    assert_eq!(origin.requests().pop().unwrap().method, http::Method::GET);
}

#[test]
fn a_stored_body_that_vanishes_is_a_read_error() {
    let origin = Origin::start(|_| {
        let piece = bytes::Bytes::from(vec![b'x'; 64 << 10]);
        fresh("").map(|_| chunked((0..64).map(move |_| Ok(piece.clone()))))
    });
    let cache = builder().0.read_whole(0).build().unwrap();
    let agent = AgentBuilder::new(cache.clone()).build();
    let whole = agent.get(origin.url("/")).call().unwrap().into_body().into_reader();
    assert_eq!(std::io::copy(&mut { whole }, &mut std::io::sink()).unwrap(), 64 << 16);
    let mut hit = agent.get(origin.url("/")).call().unwrap().into_body().into_reader();
    lacre::wait(cache.clear()).unwrap();
    let error = std::io::copy(&mut hit, &mut std::io::sink()).unwrap_err();
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<lacre::Error>()).unwrap();
    assert_ne!(cause.kind(), ErrorKind::Tampered);
}

#[test]
#[cfg(feature = "rustls")]
fn https_speaks_tls() {
    let origin = Origin::start(|_| fresh("body"));
    let refused = agent().get(origin.url("/").replace("http:", "https:")).call().unwrap_err();
    // The origin answers the handshake in plain text, because it has no TLS.
    let cause = format!("{refused}");
    assert!(cause.contains("corrupt message"), "{cause}");
    assert_eq!(origin.request_count(), 0);
}

#[test]
fn json_works_with_the_features_of_this_crate() {
    let origin = Origin::start(|request| fresh(format!("{:?}", [String::from_utf8_lossy(&request.body)])));
    let reply: Vec<String> =
        agent().post(origin.url("/")).send_json(["a"]).unwrap().into_body().read_json().unwrap();
    assert_eq!(reply[0].split_whitespace().collect::<String>(), r#"["a"]"#);
}
