//! The suite's origin: answers as a test's steps say, and remembers what it was asked.

use crate::suite::{Expected, Step, Value};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use lacre::{Clock, ManualClock, Timestamp};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

/// How long a message takes, one way.
const LATENCY: Duration = Duration::from_millis(5);

/// The origin closed the connection without an answer.
pub(crate) struct Disconnected;

pub(crate) struct Origin<'a> {
    steps: &'a [Step],
    token: &'a str,
    clock: &'a ManualClock,
    /// The requests that arrived.
    pub(crate) seen: Vec<Seen>,
    /// The headers that each step's answer had.
    sent: BTreeMap<usize, Vec<(String, String)>>,
}

pub(crate) struct Seen {
    /// Which of the client's requests it was, from 1.
    pub(crate) number: usize,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    /// The response headers that the client is to receive as they are.
    pub(crate) promised: BTreeMap<String, String>,
}

impl<'a> Origin<'a> {
    pub(crate) fn new(steps: &'a [Step], token: &'a str, clock: &'a ManualClock) -> Self {
        Self { steps, token, clock, seen: Vec::new(), sent: BTreeMap::new() }
    }

    pub(crate) fn answer(&mut self, request: &Request<Bytes>) -> Result<Response<Bytes>, Disconnected> {
        self.clock.advance(LATENCY);
        let answer = self.respond(request);
        self.clock.advance(LATENCY);
        answer
    }

    fn respond(&mut self, request: &Request<Bytes>) -> Result<Response<Bytes>, Disconnected> {
        let number = text(request.headers(), "req-num").and_then(|text| text.parse().ok()).unwrap_or(0);
        let steps = self.steps;
        let Some(step) = usize::checked_sub(number, 1).and_then(|index| steps.get(index)) else {
            let mut unknown = Response::new(Bytes::from_static(b"no such request"));
            *unknown.status_mut() = StatusCode::CONFLICT;
            return Ok(unknown);
        };
        self.clock.advance(Duration::from_secs(step.response_pause.unwrap_or(0)));

        let now = self.clock.now();
        let status = self.status(number, step, request.headers());
        let base = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let mut sent = vec![
            ("Server-Base-Url".to_owned(), base.to_owned()),
            ("Server-Request-Count".to_owned(), (self.seen.len() + 1).to_string()),
            ("Client-Request-Count".to_owned(), number.to_string()),
            ("Server-Now".to_owned(), now.as_millis().to_string()),
        ];
        let mut promised = BTreeMap::new();
        for header in &step.response_headers {
            let name = &header.0;
            sent.push((name.clone(), written(name, &header.1, step, Some(now), Some(base))));
            if header.2 {
                promised.insert(name.clone(), joined(&sent, name));
            }
        }
        self.seen.push(Seen {
            number,
            method: request.method().clone(),
            headers: request.headers().clone(),
            promised,
        });
        let numbers: Vec<String> = self.seen.iter().map(|seen| seen.number.to_string()).collect();
        self.sent.insert(number, sent.clone());
        sent.push(("Request-Numbers".to_owned(), numbers.join(" ")));

        if step.disconnect {
            Err(Disconnected)
        } else {
            Ok(self.response(step, request.method(), status, &sent, now))
        }
    }

