//! ureq as the network beneath a cache: requests in its terms, responses in everybody's.

use crate::body::Incoming;
use crate::deadline::Deadline;
use crate::settings::configured;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, header, request, response};
use lacre::{Background, Detail, Network, RequestBody, varies_by_unseen};
use send_wrapper::SendWrapper;
use std::future::ready;
use std::io::{self, Cursor, Read};
use std::time::Duration;
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, AsSendBody, Body, Error, ResponseExt, SendBody};

/// How much of a request's body is read to look it up, in bytes. What is longer is not looked up.
const MOST_SEEN: u64 = 1 << 20;

/// One request, and its way to the network.
pub(crate) struct Exchange<'body, 'agent> {
    /// ureq's own, of the request.
    extensions: Extensions,
    body: RequestContent<'body>,
    deadline: Deadline,
    route: Route<'agent>,
}

/// The way to the network.
pub(crate) enum Route<'a> {
    /// An agent that adds nothing and hides nothing.
    Plain(Agent),
    /// Whatever somebody else built; gone once it was taken.
    Onwards(Option<MiddlewareNext<'a>>),
}

/// A request's body. One that was not seen whole is gone once it was sent; ureq reads it on the thread that asks, where it stays.
pub(crate) enum RequestContent<'a> {
    Seen(Bytes),
    Untouched(Option<SendWrapper<SendBody<'a>>>),
    Begun(Option<SendWrapper<Box<dyn Read + 'a>>>),
}

/// ureq made a status an error, and threw the response away.
#[derive(Clone, Copy)]
pub(crate) struct Refused(pub(crate) u16);

/// Redirects were followed below the cache.
#[derive(Clone, Copy)]
struct Redirected;

impl<'a> RequestContent<'a> {
    /// Reads a body, to look up what it asks for.
    pub(crate) fn read(body: SendBody<'a>) -> Result<Self, Error> {
        let mut reader = body.into_reader();
        let mut start = Vec::new();
        reader.by_ref().take(MOST_SEEN + 1).read_to_end(&mut start)?;
        if start.len() as u64 <= MOST_SEEN {
            return Ok(Self::Seen(start.into()));
        }
        Ok(Self::Begun(Some(SendWrapper::new(Box::new(Cursor::new(start).chain(reader))))))
    }

    /// A body that nobody needs to see.
    pub(crate) fn untouched(body: SendBody<'a>) -> Self {
        Self::Untouched(Some(SendWrapper::new(body)))
    }

    /// What the cache sees of it.
    pub(crate) fn seen(&self) -> RequestBody<'_> {
        match self {
            Self::Seen(bytes) => RequestBody::Seen(bytes),
            Self::Untouched(_) | Self::Begun(_) => RequestBody::of(None),
        }
    }
}

impl<'body, 'agent> Exchange<'body, 'agent> {
    pub(crate) fn new(
        extensions: Extensions,
        body: RequestContent<'body>,
        deadline: Deadline,
        route: Route<'agent>,
    ) -> Self {
        Self { extensions, body, deadline, route }
    }

    /// The same once more, where it depends on nobody.
    fn copy<'a, 'b>(&self) -> Option<Exchange<'a, 'b>> {
        let (RequestContent::Seen(body), Route::Plain(agent)) = (&self.body, &self.route) else {
            return None;
        };
        let (body, route) = (RequestContent::Seen(body.clone()), Route::Plain(agent.clone()));
        Some(Exchange { extensions: self.extensions.clone(), body, deadline: self.deadline, route })
    }

    fn send_now(&mut self, head: &request::Parts) -> Result<Response<Body>, Error> {
        self.deadline.check()?;
        let mut request = Request::new(());
        *request.method_mut() = head.method.clone();
        *request.uri_mut() = head.uri.clone();
        *request.headers_mut() = head.headers.clone();
        *request.extensions_mut() = match self.deadline.left_after_waiting() {
            Some(left) => configured(&self.extensions, |config| config.timeout_global(Some(left))),
            None => self.extensions.clone(),
        };
        match &mut self.body {
            RequestContent::Seen(bytes) if bytes.is_empty() => self.route.run(request, SendBody::none()),
            RequestContent::Seen(bytes) => self.route.run(request, (&mut &bytes[..]).as_body()),
            RequestContent::Untouched(body) => {
                let body = body.take().ok_or_else(sent_already)?;
                self.route.run(request, body.take())
            }
            RequestContent::Begun(reader) => {
                let mut reader = reader.take().ok_or_else(sent_already)?.take();
                self.route.run(request, SendBody::from_reader(&mut reader))
            }
        }
    }
}

