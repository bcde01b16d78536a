//! ureq as the network below a cache: converts requests and responses between its types and those
//! of `http`.

use crate::body::Incoming;
use crate::deadline::Deadline;
use crate::settings::configured;
use bytes::Bytes;
use http::{Extensions, HeaderMap, Method, Request, Response, StatusCode, header, request, response};
use lacre::{Background, Detail, Network, RequestBody, content_length, varies_by_unseen};
use send_wrapper::SendWrapper;
use std::future::ready;
use std::io::{self, Cursor, Read};
use std::time::Duration;
use ureq::middleware::MiddlewareNext;
use ureq::{Agent, AsSendBody, Body, Error, ResponseExt, SendBody};

/// The longest request body that is read to look the request up, in bytes.
const MAX_BUFFERED_BODY: u64 = 1 << 20;

/// One request, and the route it takes to the network.
pub(crate) struct Exchange<'body, 'agent> {
    /// The extensions of ureq's own request.
    extensions: Extensions,
    body: RequestContent<'body>,
    deadline: Deadline,
    route: Route<'agent>,
}

/// How a request is sent.
pub(crate) enum Route<'a> {
    /// By an agent that adds nothing and hides nothing.
    Plain(Agent),
    /// Through the rest of the middleware stack; `None` once it was used.
    Middleware(Option<MiddlewareNext<'a>>),
}

/// The body of a request. One that is not in memory can be sent once, and stays on the calling
/// thread, where ureq reads it.
pub(crate) enum RequestContent<'a> {
    /// In memory: the cache sees it, and it can be sent again.
    Buffered(Bytes),
    Unread(Option<SendWrapper<SendBody<'a>>>),
    /// The start is in memory; the body turned out to be too long.
    PartlyRead(Option<SendWrapper<Box<dyn Read + 'a>>>),
}

/// Marks a response that ureq replaced by an error because of its status.
#[derive(Clone, Copy)]
pub(crate) struct StatusError(pub(crate) u16);

/// Marks a response that was redirected below the cache.
#[derive(Clone, Copy)]
struct Redirected;

impl<'a> RequestContent<'a> {
    /// Reads a short body into memory, so that the cache can see it.
    pub(crate) fn read(body: SendBody<'a>) -> Result<Self, Error> {
        let mut reader = body.into_reader();
        let mut start = Vec::new();
        reader.by_ref().take(MAX_BUFFERED_BODY + 1).read_to_end(&mut start)?;
        if start.len() as u64 <= MAX_BUFFERED_BODY {
            return Ok(Self::Buffered(start.into()));
        }
        Ok(Self::PartlyRead(Some(SendWrapper::new(Box::new(Cursor::new(start).chain(reader))))))
    }

    /// A body that the cache does not look at.
    pub(crate) fn unread(body: SendBody<'a>) -> Self {
        Self::Unread(Some(SendWrapper::new(body)))
    }

    /// The body as the cache sees it.
    pub(crate) fn seen(&self) -> RequestBody<'_> {
        match self {
            Self::Buffered(bytes) => RequestBody::Seen(bytes),
            Self::Unread(_) | Self::PartlyRead(_) => RequestBody::of(None),
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

    /// A copy of the request, if its body and its route allow one.
    fn copy<'a, 'b>(&self) -> Option<Exchange<'a, 'b>> {
        let (RequestContent::Buffered(body), Route::Plain(agent)) = (&self.body, &self.route) else {
            return None;
        };
        let (body, route) = (RequestContent::Buffered(body.clone()), Route::Plain(agent.clone()));
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
            RequestContent::Buffered(bytes) if bytes.is_empty() => self.route.run(request, SendBody::none()),
            RequestContent::Buffered(bytes) => self.route.run(request, (&mut &bytes[..]).as_body()),
            RequestContent::Unread(body) => {
                let body = body.take().ok_or_else(sent_already)?;
                self.route.run(request, body.take())
            }
            RequestContent::PartlyRead(reader) => {
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
            Self::Middleware(next) => next.take().ok_or_else(sent_already)?.handle(request),
        }
    }
}

impl Network for Exchange<'_, '_> {
    type Body = Incoming;
    type Error = Error;

    fn body(&self) -> Option<Bytes> {
        match &self.body {
            RequestContent::Buffered(bytes) => Some(bytes.clone()),
            RequestContent::Unread(_) | RequestContent::PartlyRead(_) => None,
        }
    }

    fn send(
        &mut self,
        head: &request::Parts,
    ) -> impl Future<Output = Result<Response<Incoming>, Error>> + Send {
        // Blocks the thread, which belongs to this request alone.
        ready(match self.send_now(head) {
            Ok(response) => Ok(received(head, response)),
            Err(Error::StatusCode(status)) => dropped_response(status),
            Err(error) => Err(error),
        })
    }

    fn can_repeat(&self) -> bool {
        matches!((&self.body, &self.route), (RequestContent::Buffered(_), Route::Plain(_)))
    }

    fn time_left(&self) -> Option<Duration> {
        self.deadline.left()
    }

    fn unseen_inputs(&self, sent: &request::Parts, response: &response::Parts) -> Option<Detail> {
        let Route::Middleware(_) = self.route else { return None };
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

    fn duplicate(&self) -> Option<Self> {
        self.copy()
    }
}

/// Not reached: the driver first asks whether a request can be repeated.
fn sent_already() -> Error {
    Error::Io(io::Error::other("a request with a streamed body is sent only once"))
}

/// A response as the cache sees it.
fn received(head: &request::Parts, mut response: Response<Body>) -> Response<Incoming> {
    if *response.get_uri() != head.uri {
        response.extensions_mut().insert(Redirected);
    }
    // ureq does not report a length of 0.
    let has_none = content_length(response.headers()) == Ok(Some(0));
    let empty = has_none || head.method == Method::HEAD || response.status() == StatusCode::NO_CONTENT;
    response.map(|body| if empty { Incoming::empty(body) } else { Incoming::from(body) })
}

/// Stands for a response that ureq replaced by an error: the caching rules see the status, and
/// nothing is stored.
fn dropped_response(status: u16) -> Result<Response<Incoming>, Error> {
    let mut response = Response::new(Incoming::empty(Body::builder().data(Vec::new())));
    *response.status_mut() = StatusCode::from_u16(status).map_err(|error| Error::Http(error.into()))?;
    *response.headers_mut() =
        HeaderMap::from_iter([(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"))]);
    response.extensions_mut().insert(StatusError(status));
    Ok(response)
}