    /// 304 where a validation was expected and came, with what the last answer had; 999 where it
    /// did not come.
    fn status(&self, number: usize, step: &Step, asked: &HeaderMap) -> u16 {
        if !matches!(step.expected_type, Some(Expected::LmValidated | Expected::EtagValidated)) {
            return step.response_status.as_ref().map_or(200, |status| status.0);
        }
        let previous = self.previous(number);
        let validates = |condition: &str, validator: &str| {
            let last = previous.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(validator));
            last.is_some_and(|(_, value)| text(asked, condition).as_ref() == Some(value))
        };
        let valid = validates("if-modified-since", "last-modified") || validates("if-none-match", "etag");
        if valid { 304 } else { 999 }
    }

    /// The headers of the answer to the last request, or what it would have had where that never
    /// got here.
    fn previous(&self, number: usize) -> Vec<(String, String)> {
        let steps = self.steps.iter().take(number - 1).skip(number.saturating_sub(2));
        let planned = steps.flat_map(|step| step.response_headers.iter().map(move |header| (step, header)));
        let planned =
            planned.map(|(step, header)| (header.0.clone(), written(&header.0, &header.1, step, None, None)));
        self.sent.get(&(number - 1)).cloned().unwrap_or_else(|| planned.collect())
    }

    fn response(
        &self,
        step: &Step,
        method: &Method,
        status: u16,
        sent: &[(String, String)],
        now: Timestamp,
    ) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
        let headers = response.headers_mut();
        for (name, value) in sent {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::from_bytes(&latin1(value)))
            {
                headers.append(name, value);
            }
        }
        let default = |headers: &mut HeaderMap, name: HeaderName, value: String| {
            if let (false, Ok(value)) = (headers.contains_key(&name), HeaderValue::try_from(value)) {
                headers.insert(name, value);
            }
        };
        default(headers, header::CONTENT_TYPE, "text/plain".to_owned());
        default(headers, header::DATE, http_date(now, 0));
        if status == 204 || status == 304 {
            return response;
        }
        let chosen = step.response_body.as_ref().and_then(Option::as_ref).filter(|body| !body.is_empty());
        let body = chosen.map_or(self.token, String::as_str);
        if !headers.contains_key(header::TRANSFER_ENCODING) {
            default(headers, header::CONTENT_LENGTH, body.len().to_string());
        }
        // On the wire, a body is as long as Content-Length says.
        let length = text(headers, "content-length").and_then(|text| text.parse().ok()).unwrap_or(body.len());
        if method != Method::HEAD {
            *response.body_mut() = Bytes::copy_from_slice(&body.as_bytes()[..length.min(body.len())]);
        }
        response
    }
}

/// A header's value as it is sent: dates are counted from `now`, locations from `base`.
pub(crate) fn written(
    name: &str,
    value: &Value,
    step: &Step,
    now: Option<Timestamp>,
    base: Option<&str>,
) -> String {
    let name = name.to_ascii_lowercase();
    match (value, now) {
        (Value::Number(seconds), Some(now)) if DATES.contains(&name.as_str()) => {
            let date = http_date(now, *seconds);
            if step.rfc850date.contains(&name) { rfc850(&date) } else { date }
        }
        (Value::Number(number), _) => number.to_string(),
        (Value::Text(text), _) if step.magic_locations && LOCATIONS.contains(&name.as_str()) => {
            let separator = if text.is_empty() { "" } else { "/" };
            format!("{}{separator}{text}", base.unwrap_or_default())
        }
        (Value::Text(text), _) => text.clone(),
    }
}

const DATES: [&str; 5] = ["date", "expires", "last-modified", "if-modified-since", "if-unmodified-since"];
const LOCATIONS: [&str; 2] = ["location", "content-location"];

fn http_date(now: Timestamp, seconds: i64) -> String {
    let seconds = u64::try_from(now.as_seconds() + seconds).unwrap_or(0);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as `Sunday, 06-Nov-94 08:49:37 GMT`.
fn rfc850(date: &str) -> String {
    let days = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
    let day = days.iter().find(|day| date.starts_with(&day[..3])).copied().unwrap_or_default();
    format!("{day}, {}-{}-{} {}", &date[5..7], &date[8..11], &date[14..16], &date[17..])
}

/// All values under `name`, as one.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<String> = headers
        .get_all(name)
        .iter()
        .map(|value| value.as_bytes().iter().copied().map(char::from).collect())
        .collect();
    (!values.is_empty()).then(|| values.join(", "))
}

fn joined(headers: &[(String, String)], name: &str) -> String {
    let values: Vec<&str> = headers
        .iter()
        .filter(|(other, _)| other.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect();
    values.join(", ")
}

/// Header values are bytes; the suite writes them as characters up to U+00FF.
pub(crate) fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect()
}
