//! Responses of requests-cache 0.8 to 1.3, and their conversion from and to the plain data of a
//! file.
//!
//! As in requests-cache, only a redirected response has a history, and the responses in it have
//! none.

use super::base_encoding;
use super::error::Malformed;
use super::json::{self, Dialect};
use super::value::Value;
use bytes::Bytes;
use http::StatusCode;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use lacre_core::{Timestamp, parse_content_length};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// A stored response of requests-cache. Header names keep their case.
#[derive(Clone, PartialEq)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The reason phrase.
    pub reason: Option<String>,
    /// The URL of the response after redirects.
    pub url: String,
    /// The headers. Lines of one name were joined by `, `.
    pub headers: Vec<(String, String)>,
    /// The body, with content codings removed.
    pub body: Bytes,
    /// The character encoding of the body's text.
    pub encoding: Option<String>,
    /// Cookies that the response set.
    pub cookies: Vec<(String, String)>,
    /// The time from the request to the response.
    pub elapsed: Duration,
    /// The time at which the response arrived.
    pub created: Timestamp,
    /// The time at which it becomes stale; `None` means never.
    pub expires: Option<Timestamp>,
    /// Its request; after redirects, the last one.
    pub request: Request,
    /// The redirects to this response, first to last.
    pub history: Vec<Response>,
    /// The target of its redirect.
    pub next: Option<Request>,
}

/// The stored, redacted request of a response.
#[derive(Clone, Default, PartialEq)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The URL with a sorted query.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The body; often empty.
    pub body: Bytes,
    /// Cookies that were sent.
    pub cookies: Vec<(String, String)>,
}

impl Response {
    pub(super) fn from_value(value: Value) -> Result<Self, Malformed> {
        let mut fields = Fields::of(value, "the whole")?;
        let history = match fields.take("history") {
            Value::None => Vec::new(),
            Value::List(hops) => hops.into_iter().map(Self::hop).collect::<Result<_, _>>()?,
            _ => return Err(Malformed::field("history", "a list")),
        };
        Ok(Self { history, ..Self::alone(fields)? })
    }

    fn hop(value: Value) -> Result<Self, Malformed> {
        Self::alone(Fields::of(value, "history")?)
    }

    fn alone(mut fields: Fields) -> Result<Self, Malformed> {
        let mut request = Request::from_value(fields.take("request"))?;
        // Before 1.0, an absent body had this form; only those versions wrote this field.
        if fields.take("raw") != Value::None && request.body == "None" {
            request.body = Bytes::new();
        }
        let next = match fields.take("_next") {
            Value::None => None,
            next => Some(Request::from_value(next)?),
        };
        let headers = fields.pairs("headers")?;
        let mut response = Self {
            status: fields.status()?,
            reason: fields.text("reason")?,
            url: fields.text("url")?.ok_or(Malformed::field("url", "there"))?,
            body: fields.bytes("_content", declared_length(&headers))?,
            headers,
            encoding: fields.text("encoding")?,
            cookies: fields.pairs("cookies")?,
            elapsed: fields.duration("elapsed")?,
            created: fields.time("created_at")?.ok_or(Malformed::field("created_at", "there"))?,
            expires: fields.time("expires")?,
            request,
            history: Vec::new(),
            next,
        };
        match fields.take("_decoded_content") {
            Value::None => {}
            content => response.set_readable_body(content)?,
        }
        Ok(response)
    }

    /// Restores a body that was stored in a readable form, as requests-cache does. Its bytes may
    /// differ from the network's.
    fn set_readable_body(&mut self, content: Value) -> Result<(), Malformed> {
        let text = match content {
            content if is_json(self.header("content-type")) => json::dumps(&content, Dialect::Ujson),
            Value::Str(text) => text,
            _ => return Err(Malformed::field("_decoded_content", "text, in a response that is not JSON")),
        };
        self.body = text.into();
        self.encoding = Some("utf-8".into());
        let length = self.body.len().to_string();
        let stated = self.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        if let Some((_, stated)) = stated {
            *stated = length;
        }
        Ok(())
    }

