//! The suite's client: sends a test's requests and checks what comes back, and what the origin saw
//! of them.

use crate::origin::{Disconnected, Origin, latin1, text, written};
use crate::suite::{Expected, HeaderCheck, Step, Test};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, header};
use lacre::{ManualClock, Timestamp};
use std::time::Duration;

/// The way to the origin.
pub(crate) type Network<'a> = dyn FnMut(&Request<Bytes>) -> Result<Response<Bytes>, Disconnected> + 'a;

/// A cache to be judged.
pub(crate) trait Subject {
    fn name(&self) -> &'static str;

    /// Answers a request.
    fn exchange(&self, request: Request<Bytes>, origin: &mut Network<'_>) -> Response<Bytes>;
}

/// Why a test was not passed.
pub(crate) enum Failure {
    /// It did not come to the point.
    Setup(String),
    /// The cache does something else.
    Assertion(String),
}

const PAUSE: Duration = Duration::from_secs(3);

/// Plays one test.
pub(crate) fn play(test: &Test, subject: &impl Subject, clock: &ManualClock) -> Result<(), Failure> {
    let token = token(&test.id);
    let mut origin = Origin::new(&test.requests, &token, clock);
    let mut responses: Vec<Response<Bytes>> = Vec::new();
    for (index, step) in test.requests.iter().enumerate() {
        let request = request(&token, index + 1, step, responses.last())?;
        let response = subject.exchange(request, &mut |request| origin.answer(request));
        let checked = check_response(step, index + 1, &token, &response);
        responses.push(response);
        checked?;
        if step.pause_after {
            clock.advance(PAUSE);
        }
    }
    check_origin(&test.requests, &responses, &origin)
}

/// What tells a test's URLs from those of others, and the body where a test names none: 36 bytes,
/// as some tests rely on.
fn token(id: &str) -> String {
    let mut token: String =
        id.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect();
    token.truncate(27);
    let digest = id.bytes().fold(0u32, |digest, byte| digest.wrapping_mul(31).wrapping_add(u32::from(byte)));
    format!("{token:_<27}.{digest:08x}")
}

fn request(
    token: &str,
    number: usize,
    step: &Step,
    previous: Option<&Response<Bytes>>,
) -> Result<Request<Bytes>, Failure> {
    let filename = step.filename.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    let query = step.query_arg.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    // What the suite's client sends with every request.
    let mut headers = vec![
        ("pragma".to_owned(), "foo".to_owned()),
        ("cache-control".to_owned(), "nothing-to-see-here".to_owned()),
        ("req-num".to_owned(), number.to_string()),
    ];
    let now = previous.and_then(server_now).filter(|_| step.magic_ims);
    for (name, value) in &step.request_headers {
        headers.push((name.to_ascii_lowercase(), written(name, value, step, now, None)));
    }
    let body = step.request_body.clone().map(Bytes::from).unwrap_or_default();
    let mut defaults =
        vec![("accept", "*/*"), ("accept-language", "*"), ("accept-encoding", "gzip, deflate")];
    if !body.is_empty() {
        defaults.push(("content-type", "text/plain;charset=UTF-8"));
    }
    for (name, value) in defaults {
        if headers.iter().all(|(given, _)| given != name) {
            headers.push((name.to_owned(), value.to_owned()));
        }
    }

    let broken = |error: http::Error| Failure::Setup(format!("request {number} cannot be sent: {error}"));
    let mut request = Request::builder()
        .method(step.method())
        .uri(format!("http://origin.test/test/{token}{filename}{query}"))
        .body(body)
        .map_err(broken)?;
    for (name, value) in headers {
        let name = HeaderName::try_from(name).map_err(|error| broken(error.into()))?;
        let value = match request.headers().get(&name) {
            // A client sends repeated headers as one.
            Some(first) => [first.as_bytes(), b", ", &latin1(&value)].concat(),
            None => latin1(&value),
        };
        let value = HeaderValue::from_bytes(&value).map_err(|error| broken(error.into()))?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

fn server_now(response: &Response<Bytes>) -> Option<Timestamp> {
    text(response.headers(), "server-now")?.parse().ok().map(Timestamp::from_millis)
}

/// Fails unless `holds`; where the check only `prepares` the test, that says nothing about the
/// cache.
fn check(prepares: bool, holds: bool, message: impl FnOnce() -> String) -> Result<(), Failure> {
    match (holds, prepares) {
        (true, _) => Ok(()),
        (false, true) => Err(Failure::Setup(message())),
        (false, false) => Err(Failure::Assertion(message())),
    }
}

fn check_response(
    step: &Step,
    number: usize,
    token: &str,
    response: &Response<Bytes>,
) -> Result<(), Failure> {
    let count = text(response.headers(), "server-request-count").and_then(|text| text.parse::<usize>().ok());
    let numbers = text(response.headers(), "request-numbers").unwrap_or_default();
    let mut asked: Vec<&str> = numbers.split(' ').collect();
    asked.sort_unstable();
    check(true, asked.windows(2).all(|pair| pair[0] != pair[1]), || {
        format!("a request was sent twice: {numbers}")
    })?;
    check_type(step, number, response.status().as_u16(), count)?;
    check_status(step, number, response.status().as_u16())?;
    for expected in &step.expected_response_headers {
        let holds = holds(expected, step, response);
        check(step.prepares("expected_response_headers"), holds, || {
            mismatch(number, expected, step, response)
        })?;
    }
    for missing in &step.expected_response_headers_missing {
        // Its form with a value asserts nothing in the suite's own client.
        if let HeaderCheck::Present(name) = missing {
            let prepares = step.prepares("expected_response_headers_missing");
            check(prepares, !response.headers().contains_key(name), || {
                format!("response {number} has {name}")
            })?;
        }
    }
    check_body(step, number, token, response)
}

fn check_type(step: &Step, number: usize, status: u16, count: Option<usize>) -> Result<(), Failure> {
    let prepares = step.prepares("expected_type");
    match step.expected_type {
        Some(Expected::Cached) => {
            let cached = count.map_or(status == 304, |count| count < number);
            check(prepares, cached, || format!("response {number} does not come from the cache"))
        }
        Some(Expected::NotCached) => {
            check(prepares, count == Some(number), || format!("response {number} comes from the cache"))
        }
        Some(Expected::LmValidated | Expected::EtagValidated) | None => Ok(()),
    }
}

fn check_status(step: &Step, number: usize, status: u16) -> Result<(), Failure> {
    let message = |wanted: u16| move || format!("response {number} has status {status}, not {wanted}");
    match (step.expected_status, &step.response_status) {
        (Some(None), _) => Ok(()),
        (Some(Some(wanted)), _) => check(step.prepares("expected_status"), status == wanted, message(wanted)),
        (None, Some((wanted, _))) => check(true, status == *wanted, message(*wanted)),
        (None, None) if status == 999 => check(step.prepares("expected_type"), false, || {
            format!("request {number} should have been conditional")
        }),
        (None, None) => check(true, status == 200, message(200)),
    }
}

fn holds(expected: &HeaderCheck, step: &Step, response: &Response<Bytes>) -> bool {
    let value = |name: &str| text(response.headers(), name);
    match expected {
        HeaderCheck::Present(name) => value(name).is_some(),
        HeaderCheck::Equals(name, wanted) => {
            let base = value("server-base-url");
            value(name) == Some(written(name, wanted, step, server_now(response), base.as_deref()))
        }
        HeaderCheck::Compared(name, operator, wanted) => {
            let wanted = written("", wanted, step, None, None);
            match operator.as_str() {
                "=" => value(name).is_some() && value(name) == value(&wanted),
                ">" => value(name).and_then(|value| value.parse().ok()) > wanted.parse::<i64>().ok(),
                _ => false,
            }
        }
    }
}

fn mismatch(number: usize, expected: &HeaderCheck, step: &Step, response: &Response<Bytes>) -> String {
    let (name, wanted) = match expected {
        HeaderCheck::Present(name) => (name, "anything".to_owned()),
        HeaderCheck::Equals(name, wanted) => (name, written(name, wanted, step, server_now(response), None)),
        HeaderCheck::Compared(name, operator, wanted) => {
            (name, format!("{operator} {}", written("", wanted, step, None, None)))
        }
    };
    format!("response {number} has {name} {:?}, not {wanted:?}", text(response.headers(), name))
}

fn check_body(step: &Step, number: usize, token: &str, response: &Response<Bytes>) -> Result<(), Failure> {
    let received = response.body();
    let is = |wanted: &str| received == wanted.as_bytes();
    let message = || format!("response {number} has another body: {received:?}");
    let has_body = !matches!(response.status().as_u16(), 204 | 304) && step.method() != "HEAD";
    match (step.check_body, &step.expected_response_text, &step.response_body) {
        (Some(false), ..) | (_, Some(None), _) => Ok(()),
        (_, Some(Some(wanted)), _) => check(step.prepares("expected_response_text"), is(wanted), message),
        (_, None, Some(Some(wanted))) => check(true, is(wanted), message),
        (_, None, Some(None) | None) => check(true, !has_body || is(token), message),
    }
}

/// Compares what the origin saw with what it should have seen.
fn check_origin(steps: &[Step], responses: &[Response<Bytes>], origin: &Origin<'_>) -> Result<(), Failure> {
    let mut arrived = origin.seen.iter();
    for (index, (step, response)) in steps.iter().zip(responses).enumerate() {
        let number = index + 1;
        let prepares = step.prepares("expected_type");
        if step.expected_type == Some(Expected::Cached) {
            continue;
        }
        let seen = arrived.next();
        let has = |name: &str| seen.is_some_and(|seen| seen.headers.contains_key(name));
        let is = |name: &str, wanted: &str| {
            seen.and_then(|seen| text(&seen.headers, name)).as_deref() == Some(wanted)
        };
        match step.expected_type {
            Some(Expected::NotCached) => {
                check(prepares, seen.is_some_and(|seen| seen.number == number), || {
                    format!("request {number} was not sent to the origin")
                })?;
            }
            Some(Expected::EtagValidated) => check(prepares, has(header::IF_NONE_MATCH.as_str()), || {
                format!("request {number} has no If-None-Match")
            })?,
            Some(Expected::LmValidated) => check(prepares, has(header::IF_MODIFIED_SINCE.as_str()), || {
                format!("request {number} has no If-Modified-Since")
            })?,
            Some(Expected::Cached) | None => {}
        }
        for expected in &step.expected_request_headers {
            let holds = match expected {
                HeaderCheck::Present(name) => has(name),
                HeaderCheck::Equals(name, wanted) => is(name, &written("", wanted, step, None, None)),
                HeaderCheck::Compared(..) => false,
            };
            check(step.prepares("expected_request_headers"), holds, || {
                format!("request {number} arrived without an expected header")
            })?;
        }
        for missing in &step.expected_request_headers_missing {
            let holds = match missing {
                HeaderCheck::Present(name) => !has(name),
                HeaderCheck::Equals(name, unwanted) => !is(name, &written("", unwanted, step, None, None)),
                HeaderCheck::Compared(..) => false,
            };
            check(step.prepares("expected_request_headers_missing"), holds, || {
                format!("request {number} arrived with an unwanted header")
            })?;
        }
        for (name, promised) in seen.iter().flat_map(|seen| &seen.promised) {
            let received = text(response.headers(), name);
            let holds = name.eq_ignore_ascii_case("date") || received.as_ref() == Some(promised);
            check(true, holds, || format!("response {number} has {name} {received:?}, not {promised:?}"))?;
        }
        if let Some(method) = &step.expected_method {
            let holds = seen.is_some_and(|seen| seen.method == method.as_str());
            check(step.prepares("expected_method"), holds, || {
                format!("request {number} arrived with another method")
            })?;
        }
    }
    Ok(())
}
