//! Imports stored responses of requests-cache: each passes through the engine as if its origin sent
//! it at the time when it was received.

use super::response::{Request, Response};
use crate::{
    Answer, Builder, Cache, Error, ErrorKind, ManualClock, Mode, OnStoreFailure, Outcome, Policy,
    RequestBody, RequestOptions, Settlement,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request, response};
use lacre_core::{Detail, Expire, OriginHeaders, Timestamp, parse_content_length};
use std::sync::Arc;
use std::time::Duration;

/// The retention of an imported response beyond its freshness lifetime, for validation.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// Writes responses into a sealed cache. Import the oldest first: a variant older than the stored
/// variants is of no use.
#[derive(Debug)]
pub struct Importer {
    cache: Cache,
    clock: Arc<ManualClock>,
}

/// The outcome for a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It was stored.
    Stored,
    /// The cache already has this response or a newer one.
    Known,
    /// It has been stale for too long.
    Ended,
    /// The policy does not store it.
    Declined(Detail),
}

impl Importer {
    /// An importer into the cache that `builder` describes. `policy` is the policy of later
    /// requests; it determines the row keys. Its methods, statuses and origin settings do not
    /// count, because the responses exist already.
    ///
    /// # Errors
    /// As [`Builder::build`].
    pub fn new(builder: Builder, policy: Policy) -> Result<Self, Error> {
        let clock = Arc::new(ManualClock::new(Timestamp::default()));
        let methods = [
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
            Method::OPTIONS,
        ];
        // A user lifetime applies to named statuses; the file states the lifetimes of redirects and
        // errors.
        let statuses = (200..600).filter_map(|code| StatusCode::from_u16(code).ok());
        let policy = policy
            .origin_headers(OriginHeaders::Ignored)
            .methods(methods)
            .statuses(statuses)
            .retention(RETENTION)
            .keep_request_headers();
        let cache = builder
            .policy(policy)
            .clock(Arc::clone(&clock))
            .on_store_failure(OnStoreFailure::Raise)
            .build()?;
        Ok(Self { cache, clock })
    }

    /// Stores a response, and each redirect to it, under its own request. Returns the outcome for
    /// the response itself.
    ///
    /// # Errors
    /// The store fails, or the stored request is invalid.
    pub async fn import(&self, response: &Response, now: Timestamp) -> Result<Imported, Error> {
        for hop in &response.history {
            self.store(hop, response.expires, now).await?;
        }
        self.store(response, response.expires, now).await
    }

    async fn store(
        &self,
        response: &Response,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Imported, Error> {
        if expires.is_some_and(|expires| expires.plus(RETENTION) <= now) {
            return Ok(Imported::Ended);
        }
        // A time in the future would keep the response fresh too long.
        let created = response.created.min(now);
        self.clock.set(created);
        let request = request_parts(&response.request)?;
        let newest = self.newest(request.clone(), response).await?;
        // The stored response to GET serves HEAD, too. An imported response to HEAD must not
        // invalidate it.
        if newest.is_some() && request.method == Method::HEAD {
            return Ok(Imported::Declined(Detail::Method));
        }
        if newest.is_some_and(|newest| newest >= created) {
            return Ok(Imported::Known);
        }
        let ttl = expires.map_or(Expire::Never, Expire::At);
        let mut fetch = request.clone();
        fetch.extensions.insert(RequestOptions::new().mode(Mode::ForceRefresh).ttl(ttl));
        let Answer::Send(ticket) = self.cache.ask(fetch, RequestBody::Seen(&response.request.body)).await?
        else {
            return Ok(Imported::Declined(Detail::Method));
        };
        let answer = response_parts(response)?;
        match self.cache.settle(ticket, Outcome::Response(&answer)).await? {
            Settlement::Network { keep: Some(mut recording), .. } => {
                recording.write(&response.body).await;
                recording.conclude().await?;
            }
            Settlement::Network { keep: None, info, .. } => {
                return Ok(Imported::Declined(info.status.detail.unwrap_or(Detail::Method)));
            }
            _ => return Ok(Imported::Declined(Detail::NoUse)),
        }
        let is_found = self.newest(request, response).await?.is_some();
        Ok(if is_found { Imported::Stored } else { Imported::Known })
    }

    /// The time at which the stored response to a request was received.
    async fn newest(&self, request: request::Parts, response: &Response) -> Result<Option<Timestamp>, Error> {
        Ok(match self.cache.ask(request, RequestBody::Seen(&response.request.body)).await? {
            Answer::Hit(reply) | Answer::Refresh(reply, _) => reply.info.stored_at,
            Answer::Send(ticket) => ticket.info().stored_at,
            Answer::Refuse(_) => None,
        })
    }
}

fn request_parts(request: &Request) -> Result<request::Parts, Error> {
    let broken =
        |what: &str| Error::new(ErrorKind::Broken, format!("the stored request has {what} that is none"));
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| broken("a method"))?;
    let uri: Uri = request.url.parse().map_err(|_| broken("a URL"))?;
    if uri.host().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(broken("a URL"));
    }
    let mut parts = http::Request::new(()).into_parts().0;
    (parts.method, parts.uri) = (method, uri);
    for (name, value) in &request.headers {
        append(&mut parts.headers, name, value)?;
    }
    // These headers concern one exchange only.
    for name in [header::CACHE_CONTROL, header::PRAGMA, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
        parts.headers.remove(name);
    }
    Ok(parts)
}

