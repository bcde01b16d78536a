//! The cache as a middleware: asks it before the network and settles after. No rule of caching lives here; what does is what reqwest
//! hides from a middleware, and how that fails closed.

use crate::body;
use crate::refresh::Refreshes;
use async_trait::async_trait;
use http::{Extensions, Uri, request, response};
use lacre::{
    Answer, Cache, CacheInfo, Detail, Outcome, Redactor, Reply, RequestBody, RequestOptions, Settlement,
    Ticket, Varies, varies,
};
use reqwest::{Body, Client, Request, Response, Url};
use reqwest_middleware::{Error, Middleware, Next, Result};
use std::fmt;
use std::sync::Arc;
use tokio::runtime::Handle;

/// Answers requests from a [`Cache`], and stores what the network answers.
///
/// [`ClientBuilder`](crate::ClientBuilder) puts it in its place. For a client that was built elsewhere there is
/// [`danger_assume_no_hidden_credentials`](Self::danger_assume_no_hidden_credentials).
#[derive(Clone)]
pub struct CacheMiddleware {
    cache: Cache,
    beneath: Beneath,
}

/// What lies between the cache and the network.
#[derive(Clone)]
enum Beneath {
    /// A client that adds nothing and hides nothing.
    Plain { client: Client, refreshes: Arc<Refreshes> },
    /// Whatever somebody else built.
    Unknown,
}

impl CacheMiddleware {
    /// The cache directly above `client`, which adds no header, keeps no cookies and follows no redirects.
    pub(crate) fn above(client: Client, cache: Cache) -> Self {
        Self { cache, beneath: Beneath::Plain { client, refreshes: Arc::default() } }
    }

    /// For a client that was built elsewhere, of which you promise that it adds no credentials of its own to requests: no
    /// `Authorization`, `Cookie` or API key among its default headers, no cookie store, no client certificate. A middleware cannot see
    /// these, so two clients that differ in them would receive each other's answers.
    ///
    /// What gives a broken promise or another blind spot away keeps the response from being stored: a `Vary` that names a credential which
    /// the request, as the cache saw it, does not have, and a redirect that was followed below the cache. Where the credentials are known
    /// but hidden, say whose they are with [`RequestOptions::partition`] on each request. Stale responses are validated in the foreground,
    /// because a middleware cannot outlive its request.
    #[must_use]
    pub fn danger_assume_no_hidden_credentials(cache: Cache) -> Self {
        Self { cache, beneath: Beneath::Unknown }
    }

    /// Sends what the ticket says, and settles what comes back.
    async fn exchange(
        &self,
        mut request: Request,
        mut ticket: Ticket,
        mut route: Route<'_>,
    ) -> Result<Response> {
        let url = request.url().clone();
        loop {
            request.headers_mut().clone_from(&ticket.request().headers);
            let again = request.try_clone();
            let response = match route.send(request).await {
                Ok(response) => response,
                Err(error) => {
                    return match self.settle(ticket, Outcome::Failed).await? {
                        Settlement::Stored(reply) => answer(url, reply),
                        _ => Err(error),
                    };
                }
            };
            let answered_by = answering_url(&url, &response);
            let (head, body) = http::Response::<Body>::from(response).into_parts();
            let blind = self.blind_spot(ticket.request(), &url, &answered_by, &head);
            let (keep, info) = match self.settle(ticket, Outcome::Response(&head)).await? {
                Settlement::Network { keep, info } => (keep, info),
                Settlement::Stored(reply) => return answer(url, reply),
                Settlement::Failed(info) => (None, info),
                Settlement::Resend(next) => match again {
                    Some(again) => {
                        (request, ticket) = (again, next);
                        continue;
                    }
                    // A streamed body is gone; the cache validates nothing for such a request, so this is not reached.
                    None => (None, next.info()),
                },
            };
            let (keep, info) = match blind {
                Some(detail) => (None, unstored(info, detail)),
                None => (keep, info),
            };
            let (body, worth) = match keep {
                Some(recording) => {
                    let worth = WorthReading(recording.limit());
                    (body::recorded(body, recording).await, worth)
                }
                None => (body, WorthReading(0)),
            };
            let mut response = response_of(answered_by, head, info, body)?;
            response.extensions_mut().insert(worth);
            return Ok(response);
        }
    }

    async fn settle(&self, ticket: Ticket, outcome: Outcome<'_>) -> Result<Settlement> {
        self.cache.settle(ticket, outcome).await.map_err(Error::middleware)
    }

