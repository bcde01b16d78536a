//! A request as it is written on the command line: a URL, and items in the manner of HTTPie.

use crate::exit::{Exit, Failure};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use lacre::{Expire, Mode, Policy, RequestOptions};
use reqwest::{Request, Url};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Map, Value};
use std::time::Duration;

const ITEMS: &str = "\
A part of the request:
  Name:value   a header
  Name:@PATH   a header whose value is in a file, as a secret's should be
  name==value  a parameter of the query
  name=value   a string in a JSON body; the method is POST then
  name:=JSON   any other value in a JSON body";

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// What to ask for, with http:// or https://
    url: String,
    #[arg(value_name = "ITEM", help = ITEMS)]
    items: Vec<String>,
    /// The method
    #[arg(short = 'X', long)]
    method: Option<Method>,
    /// Answer from the cache or not at all (exit 3)
    #[arg(long, conflicts_with = "refresh")]
    offline: bool,
    /// Ask the origin whether what is stored still holds
    #[arg(long)]
    refresh: bool,
    /// How long the answer is fresh, whatever the origin says: `90`, `1h30m`, `never`, `immediately`, a date. Not for errors
    #[arg(long, value_name = "EXPIRE", value_parser = expire)]
    ttl: Option<Expire>,
    /// Accept an answer that has been stale for no longer than this: `90`, `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_stale: Option<Duration>,
    /// Do not store the answer
    #[arg(long, conflicts_with = "ttl")]
    no_store: bool,
    /// Never take an answer that was fetched with another `Cookie`, not even one that has a lifetime and no `Vary: Cookie`
    #[arg(long)]
    partition_by_cookies: bool,
}

impl Args {
    /// The request as `client` would send it, and what is wished for it.
    pub(crate) fn build(&self, client: &ClientWithMiddleware) -> Result<(Request, RequestOptions), Failure> {
        let mut url = parse_url(&self.url)?;
        let mut headers = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            (header::USER_AGENT, HeaderValue::from_static(concat!("lacre/", env!("CARGO_PKG_VERSION")))),
        ]);
        let mut spoken = HeaderMap::new();
        let mut fields = Map::new();
        for item in &self.items {
            match Item::parse(item)? {
                Item::Header(name, value) => drop(spoken.append(name, value)),
                Item::Query(name, value) => drop(url.query_pairs_mut().append_pair(name, value)),
                Item::Field(name, value) => drop(fields.insert(name.to_owned(), value)),
            }
        }
        let mut method = Method::GET;
        let mut body = None;
        if !fields.is_empty() {
            method = Method::POST;
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            body = Some(Value::Object(fields).to_string());
        }
        if url.as_str().parse::<http::Uri>().is_err() {
            return Err(Failure::usage("the URL is too long, or not one that a request can have")
                .with_hint("shorten it, or send the long part as name=value"));
        }
        // What the user said replaces what we would say, and may repeat a name.
        headers.extend(spoken);
        let mut request = client.request(self.method.clone().unwrap_or(method), url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let request = request.build().map_err(|error| Failure::usage(error.without_url().to_string()))?;
        Ok((request, self.wishes()))
    }

    /// What is wished for the cache that this request goes through.
    pub(crate) fn policy(&self) -> Policy {
        let policy = Policy::rfc9111();
        if self.partition_by_cookies { policy.partition_by_cookies() } else { policy }
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    fn wishes(&self) -> RequestOptions {
        let mut wishes = RequestOptions::new().mode(match (self.offline, self.refresh) {
            (true, _) => Mode::OnlyIfCached,
            (_, true) => Mode::Refresh,
            _ => Mode::Default,
        });
        if let Some(ttl) = self.ttl.or(self.no_store.then_some(Expire::DoNotStore)) {
            wishes = wishes.ttl(ttl);
        }
        if let Some(staleness) = self.max_stale {
            wishes = wishes.max_stale(staleness);
        }
        wishes
    }
}

/// An absolute URL that a request can be made to.
pub(crate) fn parse_url(text: &str) -> Result<Url, Failure> {
    let example = "a URL looks like https://example.com/path";
    let url = Url::parse(text)
        .map_err(|error| Failure::usage(format!("the URL cannot be read: {error}")).with_hint(example))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        scheme => Err(Failure::usage(format!("cannot fetch a URL with `{scheme}:`")).with_hint(example)),
    }
}

enum Item<'a> {
    Header(HeaderName, HeaderValue),
    Query(&'a str, &'a str),
    Field(&'a str, Value),
}

impl<'a> Item<'a> {
    /// The first separator decides; where several begin at one place, the longest.
    fn parse(text: &'a str) -> Result<Self, Failure> {
        let (name, rest) = text.split_at(text.find([':', '=']).unwrap_or(text.len()));
        if let Some(value) = rest.strip_prefix("==") {
            return Ok(Self::Query(name, value));
        }
        if let Some(value) = rest.strip_prefix(":=") {
            let value = serde_json::from_str(value).map_err(|_| {
                Failure::usage(format!("the value of `{name}` is not JSON"))
                    .with_hint("for text, write name=value")
            })?;
            return Ok(Self::Field(name, value));
        }
        if let Some(value) = rest.strip_prefix('=') {
            return Ok(Self::Field(name, value.into()));
        }
        let Some(value) = rest.strip_prefix(':') else {
            return Err(Failure::usage("an item says neither which header nor which parameter it is")
                .with_hint("write Name:value, name==value or name=value; see lacre get --help"));
        };
        let header = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            Failure::usage(format!("`{name}` cannot be the name of a header")).with_hint("write Name:value")
        })?;
        let value = match value.strip_prefix('@') {
            Some(path) => HeaderValue::from_bytes(read(name, path)?.trim_ascii()),
            None => HeaderValue::from_bytes(value.trim().as_bytes()),
        };
        let value = value.map_err(|_| {
            Failure::usage(format!("the value of header `{name}` has characters that no header can have"))
                .with_hint("a header is one line of text")
        })?;
        Ok(Self::Header(header, value))
    }
}

fn read(name: &str, path: &str) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot read the value of header `{name}` from {path}: {error}"))
            .with_hint("Name:@PATH takes the value from a file")
    })
}

fn expire(text: &str) -> Result<Expire, String> {
    text.parse::<Expire>().map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(Expire::After(duration)) => Ok(duration),
        Ok(Expire::Immediately) => Ok(Duration::ZERO),
        _ => Err("write seconds, or a duration such as 1h30m".to_owned()),
    }
}