impl Route<'_> {
    fn run(&mut self, request: Request<()>, body: SendBody<'_>) -> Result<Response<Body>, Error> {
        let request = request.map(|()| body);
        match self {
            Self::Plain(agent) => agent.run(request),
            Self::Onwards(next) => next.take().ok_or_else(sent_already)?.handle(request),
        }
    }
}

impl Network for Exchange<'_, '_> {
    type Body = Incoming;
    type Error = Error;

    fn body(&self) -> Option<Bytes> {
        match &self.body {
            RequestContent::Seen(bytes) => Some(bytes.clone()),
            RequestContent::Untouched(_) | RequestContent::Begun(_) => None,
        }
    }

    fn send(
        &mut self,
        head: &request::Parts,
    ) -> impl Future<Output = Result<Response<Incoming>, Error>> + Send {
        // It blocks: there is nobody on this thread who could do anything else meanwhile.
        ready(match self.send_now(head) {
            Ok(response) => Ok(answered(head, response)),
            Err(Error::StatusCode(status)) => refused(status),
            Err(error) => Err(error),
        })
    }

    fn can_repeat(&self) -> bool {
        matches!((&self.body, &self.route), (RequestContent::Seen(_), Route::Plain(_)))
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline.left()
    }

    fn blind_spot(&self, sent: &request::Parts, response: &response::Parts) -> Option<Detail> {
        let Route::Onwards(_) = self.route else { return None };
        if response.extensions.get::<Redirected>().is_some() {
            return Some(Detail::Filtered);
        }
        varies_by_unseen(&sent.headers, &response.headers)
    }
}

impl Background for Exchange<'_, '_> {
    const BLOCKS: bool = true;

    fn can_detach(&self) -> bool {
        self.can_repeat()
    }

    fn detach(
        self,
        at_most: Option<Duration>,
    ) -> Result<impl Network<Body = Incoming, Error = Error> + 'static, Self> {
        match self.copy() {
            Some(copy) => Ok(match at_most {
                Some(time) => Exchange {
                    extensions: configured(&copy.extensions, |config| config.timeout_global(Some(time))),
                    deadline: Deadline::after(time),
                    ..copy
                },
                None => copy,
            }),
            None => Err(self),
        }
    }

    fn again(&self) -> Option<Self> {
        self.copy()
    }
}

/// The driver asks whether a request can be repeated, so this is not reached.
fn sent_already() -> Error {
    Error::Io(io::Error::other("a request with a streamed body is sent only once"))
}

/// A response as the cache is to see it.
fn answered(head: &request::Parts, mut response: Response<Body>) -> Response<Incoming> {
    if *response.get_uri() != head.uri {
        response.extensions_mut().insert(Redirected);
    }
    // ureq has no length for a body that is known to be empty.
    let headers = response.headers();
    let has_none = headers.get(header::CONTENT_LENGTH).is_some_and(|length| length == "0")
        && !headers.contains_key(header::TRANSFER_ENCODING);
    let empty = has_none || head.method == Method::HEAD || response.status() == StatusCode::NO_CONTENT;
    response.map(|body| if empty { Incoming::empty(body) } else { Incoming::from(body) })
}

/// What is left of a response that ureq made an error: enough for the cache's rules, and nothing to be stored.
fn refused(status: u16) -> Result<Response<Incoming>, Error> {
    let mut response = Response::new(Incoming::empty(Body::builder().data(Vec::new())));
    *response.status_mut() = StatusCode::from_u16(status).map_err(|error| Error::Http(error.into()))?;
    *response.headers_mut() =
        HeaderMap::from_iter([(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"))]);
    response.extensions_mut().insert(Refused(status));
    Ok(response)
}
