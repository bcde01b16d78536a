//! Whatever client and origin say to each other through the cache: it never panics, and what the caller gets is what the network
//! said just now, or what it once said and did not forbid to keep, or a part of that.
//!
//! The input is a play: a line for each header (`>` of the next request, `<` of its answer), for its method (`?`), its answer's
//! status (`=`; without one, the network fails), and for the seconds before it (`+`); an empty line sends it.
#![no_main]

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use lacre_core::{HitKind, Policy, ResponseDirectives};
use lacre_fuzz::{Cache, Got, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|play: &[u8]| {
    let scenes = scenes(play);
    perform(Cache::new(Policy::rfc9111()), &scenes, NoStore::Heard);
    perform(Cache::new(Policy::rfc9111().shared()), &scenes, NoStore::Heard);
    perform(Cache::new(Policy::requests_cache()), &scenes, NoStore::Ignored);
});

/// Whether the policy hears the origin's `no-store`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NoStore {
    Heard,
    Ignored,
}

struct Scene {
    pause: Duration,
    method: Method,
    request: HeaderMap,
    status: Option<StatusCode>,
    response: HeaderMap,
}

impl Default for Scene {
    fn default() -> Self {
        let (request, response) = (HeaderMap::new(), HeaderMap::new());
        Self { pause: Duration::ZERO, method: Method::GET, request, status: None, response }
    }
}

fn scenes(play: &[u8]) -> Vec<Scene> {
    let mut scenes = Vec::new();
    let mut scene = Scene::default();
    for line in play.split(|byte| *byte == b'\n').chain([&b""[..]]) {
        let Some((kind, rest)) = line.split_first() else {
            scenes.push(std::mem::take(&mut scene));
            continue;
        };
        let number = || std::str::from_utf8(rest).ok().and_then(|text| text.trim().parse::<u32>().ok());
        match kind {
            b'>' => append(&mut scene.request, rest),
            b'<' => append(&mut scene.response, rest),
            b'?' => scene.method = Method::from_bytes(rest.trim_ascii()).unwrap_or(Method::GET),
            b'+' => scene.pause = Duration::from_secs(number().unwrap_or(0).into()),
            b'=' => scene.status = number().and_then(status),
            _ => {}
        }
    }
    // A play has an end.
    scenes.truncate(8);
    scenes
}

/// A final status.
fn status(code: u32) -> Option<StatusCode> {
    let status = StatusCode::from_u16(u16::try_from(code).ok()?).ok()?;
    (!status.is_informational()).then_some(status)
}

fn append(headers: &mut HeaderMap, line: &[u8]) {
    let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
    let name = HeaderName::from_bytes(line[..colon].trim_ascii());
    let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
    if let (Ok(name), Ok(value)) = (name, value) {
        headers.append(name, value);
    }
}

/// What the network answered, with a body that no other answer has.
type Answered = (StatusCode, HeaderMap, Bytes);

fn perform(mut cache: Cache, scenes: &[Scene], no_store: NoStore) {
    let mut answered: Vec<Answered> = Vec::new();
    for scene in scenes {
        cache.now = cache.now.plus(scene.pause);
        let mut request =
            Request::builder().method(&scene.method).uri("http://origin.test/a").body(()).unwrap();
        request.headers_mut().clone_from(&scene.request);
        let before = answered.len();
        let got = cache.exchange(request, &mut |_| {
            let body = Bytes::from(format!("the body of answer {:04}", answered.len()));
            answered.push((scene.status?, scene.response.clone(), body.clone()));
            let mut response = Response::new(body);
            *response.status_mut() = scene.status?;
            response.headers_mut().clone_from(&scene.response);
            Some(response)
        });
        match got {
            None => assert!(scene.status.is_none(), "only a failing network makes a failing cache"),
            Some(got) => {
                judge(scene, &got, &answered, before);
                if no_store == NoStore::Heard && got.source == Source::Stored(HitKind::Full) {
                    was_storable(&got.body, &answered);
                }
            }
        }
    }
}

fn judge(scene: &Scene, got: &Got, answered: &[Answered], before: usize) {
    let Got { head, body, source } = got;
    let answer = match source {
        Source::Refusal => {
            assert_eq!(before, answered.len(), "a refusal asks nobody");
            return;
        }
        Source::Network => {
            let (status, headers, said) = answered.last().expect("the network was asked");
            assert_eq!((head.status, &head.headers, body), (*status, headers, said));
            return;
        }
        Source::Stored(answer) => *answer,
    };
    let once = |matches: &dyn Fn(&Answered) -> bool| answered.iter().any(matches);
    match answer {
        HitKind::Full => {
            assert!(once(&|(status, _, said)| *status == head.status && said == body));
            assert_ne!(head.status, StatusCode::NOT_MODIFIED);
            assert_ne!(head.status, StatusCode::PARTIAL_CONTENT);
        }
        HitKind::Slice { .. } => {
            assert_eq!(head.status, StatusCode::PARTIAL_CONTENT);
            assert!(
                scene.request.contains_key(header::RANGE) && head.headers.contains_key(header::CONTENT_RANGE)
            );
            assert!(once(&|(_, _, said)| said.windows(body.len()).any(|window| window == body)));
            assert_eq!(head.headers[header::CONTENT_LENGTH], body.len().to_string());
        }
        HitKind::NotModified => {
            assert_eq!((head.status, body.len()), (StatusCode::NOT_MODIFIED, 0));
            let conditions = [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
            assert!(conditions.iter().any(|name| scene.request.contains_key(name)));
        }
        HitKind::Unsatisfiable => {
            assert_eq!((head.status, body.len()), (StatusCode::RANGE_NOT_SATISFIABLE, 0));
            assert!(scene.request.contains_key(header::RANGE));
        }
        HitKind::Headers => assert_eq!(scene.method, Method::HEAD),
    }
}

fn was_storable(body: &Bytes, answered: &[Answered]) {
    let (_, headers, _) = answered.iter().find(|(_, _, said)| said == body).expect("it was answered once");
    let said = ResponseDirectives::parse(headers);
    let overruled = said.must_understand || headers.contains_key("cdn-cache-control");
    assert!(!said.no_store || overruled, "what must not be stored is never served");
}