    pub(super) fn to_value(&self) -> Value {
        let mut value = Draft::default();
        value.put("_content", Value::Bytes(self.body.clone()));
        value.put_some("_next", self.next.as_ref().map(Request::to_value));
        value.put_pairs("cookies", &self.cookies);
        value.put("created_at", time(self.created));
        value.put("elapsed", Value::Float(self.elapsed.as_secs_f64()));
        value.put_some("encoding", self.encoding.clone().map(Value::Str));
        value.put_some("expires", self.expires.map(time));
        value.put_pairs("headers", &self.headers);
        if !self.history.is_empty() {
            let hops = self.history.iter().map(|hop| Self { history: Vec::new(), ..hop.clone() }.to_value());
            value.put("history", Value::List(hops.collect()));
        }
        value.put_some("reason", self.reason.clone().map(Value::Str));
        value.put("request", self.request.to_value());
        value.put("status_code", Value::Int(self.status.as_u16().into()));
        value.put("url", Value::Str(self.url.clone()));
        Value::Dict(value.0)
    }

    /// The value of a header; names are compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

impl Request {
    fn from_value(value: Value) -> Result<Self, Malformed> {
        let mut fields = Fields::of(value, "request")?;
        let headers = fields.pairs("headers")?;
        Ok(Self {
            method: fields.text("method")?.ok_or(Malformed::field("method", "there"))?,
            url: fields.text("url")?.ok_or(Malformed::field("url", "there"))?,
            body: fields.bytes("body", declared_length(&headers))?,
            headers,
            cookies: fields.pairs("cookies")?,
        })
    }

    fn to_value(&self) -> Value {
        let mut value = Draft::default();
        value.put("body", Value::Bytes(self.body.clone()));
        value.put_pairs("cookies", &self.cookies);
        value.put_pairs("headers", &self.headers);
        value.put("method", Value::Str(self.method.clone()));
        value.put("url", Value::Str(self.url.clone()));
        Value::Dict(value.0)
    }

    /// The value of a header; names are compared without case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// Omits the URL, the headers and the body, which may hold secrets.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("created", &self.created)
            .field("expires", &self.expires)
            .field("body", &self.body.len())
            .field("history", &self.history.len())
            .finish_non_exhaustive()
    }
}

/// Omits the URL, the headers and the body, which may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("method", &self.method).finish_non_exhaustive()
    }
}

fn header<'a>(headers: &'a [(String, String)], wanted: &str) -> Option<&'a str> {
    headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
}

/// The length of the body by its headers, if they describe the stored body.
fn declared_length(headers: &[(String, String)]) -> Option<usize> {
    match header(headers, "content-encoding") {
        None => usize::try_from(parse_content_length(header(headers, "content-length")?.as_bytes())?).ok(),
        Some(_) => None,
    }
}

/// Whether requests-cache treats the content type as JSON.
pub(super) fn is_json(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|value| value.starts_with("application/") && value.contains("json"))
}

/// A dict that is being written, without empty fields.
#[derive(Default)]
struct Draft(Vec<(String, Value)>);

impl Draft {
    fn put(&mut self, name: &str, value: Value) {
        self.0.push((name.to_owned(), value));
    }

    fn put_some(&mut self, name: &str, value: Option<Value>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn put_pairs(&mut self, name: &str, pairs: &[(String, String)]) {
        if !pairs.is_empty() {
            let entries = pairs.iter().map(|(name, value)| (name.clone(), Value::Str(value.clone())));
            self.put(name, Value::Dict(entries.collect()));
        }
    }
}

/// A time as `2026-11-23T18:12:42.850000+00:00`, the form that every Python can parse.
fn time(moment: Timestamp) -> Value {
    let moment = jiff::Timestamp::from_millisecond(moment.as_millis()).unwrap_or(jiff::Timestamp::MAX);
    Value::Str(moment.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string())
}

/// A dict that is being read. An absent field is `None`, like the defaults that requests-cache
/// omits.
struct Fields(HashMap<String, Value>);

impl Fields {
    fn of(value: Value, name: &str) -> Result<Self, Malformed> {
        match value {
            Value::Dict(entries) => Ok(Self(entries.into_iter().collect())),
            _ => Err(Malformed::field(name, "a dict")),
        }
    }