    /// Why a response must not be stored although the rules, as far as they could be applied to what was seen, allow it.
    fn blind_spot(
        &self,
        seen: &request::Parts,
        asked: &Url,
        answered_by: &Url,
        head: &response::Parts,
    ) -> Option<Detail> {
        let Beneath::Unknown = self.beneath else { return None };
        if answered_by != asked {
            return Some(Detail::Filtered);
        }
        let credentials = Redactor::default();
        let unseen = |name: &str| credentials.is_credential(name) && !seen.headers.contains_key(name);
        let Varies::By(names) = varies(&head.headers) else { return Some(Detail::Vary) };
        names.iter().any(|name| unseen(name.as_str())).then_some(Detail::Vary)
    }
}

#[async_trait]
impl Middleware for CacheMiddleware {
    async fn handle(
        &self,
        mut request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> Result<Response> {
        let Ok(uri) = request.url().as_str().parse() else {
            // The client says best what is wrong with it.
            return next.run(request, extensions).await;
        };
        let head = head(&mut request, uri, extensions);
        let body = match request.body() {
            None => RequestBody::Seen(&[]),
            Some(body) => body.as_bytes().map_or(RequestBody::Unseen, RequestBody::Seen),
        };
        match self.cache.ask(head, body).await.map_err(Error::middleware)? {
            Answer::Hit(reply) | Answer::Refuse(reply) => answer(request.url().clone(), reply),
            Answer::Send(ticket) => self.exchange(request, ticket, Route::Onwards(next, extensions)).await,
            Answer::Refresh(reply, ticket) => match (&self.beneath, Handle::try_current()) {
                (Beneath::Plain { client, refreshes }, Ok(runtime)) => {
                    let url = request.url().clone();
                    if let Some(claim) = ticket.key().and_then(|key| refreshes.claim(*key)) {
                        let (cache, route) = (self.clone(), Route::Background(client.clone()));
                        runtime.spawn(async move {
                            // Whether it comes to anything is between the cache and its observer; the caller has an answer.
                            if let Ok(response) = cache.exchange(request, ticket, route).await {
                                // What is longer is not stored; an origin that goes on for ever would keep us from ever refreshing again.
                                let WorthReading(most) =
                                    response.extensions().get().copied().unwrap_or_default();
                                body::drain(response, most).await;
                            }
                            drop(claim);
                        });
                    }
                    answer(url, reply)
                }
                _ => self.exchange(request, ticket, Route::Onwards(next, extensions)).await,
            },
        }
    }
}

/// How many bytes of a response's body can come to be stored.
#[derive(Clone, Copy, Default)]
struct WorthReading(u64);

/// The cache and the client may show secrets in their settings.
impl fmt::Debug for CacheMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheMiddleware").finish_non_exhaustive()
    }
}

/// The way to the network.
enum Route<'a> {
    Onwards(Next<'a>, &'a mut Extensions),
    Background(Client),
}

impl Route<'_> {
    async fn send(&mut self, request: Request) -> Result<Response> {
        match self {
            Self::Onwards(next, extensions) => next.clone().run(request, extensions).await,
            Self::Background(client) => client.execute(request).await.map_err(Error::from),
        }
    }
}

/// The request as the cache is to see it. Its headers move there: what is sent in the end has those of the ticket.
fn head(request: &mut Request, uri: Uri, extensions: &Extensions) -> request::Parts {
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.method = request.method().clone();
    head.uri = uri;
    head.version = request.version();
    head.headers = std::mem::take(request.headers_mut());
    if let Some(options) = extensions.get::<RequestOptions>() {
        head.extensions.insert(options.clone());
    }
    head
}

/// The URL that a response is the answer to: another one than `asked` where the client below followed redirects. A network response's
/// own URL has lost its fragment.
fn answering_url(asked: &Url, response: &Response) -> Url {
    let mut sent = asked.clone();
    sent.set_fragment(None);
    if *response.url() == sent { asked.clone() } else { response.url().clone() }
}

fn answer(url: Url, reply: Reply) -> Result<Response> {
    let (head, body) = reply.response.into_parts();
    // What reqwest knows to lie in memory costs it less.
    let body = body.in_memory().cloned().map_or_else(|| Body::wrap(body), Body::from);
    response_of(url, head, reply.info, body)
}

fn response_of(url: Url, mut head: response::Parts, info: CacheInfo, body: Body) -> Result<Response> {
    use reqwest::ResponseBuilderExt;

    // The extension that carries the URL is reqwest's own, and only its builder makes one.
    let (carrier, ()) = http::Response::builder().url(url).body(()).map_err(Error::middleware)?.into_parts();
    head.extensions.extend(carrier.extensions);
    head.extensions.insert(info);
    Ok(Response::from(http::Response::from_parts(head, body)))
}

fn unstored(mut info: CacheInfo, why: Detail) -> CacheInfo {
    info.status.stored = Default::default();
    info.status.detail = Some(why);
    info.stored_at = None;
    info
}
