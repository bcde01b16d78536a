//! Redirects, followed above the cache (RFC 9110 §15.4), so that each hop is answered and stored by the rules.
//!
//! It never sends a credential to another origin than the one it was meant for.

use async_trait::async_trait;
use http::{Extensions, HeaderMap, HeaderName, Method, StatusCode, header};
use lacre::Redactor;
use reqwest::{Request, Response, Url};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::fmt;

/// How many redirects are followed for one request.
const MOST_HOPS: usize = 10;

/// The longest body of a redirect that is read so that it can be stored, in bytes.
const MOST_BODY: usize = 64 << 10;

/// Fields that describe a body which is no longer sent (§15.4).
const OF_THE_BODY: [HeaderName; 6] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_LENGTH,
    header::CONTENT_LOCATION,
    header::CONTENT_TYPE,
    header::TRANSFER_ENCODING,
];

/// Follows redirects, each as a request of its own to whatever comes after it in the stack. [`ClientBuilder`](crate::ClientBuilder) has
/// it; in a stack of your own it goes before the cache, above a client with [`reqwest::redirect::Policy::none`].
///
/// 301 and 302 turn POST into GET, 303 turns everything but HEAD into GET, 307 and 308 repeat the request. A hop to another origin loses
/// `Authorization`, `Cookie`, API keys and every other header whose name is that of a credential. No `Referer` is added. A redirect is
/// returned as it is where it leads nowhere (`Location` is missing, or not a URL with `http` or `https`) or would repeat a streamed body.
#[derive(Clone, Copy, Debug, Default)]
pub struct FollowRedirects;

/// A chain of redirects was longer than ten, which is likely a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyRedirects;

impl fmt::Display for TooManyRedirects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "more than {MOST_HOPS} redirects: ask for the address they should end at, or tell the origin of the loop"
        )
    }
}

impl std::error::Error for TooManyRedirects {}

#[async_trait]
impl Middleware for FollowRedirects {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let (mut request, mut hops) = (request, 0);
        loop {
            let repeat = Repeat::of(&mut request);
            let response = next.clone().run(request, extensions).await?;
            match repeat.and_then(|repeat| repeat.following(&response)) {
                None => return Ok(response),
                Some(_) if hops == MOST_HOPS => return Err(Error::middleware(TooManyRedirects)),
                Some(followed) => {
                    Box::pin(drain(response)).await;
                    (request, hops) = (followed, hops + 1);
                }
            }
        }
    }
}

/// Reads a redirect's body, so that it is stored and its connection can be used again.
async fn drain(mut response: Response) {
    let mut read = 0;
    while let Ok(Some(bytes)) = response.chunk().await {
        read += bytes.len();
        if read > MOST_BODY {
            return;
        }
    }
}

/// What it takes to send a request again, elsewhere.
struct Repeat {
    request: Request,
    body: RepeatBody,
}

/// Whether a request's body can be sent again.
#[derive(PartialEq)]
enum RepeatBody {
    Possible,
    Streamed,
}

impl Repeat {
    fn of(request: &mut Request) -> Option<Self> {
        if let Some(request) = request.try_clone() {
            return Some(Self { request, body: RepeatBody::Possible });
        }
        let stream = request.body_mut().take();
        let without_body = request.try_clone();
        *request.body_mut() = stream;
        Some(Self { request: without_body?, body: RepeatBody::Streamed })
    }

    /// The request that `response` redirects to, if it does.
    fn following(self, response: &Response) -> Option<Request> {
        let Self { mut request, body } = self;
        match (response.status(), request.method()) {
            (StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND, &Method::POST) => make_get(&mut request),
            (StatusCode::SEE_OTHER, method) if *method != Method::HEAD => make_get(&mut request),
            (status, _) if !redirects(status) || body == RepeatBody::Streamed => return None,
            _ => {}
        }
        let target = target(request.url(), response.headers())?;
        if target.origin() != request.url().origin() {
            remove_what_belongs_to_the_origin(request.headers_mut());
        }
        *request.url_mut() = target;
        Some(request)
    }
}

