//! One interface for all clients.

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as Hyper;
use hyper_util::rt::TokioExecutor;
use lacre::{CacheInfo, Driver, RequestOptions};
use std::error::Error;
use std::io::Read;
use std::sync::LazyLock;
use tokio::runtime::Runtime;
use tower_http::follow_redirect::FollowRedirectLayer;
use tower_http::follow_redirect::policy::{FilterCredentials, Limited, PolicyExt};
use tower_layer::Layer;
use tower_service::Service;

/// Makes a client around a cache.
pub(crate) type MakeClient = fn(Driver) -> Box<dyn Client>;

/// A client with a blocking interface.
pub(crate) trait Client: Send + Sync {
    /// The whole response. Fails if there is none or its body is truncated.
    fn fetch(&self, request: Request<Bytes>) -> Result<Reply, String>;

    /// Reads the first piece of a body and drops the rest.
    fn read_start(&self, request: Request<Bytes>) -> Result<Bytes, String>;

    /// Sends the request and returns once the head of the response has arrived.
    fn start(&self, request: Request<Bytes>) -> Result<UnreadResponse, String>;
}

/// A response whose body is unread. Calling it reads the body.
pub(crate) type UnreadResponse = Box<dyn FnOnce() -> Result<Reply, String> + Send>;

/// A response whose body is read on the runtime.
fn unread<B>(response: http::Response<B>) -> UnreadResponse
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    Box::new(|| {
        RUNTIME.block_on(async {
            let (head, body) = response.into_parts();
            Ok(reply(&head, body.collect().await.map_err(describe)?.to_bytes()))
        })
    })
}

/// A whole response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) info: CacheInfo,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// The error with its causes.
fn describe(error: impl Into<Box<dyn Error + Send + Sync>>) -> String {
    let error = error.into();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

fn reply(head: &http::response::Parts, body: Bytes) -> Reply {
    let info = *head.extensions.get::<CacheInfo>().unwrap();
    Reply { status: head.status.as_u16(), headers: head.headers.clone(), body, info }
}

struct Reqwest(reqwest_middleware::ClientWithMiddleware);

pub(crate) fn reqwest(driver: Driver) -> Box<dyn Client> {
    Box::new(Reqwest(lacre_reqwest::ClientBuilder::new(driver).build().unwrap()))
}

impl Reqwest {
    async fn send(&self, request: Request<Bytes>) -> Result<http::Response<reqwest::Body>, String> {
        let (head, body) = request.into_parts();
        let mut request = self.0.request(head.method, head.uri.to_string()).headers(head.headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        if let Some(options) = head.extensions.get::<RequestOptions>() {
            request = request.with_extension(options.clone());
        }
        request.send().await.map(Into::into).map_err(describe)
    }
}

impl Client for Reqwest {
    fn start(&self, request: Request<Bytes>) -> Result<UnreadResponse, String> {
        RUNTIME.block_on(self.send(request)).map(unread)
    }

    fn fetch(&self, request: Request<Bytes>) -> Result<Reply, String> {
        self.start(request)?()
    }

    fn read_start(&self, request: Request<Bytes>) -> Result<Bytes, String> {
        RUNTIME.block_on(async { first_piece(self.send(request).await?).await })
    }
}

/// The first piece of a body. Drops the rest.
async fn first_piece<B>(response: http::Response<B>) -> Result<Bytes, String>
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Unpin,
{
    let frame = response.into_body().frame().await.ok_or("there is no body")?.map_err(describe)?;
    frame.into_data().map_err(|_| "the body starts with trailers".into())
}

type HyperService =
    lacre_tower::CacheService<Hyper<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>>;

struct Tower(HyperService);

pub(crate) fn tower(driver: Driver) -> Box<dyn Client> {
    let client = Hyper::builder(TokioExecutor::new()).build_http();
    Box::new(Tower(lacre_tower::CacheLayer::new(driver).layer(client)))
}

impl Tower {
    async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<http::Response<lacre_tower::ServedBody<hyper::body::Incoming>>, String> {
        let policy =
            Limited::new(lacre::Hop::DEFAULT_LIMIT).and::<_, Full<Bytes>, ()>(FilterCredentials::new());
        let mut service = FollowRedirectLayer::with_policy(policy).layer(self.0.clone());
        std::future::poll_fn(|context| service.poll_ready(context)).await.map_err(describe)?;
        let response = service.call(request.map(Full::new)).await.map_err(describe)?;
        if response.status().is_redirection() && response.headers().contains_key("location") {
            return Err("more redirects than the policy allows".into());
        }
        Ok(response)
    }
}

impl Client for Tower {
    fn start(&self, request: Request<Bytes>) -> Result<UnreadResponse, String> {
        RUNTIME.block_on(self.send(request)).map(unread)
    }

    fn fetch(&self, request: Request<Bytes>) -> Result<Reply, String> {
        self.start(request)?()
    }

    fn read_start(&self, request: Request<Bytes>) -> Result<Bytes, String> {
        RUNTIME.block_on(async { first_piece(self.send(request).await?).await })
    }
}

struct Ureq(ureq::Agent);

pub(crate) fn ureq(driver: Driver) -> Box<dyn Client> {
    Box::new(Ureq(lacre_ureq::AgentBuilder::new(driver).no_status_errors().build()))
}

impl Ureq {
    fn send(&self, request: Request<Bytes>) -> Result<http::Response<ureq::Body>, String> {
        let (head, body) = request.into_parts();
        let response = if matches!(head.method, Method::GET | Method::HEAD) {
            self.0.run(Request::from_parts(head, ()))
        } else {
            self.0.run(Request::from_parts(head, &body[..]))
        };
        response.map_err(describe)
    }
}

impl Client for Ureq {
    fn fetch(&self, request: Request<Bytes>) -> Result<Reply, String> {
        self.start(request)?()
    }

    fn start(&self, request: Request<Bytes>) -> Result<UnreadResponse, String> {
        let (head, body) = self.send(request)?.into_parts();
        Ok(Box::new(move || {
            let mut whole = Vec::new();
            body.into_reader().read_to_end(&mut whole).map_err(describe)?;
            Ok(reply(&head, whole.into()))
        }))
    }

    fn read_start(&self, request: Request<Bytes>) -> Result<Bytes, String> {
        let mut piece = vec![0; 1024];
        let length = self.send(request)?.into_body().into_reader().read(&mut piece).map_err(describe)?;
        piece.truncate(length);
        Ok(piece.into())
    }
}

pub(crate) fn reqwest_session(driver: Driver) -> Box<dyn Client> {
    Box::new(Reqwest(lacre_reqwest::CachedSession::new(driver).unwrap().client().clone()))
}

pub(crate) fn ureq_session(driver: Driver) -> Box<dyn Client> {
    let session = lacre_ureq::AgentBuilder::new(driver).no_status_errors().session();
    Box::new(Ureq(session.agent().clone()))
}