    fn take(&mut self, name: &str) -> Value {
        self.0.remove(name).unwrap_or(Value::None)
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, Malformed> {
        match self.take(name) {
            Value::None => Ok(None),
            value => text(value).map(Some).ok_or_else(|| Malformed::field(name, "text")),
        }
    }

    fn bytes(&mut self, name: &str, declared: Option<usize>) -> Result<Bytes, Malformed> {
        match self.take(name) {
            Value::None => Ok(Bytes::new()),
            Value::Bytes(bytes) => Ok(bytes),
            Value::Str(text) => {
                base_encoding::decode(&text, declared).ok_or_else(|| Malformed::field(name, "bytes"))
            }
            _ => Err(Malformed::field(name, "bytes")),
        }
    }

    fn pairs(&mut self, name: &str) -> Result<Vec<(String, String)>, Malformed> {
        let pair = |(key, value): (String, Value)| Some((key, text(value)?));
        match self.take(name) {
            Value::None => Ok(Vec::new()),
            Value::Dict(entries) => entries
                .into_iter()
                // A cookie without a value.
                .filter(|(_, value)| *value != Value::None)
                .map(pair)
                .collect::<Option<_>>()
                .ok_or_else(|| Malformed::field(name, "a dict of texts")),
            _ => Err(Malformed::field(name, "a dict")),
        }
    }

    fn status(&mut self) -> Result<StatusCode, Malformed> {
        let Value::Int(code) = self.take("status_code") else {
            return Err(Malformed::field("status_code", "a number"));
        };
        u16::try_from(code)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
            .ok_or_else(|| Malformed::field("status_code", "a status"))
    }

    fn duration(&mut self, name: &str) -> Result<Duration, Malformed> {
        let seconds = match self.take(name) {
            Value::None => return Ok(Duration::ZERO),
            Value::Float(seconds) => seconds,
            Value::Int(seconds) => seconds as f64,
            _ => return Err(Malformed::field(name, "a number of seconds")),
        };
        // Python counts microseconds, and the clock may have moved backwards.
        let micros = (seconds * 1e6).round().max(0.0);
        if micros > MOST_MICROS {
            return Err(Malformed::field(name, "a number of seconds"));
        }
        Ok(Duration::from_micros(micros as u64))
    }

    /// A time in ISO 8601. Without an offset it is UTC, because versions before 1.2 wrote none.
    fn time(&mut self, name: &str) -> Result<Option<Timestamp>, Malformed> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let moment: Option<jiff::Timestamp> = text.parse().ok().or_else(|| {
            let naive: DateTime = text.parse().ok()?;
            TimeZone::UTC.to_timestamp(naive).ok()
        });
        // The range of years in Python.
        let years = 1..=9999;
        let moment = moment.filter(|moment| years.contains(&TimeZone::UTC.to_datetime(*moment).year()));
        let moment = moment.ok_or_else(|| Malformed::field(name, "a time"))?;
        Ok(Some(Timestamp::from_millis(moment.as_millisecond())))
    }
}

/// Centuries: up to this limit, a float distinguishes microseconds.
const MOST_MICROS: f64 = (1_u64 << 53) as f64;

/// Text; bytes, which header values may be, are Latin-1.
fn text(value: Value) -> Option<String> {
    match value {
        Value::Str(text) => Some(text),
        Value::Bytes(bytes) => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        _ => None,
    }
}