fn response_parts(response: &Response) -> Result<response::Parts, Error> {
    let mut parts = http::Response::new(()).into_parts().0;
    parts.status = response.status;
    for (name, value) in &response.headers {
        if name.eq_ignore_ascii_case("set-cookie") {
            for cookie in cookies(value) {
                append(&mut parts.headers, name, cookie)?;
            }
        } else {
            append(&mut parts.headers, name, value)?;
        }
    }
    if response.request.method != "HEAD" {
        if !is_still_coded(response) {
            decode(&mut parts.headers);
        }
        // The body is complete, however it was transferred.
        parts.headers.remove(header::TRANSFER_ENCODING);
        parts.headers.insert(header::CONTENT_LENGTH, response.body.len().into());
    }
    Ok(parts)
}

fn append(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), Error> {
    let broken = || Error::new(ErrorKind::Broken, "the stored message has a header that is none");
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| broken())?;
    // Python reads headers as Latin-1.
    let latin: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
    let value = latin.unwrap_or_else(|| value.as_bytes().to_vec());
    let value = HeaderValue::from_bytes(&value).map_err(|_| broken())?;
    headers.try_append(name, value).map_err(|_| broken())?;
    Ok(())
}

/// requests decodes bodies before they are stored, unless it lacks the library for a coding. The
/// length is then still right, and the body is not text.
fn is_still_coded(response: &Response) -> bool {
    let declared =
        response.header("content-length").and_then(|length| parse_content_length(length.as_bytes()));
    response.header("content-encoding").is_some()
        && declared == Some(response.body.len() as u64)
        && str::from_utf8(&response.body).is_err()
}

/// Removes the content coding from the headers of a decoded body, so that every client may receive
/// it.
fn decode(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_ENCODING);
    let varies: Vec<HeaderValue> = headers.get_all(header::VARY).iter().cloned().collect();
    headers.remove(header::VARY);
    for line in varies {
        let members = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let kept: Vec<&[u8]> =
            members.filter(|member| !member.eq_ignore_ascii_case(b"accept-encoding")).collect();
        // A single header value stays one.
        if let Ok(kept) = HeaderValue::from_bytes(&kept.join(&b", "[..]))
            && !kept.is_empty()
        {
            headers.append(header::VARY, kept);
        }
    }
}

/// Splits joined lines: a cookie begins after a comma if a name and `=` follow, which is never the
/// case in a date.
fn cookies(joined: &str) -> impl Iterator<Item = &str> {
    let begins = |rest: &str| {
        let name = rest.split(['=', ';', ',']).next().unwrap_or_default();
        !name.is_empty() && !name.contains(' ') && rest[name.len()..].starts_with('=')
    };
    let mut rest = Some(joined);
    std::iter::from_fn(move || {
        let text = rest?;
        let cut = text.match_indices(", ").find(|(at, _)| begins(&text[at + 2..]));
        rest = cut.map(|(at, _)| &text[at + 2..]);
        Some(cut.map_or(text, |(at, _)| &text[..at]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_that_were_joined_are_told_apart() {
        let joined = "a=1; Expires=Wed, 21 Oct 2037 07:28:00 GMT; Path=/, b=x, y=z,w; Max-Age=1, c=";
        let lines: Vec<&str> = cookies(joined).collect();
        assert_eq!(
            lines,
            ["a=1; Expires=Wed, 21 Oct 2037 07:28:00 GMT; Path=/", "b=x", "y=z,w; Max-Age=1", "c="]
        );
        assert_eq!(cookies("").collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_body_without_its_coding_no_longer_varies_by_it() {
        let mut headers = HeaderMap::new();
        append(&mut headers, "Content-Encoding", "gzip").unwrap();
        append(&mut headers, "Vary", "Accept-Encoding, Accept").unwrap();
        append(&mut headers, "Vary", "accept-encoding").unwrap();
        decode(&mut headers);
        assert_eq!(headers.len(), 1);
        assert_eq!(headers[header::VARY], "Accept");
    }
}
