//! Sealing what requests-cache stored: each response goes through the engine as if its origin had just sent it, on the day it did.

use super::response::{Request, Response};
use crate::{
    Answer, Builder, Cache, Error, ErrorKind, ManualClock, Mode, OnStoreFailure, Outcome, Policy,
    RequestBody, RequestOptions, Settlement,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header, request, response};
use lacre_core::{Detail, Expire, OriginHeaders, Timestamp, parse_content_length};
use std::sync::Arc;
use std::time::Duration;

/// How long past its freshness an imported response is kept, to be validated.
const RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// Writes responses into a sealed cache, by preference the oldest first: of answers that vary, one that is older than those that
/// are there already is of no more use.
#[derive(Debug)]
pub struct Importer {
    cache: Cache,
    clock: Arc<ManualClock>,
}

/// What became of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// It is stored.
    Stored,
    /// The cache has this one, or a newer one.
    Known,
    /// It was stale for so long that it is of no use.
    Ended,
    /// The policy does not store it.
    Declined(Detail),
}

impl Importer {
    /// An importer into the cache that `builder` describes. `policy` is the one that requests will be answered by: it decides under which
    /// keys they look. What it says of methods, statuses and origins does not count, since the responses are there already.
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
        // A lifetime applies to the statuses that are named: redirects and errors have theirs in the file.
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

    /// Stores a response, and each redirect that led to it, under its own request. What became of the response itself is returned.
    ///
    /// # Errors
    /// The store fails, or the response is about a request that is none.
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
        // Nothing comes from the future, where it would stay fresh for as long as it likes.
        let created = response.created.min(now);
        self.clock.set(created);
        let request = request_parts(&response.request)?;
        let newest = self.newest(request.clone(), response).await?;
        // The stored answer to GET answers HEAD too. An imported answer to HEAD must not invalidate it.
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

    /// When the answer that is stored for a request was received.
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
    // What these said was about that one exchange; a later request says it for itself.
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
        // The body is whole, however it came.
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

/// requests decodes bodies before they are stored, except in codings that it lacks a library for: then the length is still right, and
/// what is there is no text.
fn is_still_coded(response: &Response) -> bool {
    let declared =
        response.header("content-length").and_then(|length| parse_content_length(length.as_bytes()));
    response.header("content-encoding").is_some()
        && declared == Some(response.body.len() as u64)
        && str::from_utf8(&response.body).is_err()
}

/// Says of a body that it is not coded (any more), so that every client may have it, whichever codings it accepts.
fn decode(headers: &mut HeaderMap) {
    headers.remove(header::CONTENT_ENCODING);
    let varies: Vec<HeaderValue> = headers.get_all(header::VARY).iter().cloned().collect();
    headers.remove(header::VARY);
    for line in varies {
        let members = line.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        let kept: Vec<&[u8]> =
            members.filter(|member| !member.eq_ignore_ascii_case(b"accept-encoding")).collect();
        // What was one header value still is one.
        if let Ok(kept) = HeaderValue::from_bytes(&kept.join(&b", "[..]))
            && !kept.is_empty()
        {
            headers.append(header::VARY, kept);
        }
    }
}

/// The lines that were joined to one: a cookie begins behind a comma where a name and `=` follow. In a date, none does.
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
