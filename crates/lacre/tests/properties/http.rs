//! What an origin, or whoever speaks for one, can say: it is never fresher, more complete or more
//! widely shared than the rules allow.

use crate::world::{FRESH, Fetched, KINDS, START, World, get};
use http::{Request, Response};
use lacre::{Answer, Outcome, RequestBody, Settlement, wait};
use proptest::prelude::*;
use std::time::{Duration, UNIX_EPOCH};

/// Whether what an origin says with these headers answers a second request.
fn is_reused(world: &World, headers: &[(&str, &str)]) -> bool {
    let ask = |body: &[u8]| world.try_fetch(get("/"), headers, body).unwrap();
    ask(b"first");
    ask(b"second").hit
}

fn everywhere(check: impl Fn(&World)) {
    for &kind in KINDS {
        check(&World::new(kind, |builder| builder));
    }
}

#[test]
fn p31_a_star_anywhere_in_vary_means_no_reuse() {
    everywhere(|world| {
        for vary in
            [&["*"][..], &["accept, *"], &["*, accept"], &["accept", "*"], &[" * "], &["accept,*,origin"]]
        {
            let lines = vary.iter().map(|line| ("vary", *line));
            let headers: Vec<_> = FRESH.iter().copied().chain(lines).collect();
            assert!(!is_reused(world, &headers), "{vary:?}");
        }
        assert!(is_reused(world, &[FRESH[0], ("vary", "accept")]), "otherwise this shows nothing");
    });
}

#[test]
fn p32_malformed_cache_control_fails_closed() {
    everywhere(|world| {
        for value in [
            "max-age=60s",
            "max-age=-1",
            "max-age=",
            "max-age",
            "max-age=sixty",
            "max-age=6 0",
            "max-age=60, max-age=0",
            "max-age=0, max-age=60",
            "max-age=\"60",
            "ext=\"a, max-age=60, b\"",
            "No-Store, max-age=60",
            "max-age=60, NO-CACHE",
            "max-age=60.5",
        ] {
            assert!(!is_reused(world, &[("cache-control", value)]), "{value}");
        }
        assert!(is_reused(world, &[("cache-control", "MAX-AGE=60")]), "otherwise this shows nothing");
    });
}

#[test]
fn p33_no_response_is_fresh_longer_than_its_policy_allows() {
    let start = UNIX_EPOCH + Duration::from_millis(START.as_millis().unsigned_abs());
    let day = Duration::from_secs(86_400);
    let (tomorrow, yesterday) = (httpdate::fmt_http_date(start + day), httpdate::fmt_http_date(start - day));
    let fresh = ("cache-control", "max-age=60");
    let claims: &[&[(&str, &str)]] = &[
        &[fresh, ("date", &tomorrow)],
        &[fresh, ("age", "0")],
        &[fresh, ("age", "-86400")],
        &[("cache-control", "max-age=60, immutable"), ("date", &tomorrow)],
        &[fresh, ("expires", &tomorrow)],
    ];
    for claim in claims {
        for &kind in KINDS {
            let world = World::new(kind, |builder| builder);
            world.try_fetch(get("/"), claim, b"first").unwrap();
            world.clock.advance(Duration::from_secs(61));
            assert!(!world.try_fetch(get("/"), claim, b"second").unwrap().hit, "{claim:?}");
        }
    }
    for old in [
        &[fresh, ("age", "61")][..],
        &[fresh, ("age", "18446744073709551615")],
        &[fresh, ("date", &yesterday)],
    ] {
        everywhere(|world| assert!(!is_reused(world, old), "{old:?}"));
    }
}

#[test]
fn p34_cached_bytes_are_the_networks_bytes() {
    let bodies: [&[u8]; 5] =
        [b"", b"\x00\xFF\r\n", b"{\"a\" :  1}\n", b"\x1F\x8B\x08 not gzip", &[7; 700_000]];
    for &kind in KINDS {
        for body in bodies {
            let world = World::new(kind, |builder| builder.stage(lacre::stage::Zstd));
            let said = &[FRESH[0], ("content-encoding", "gzip"), ("content-type", "application/json")];
            world.try_fetch(get("/"), said, body).unwrap();
            let again = world.try_fetch(get("/"), said, b"another").unwrap();
            assert!(again.hit && again.body == body, "{} bytes in {kind:?}", body.len());
        }
    }
}