fn redirects(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn make_get(request: &mut Request) {
    *request.method_mut() = Method::GET;
    *request.body_mut() = None;
    for name in &OF_THE_BODY {
        request.headers_mut().remove(name);
    }
}

fn remove_what_belongs_to_the_origin(headers: &mut HeaderMap) {
    let secret = Redactor::default();
    let names = headers.keys().filter(|name| **name == header::HOST || secret.is_credential(name.as_str()));
    for name in names.cloned().collect::<Vec<HeaderName>>() {
        headers.remove(name);
    }
}

/// Where `Location` leads to from `base` (RFC 9110 §10.2.2).
fn target(base: &Url, headers: &HeaderMap) -> Option<Url> {
    let location = std::str::from_utf8(headers.get(header::LOCATION)?.as_bytes()).ok()?;
    let mut target = base.join(location).ok()?;
    if !matches!(target.scheme(), "http" | "https") {
        return None;
    }
    // A redirect neither passes on the credentials of the last URL nor brings any.
    target.set_username("").and_then(|()| target.set_password(None)).ok()?;
    if target.fragment().is_none() {
        target.set_fragment(base.fragment());
    }
    Some(target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::Body;

    fn request(method: Method, url: &str, headers: &[(&str, &str)]) -> Request {
        let mut builder = http::Request::builder().method(method).uri(url);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body("form").unwrap().try_into().unwrap()
    }

    fn redirect(status: u16, location: &str) -> Response {
        http::Response::builder().status(status).header("location", location).body("").unwrap().into()
    }

    fn followed(mut request: Request, response: &Response) -> Option<Request> {
        Repeat::of(&mut request)?.following(response)
    }

    #[test]
    fn the_method_and_the_body_change_as_the_rfc_says() {
        for (status, before, after) in [
            (301, Method::POST, Some((Method::GET, false))),
            (302, Method::POST, Some((Method::GET, false))),
            (302, Method::PUT, Some((Method::PUT, true))),
            (303, Method::PUT, Some((Method::GET, false))),
            (303, Method::HEAD, Some((Method::HEAD, true))),
            (307, Method::POST, Some((Method::POST, true))),
            (308, Method::DELETE, Some((Method::DELETE, true))),
            (300, Method::GET, None),
            (304, Method::GET, None),
            (200, Method::GET, None),
        ] {
            let request = request(before.clone(), "http://a/", &[("content-type", "text/plain")]);
            let found = followed(request, &redirect(status, "/b")).map(|next| {
                let has_body = next.body().is_some();
                assert_eq!(next.headers().contains_key("content-type"), has_body, "{status} {before}");
                assert_eq!(next.url().as_str(), "http://a/b");
                (next.method().clone(), has_body)
            });
            assert_eq!(found, after, "{status} {before}");
        }
    }

    #[test]
    fn a_hop_to_another_origin_takes_no_credential_along() {
        let headers = [
            ("authorization", "Bearer 1"),
            ("cookie", "a=1"),
            ("proxy-authorization", "Basic 1"),
            ("x-api-key", "1"),
            ("host", "a"),
            ("accept", "text/html"),
        ];
        let hop = |location: &str| {
            let next =
                followed(request(Method::GET, "https://a/", &headers), &redirect(302, location)).unwrap();
            next.headers().keys().map(|name| name.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(hop("https://a:443/b").len(), headers.len());
        for elsewhere in ["https://b/", "http://a/", "https://a:8443/", "//b/"] {
            assert_eq!(hop(elsewhere), ["accept"], "{elsewhere}");
        }
    }

    #[test]
    fn a_location_is_resolved_and_brings_no_credentials() {
        for (base, location, expected) in [
            ("http://a/b/c?d#e", "f", Some("http://a/b/f#e")),
            ("http://a/b/c?d#e", "/f#g", Some("http://a/f#g")),
            ("http://a/b/c?d", "?x", Some("http://a/b/c?x")),
            ("http://a/b", "//c/d", Some("http://c/d")),
            ("http://u:p@a/b", "/c", Some("http://a/c")),
            ("http://a/b", "http://u:p@c/", Some("http://c/")),
            ("http://a/b", "ftp://c/", None),
            ("http://a/b", "javascript:void(0)", None),
            ("http://a/b", "http://", None),
        ] {
            let mut request = request(Method::GET, "http://a/", &[]);
            *request.url_mut() = base.parse().unwrap();
            let next = followed(request, &redirect(302, location));
            assert_eq!(next.as_ref().map(|next| next.url().as_str()), expected, "{base} + {location}");
        }
    }

    #[test]
    fn a_streamed_body_is_never_sent_twice() {
        let streamed = || {
            let mut request = request(Method::POST, "http://a/", &[]);
            *request.body_mut() = Some(Body::wrap(String::from("stream")));
            request
        };
        let mut kept = streamed();
        assert!(Repeat::of(&mut kept).is_some());
        assert!(kept.body().is_some());
        assert!(followed(streamed(), &redirect(307, "/b")).is_none());
        assert!(followed(streamed(), &redirect(303, "/b")).unwrap().body().is_none());
    }
}
