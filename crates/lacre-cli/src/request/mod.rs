//! The request on the command line: a URL, items as in HTTPie, and cache options.

mod body;
mod item;

use crate::exit::Failure;
use crate::transport;
use body::{Body, Draft};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use item::Item;
use lacre::{Expire, Mode, Policy, RequestOptions, Selector};
use reqwest::Request;
use reqwest_middleware::ClientWithMiddleware;
use std::time::Duration;

const ITEMS: &str = "\
A part of the request:
  Name:value    header; `Name:` drops a default header, `Name;` sends an empty one
  name==value   query parameter
  name=value    body field, JSON unless --form is given; implies POST
  name:=JSON    body field that is not a string: a number, a list …
  name@PATH     file, with --form; `;type=MEDIA-TYPE` may follow
`@PATH` in place of a value reads it from a file, which keeps secrets off the command line: Name:@PATH, name==@PATH, name=@PATH, name:=@PATH";

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// URL to request, with http:// or https://
    url: String,
    #[arg(value_name = "ITEM", help = ITEMS)]
    items: Vec<String>,
    /// Request method [default: GET; POST with a body]
    #[arg(short = 'X', long)]
    method: Option<Method>,
    /// Send this text as the body; `@PATH` reads a file, `@-` standard input. Repeated values are
    /// joined by `&`. The media type is that of a form unless a `Content-Type:` item sets another
    #[arg(short, long, value_name = "TEXT")]
    data: Vec<String>,
    /// Send fields as a form instead of JSON, and as a multipart form if there are files
    #[arg(long)]
    form: bool,
    /// Answer only from the cache; exit 3 if it cannot answer
    #[arg(long, conflicts_with = "refresh")]
    offline: bool,
    /// Revalidate the stored response with the origin
    #[arg(long)]
    refresh: bool,
    /// Freshness lifetime of the response, whatever the origin says: `90`, `1h30m`, `never`,
    /// `immediately` or a date. Does not apply to errors
    #[arg(long, value_name = "EXPIRE", value_parser = expire)]
    ttl: Option<Expire>,
    /// Accept a response that is stale by at most this long: `90`, `1h30m`
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    max_stale: Option<Duration>,
    /// Do not store the response
    #[arg(long, conflicts_with = "ttl")]
    no_store: bool,
    /// Never reuse a response to a request with another `Cookie`, not even one that has a lifetime
    /// and no `Vary: Cookie`
    #[arg(long)]
    partition_by_cookies: bool,
    /// A header that identifies the requester, in addition to the built-in list; may be repeated
    #[arg(long, value_name = "NAME")]
    partition_by_header: Vec<HeaderName>,
    #[command(flatten)]
    pub(crate) transport: transport::Args,
}

impl Args {
    /// Builds the request for `client`, and its cache options.
    pub(crate) fn build(&self, client: &ClientWithMiddleware) -> Result<(Request, RequestOptions), Failure> {
        let mut url = Selector::parse_url(&self.url)?;
        let mut headers = HeaderMap::from_iter([
            (header::ACCEPT, HeaderValue::from_static("*/*")),
            (header::USER_AGENT, HeaderValue::from_static(concat!("lacre/", env!("CARGO_PKG_VERSION")))),
        ]);
        let mut item_headers = HeaderMap::new();
        let mut draft = Draft::default();
        for item in &self.items {
            match Item::parse(item)? {
                Item::Header(name, value) => drop(item_headers.append(name, value)),
                Item::NoHeader(name) => drop(headers.remove(name)),
                Item::Query(name, value) => drop(url.query_pairs_mut().append_pair(&name, &value)),
                Item::Field(name, value) => draft.fields.push((name, value)),
                Item::File(name, file) => draft.files.push((name, file)),
            }
        }
        if url.as_str().parse::<http::Uri>().is_err() {
            return Err(Failure::usage("the URL is too long, or invalid in a request")
                .with_hint("shorten it, or send the long part in the body as name=value"));
        }
        let body = draft.finish(&self.data, self.form)?;
        let method = if matches!(body, Body::None) { Method::GET } else { Method::POST };
        if let Body::Bytes(_, media_type) = &body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        if let Some(credentials) = self.transport.credentials(&url)? {
            headers.insert(header::AUTHORIZATION, credentials);
        }
        // Items replace the default headers, and may repeat a name.
        headers.extend(item_headers);
        let mut request = client.request(self.method.clone().unwrap_or(method), url).headers(headers);
        request = match body {
            Body::None => request,
            Body::Bytes(bytes, _) => request.body(bytes),
            Body::Multipart(form) => request.multipart(form),
        };
        let request = request.build().map_err(|error| Failure::usage(error.without_url().to_string()))?;
        Ok((request, self.options()))
    }

    /// The policy of the cache for this request.
    pub(crate) fn policy(&self) -> Policy {
        let policy = Policy::rfc9111().partition_by_headers(&self.partition_by_header);
        if self.partition_by_cookies { policy.partition_by_cookies() } else { policy }
    }

    pub(crate) fn is_offline(&self) -> bool {
        self.offline
    }

    fn options(&self) -> RequestOptions {
        let mut options = RequestOptions::new().mode(match (self.offline, self.refresh) {
            (true, _) => Mode::OnlyIfCached,
            (_, true) => Mode::Refresh,
            _ => Mode::Default,
        });
        if let Some(ttl) = self.ttl.or(self.no_store.then_some(Expire::DoNotStore)) {
            options = options.ttl(ttl);
        }
        if let Some(staleness) = self.max_stale {
            options = options.max_stale(staleness);
        }
        options
    }
}

fn expire(text: &str) -> Result<Expire, String> {
    text.parse::<Expire>().map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    match text.parse() {
        Ok(Expire::After(duration)) => Ok(duration),
        Ok(Expire::Immediately) => Ok(Duration::ZERO),
        _ => Err("expected seconds, or a duration such as 1h30m".to_owned()),
    }
}