/// A header's value by any origin: mostly what some parser here reads.
fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        "[ -~]{0,40}".prop_map(String::into_bytes),
        "(max-age|s-maxage|stale-if-error|no-cache|vary|private|=|,|\"|;| |[0-9]{1,20}){0,12}"
            .prop_map(String::into_bytes),
        prop::collection::vec(prop_oneof![32..=126_u8, 128..=255_u8], 0..40),
    ]
}

const READ: [&str; 14] = [
    "cache-control",
    "cdn-cache-control",
    "age",
    "date",
    "expires",
    "last-modified",
    "etag",
    "vary",
    "pragma",
    "content-range",
    "content-length",
    "content-location",
    "location",
    "set-cookie",
];
const SENT: [&str; 8] = [
    "cache-control",
    "pragma",
    "range",
    "if-none-match",
    "if-modified-since",
    "if-range",
    "accept-language",
    "cookie",
];

fn headers(names: &'static [&'static str]) -> impl Strategy<Value = Vec<(&'static str, Vec<u8>)>> {
    prop::collection::vec((prop::sample::select(names), value()), 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn p35_no_header_value_makes_the_cache_fail(
        sent in headers(&SENT), first in headers(&READ), second in headers(&READ), status in prop::sample::select(vec![200_u16, 206, 301, 304, 404, 503]),
    ) {
        let world = World::new(crate::world::Kind::Memory, |builder| builder);
        for (status, headers) in [(200, &first), (status, &second), (200, &first)] {
            let request = sent.iter().fold(Request::get("http://example.com/"), |b, (name, value)| b.header(*name, &value[..]));
            let Ok(request) = request.body(()) else { return Ok(()) };
            let response = headers.iter().fold(Response::builder().status(status), |b, (name, value)| b.header(*name, &value[..]));
            let Ok(response) = response.body(()) else { return Ok(()) };
            let answer = wait(world.cache.ask(request.into_parts().0, RequestBody::Seen(b"")));
            prop_assert!(answer.is_ok());
            if let Ok(Answer::Send(ticket) | Answer::Refresh(_, ticket)) = answer {
                let settled = wait(world.cache.settle(ticket, Outcome::Response(&response.into_parts().0)));
                prop_assert!(settled.is_ok());
                if let Ok(Settlement::Network { keep: Some(mut recording), .. }) = settled {
                    wait(async {
                        recording.write(b"body").await;
                        recording.finish().await;
                    });
                }
            }
            world.clock.advance(Duration::from_secs(30));
        }
    }
}

#[test]
fn p36_partial_response_is_never_stored_as_complete() {
    everywhere(|world| {
        // The transfer ended before its time, or went on after it.
        for length in ["4", "7"] {
            assert!(
                !is_reused(world, &[FRESH[0], ("content-length", length)]),
                "{length} bytes were declared"
            );
        }
        // A part that nobody asked for.
        let part = |request: Request<()>| {
            let Answer::Send(ticket) =
                wait(world.cache.ask(request.into_parts().0, RequestBody::Seen(b""))).unwrap()
            else {
                panic!("nothing is stored")
            };
            let response = Response::builder().status(206).header("cache-control", "max-age=60");
            let response = response.header("content-range", "bytes 0-3/6").body(()).unwrap().into_parts().0;
            let settled = wait(world.cache.settle(ticket, Outcome::Response(&response))).unwrap();
            let Settlement::Network { keep, .. } = settled else { panic!("the origin answered") };
            if let Some(mut recording) = keep {
                wait(async {
                    recording.write(b"firs").await;
                    recording.finish().await;
                });
            }
        };
        part(get("/"));
        assert_eq!(world.get("/", b"whole!"), Fetched { hit: false, body: "whole!".into() });
        part(Request::get("http://example.com/other").header("range", "bytes=0-3").body(()).unwrap());
        assert_eq!(world.get("/other", b"whole!"), Fetched { hit: false, body: "whole!".into() });
    });
}
