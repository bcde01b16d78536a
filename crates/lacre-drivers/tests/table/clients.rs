//! The clients behind one face.

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
pub(crate) type Make = fn(Driver) -> Box<dyn Client>;

/// A client, for a caller that blocks.
pub(crate) trait Client: Send + Sync {
    /// The answer, whole. `Err`: there is none, or it breaks off.
    fn ask(&self, request: Request<Bytes>) -> Result<Told, String>;

    /// Reads the first piece of an answer, and drops the rest.
    fn look(&self, request: Request<Bytes>) -> Result<Bytes, String>;

    /// The answer, of which nothing is read until it is called.
    fn begin(&self, request: Request<Bytes>) -> Result<Unread, String>;
}

/// An answer whose head is there.
pub(crate) type Unread = Box<dyn FnOnce() -> Result<Told, String> + Send>;

/// An answer that is read on the runtime.
fn unread<B>(answer: http::Response<B>) -> Unread
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + Send + 'static,
{
    Box::new(|| {
        RUNTIME.block_on(async {
            let (head, body) = answer.into_parts();
            Ok(told(&head, body.collect().await.map_err(shown)?.to_bytes()))
        })
    })
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What the cache did.
    pub(crate) info: CacheInfo,
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

fn shown(error: impl Into<Box<dyn Error + Send + Sync>>) -> String {
    let error = error.into();
    let mut shown = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        shown = format!("{shown}: {cause}");
        source = cause.source();
    }
    shown
}

fn told(head: &http::response::Parts, body: Bytes) -> Told {
    let info = *head.extensions.get::<CacheInfo>().unwrap();
    Told { status: head.status.as_u16(), headers: head.headers.clone(), body, info }
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
        request.send().await.map(Into::into).map_err(shown)
    }
}

impl Client for Reqwest {
    fn begin(&self, request: Request<Bytes>) -> Result<Unread, String> {
        RUNTIME.block_on(self.send(request)).map(unread)
    }

    fn ask(&self, request: Request<Bytes>) -> Result<Told, String> {
        RUNTIME.block_on(async {
            let (head, body) = self.send(request).await?.into_parts();
            Ok(told(&head, body.collect().await.map_err(shown)?.to_bytes()))
        })
    }

    fn look(&self, request: Request<Bytes>) -> Result<Bytes, String> {
        RUNTIME.block_on(async {
            let mut body = self.send(request).await?.into_body();
            first(body.frame().await)
        })
    }
}

fn first<E: Into<Box<dyn Error + Send + Sync>>>(
    frame: Option<Result<hyper::body::Frame<Bytes>, E>>,
) -> Result<Bytes, String> {
    let frame = frame.ok_or("there is no body")?.map_err(shown)?;
    frame.into_data().map_err(|_| "trailers".into())
}

type Service_ =
    lacre_tower::CacheService<Hyper<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>>;

struct Tower(Service_);

pub(crate) fn tower(driver: Driver) -> Box<dyn Client> {
    let client = Hyper::builder(TokioExecutor::new()).build_http();
    Box::new(Tower(lacre_tower::CacheLayer::new(driver).layer(client)))
}

impl Tower {
    async fn send(
        &self,
        request: Request<Bytes>,
    ) -> Result<http::Response<lacre_tower::ServedBody<hyper::body::Incoming>>, String> {
        let policy = Limited::new(lacre::Hop::MOST).and::<_, Full<Bytes>, ()>(FilterCredentials::new());
        let mut service = FollowRedirectLayer::with_policy(policy).layer(self.0.clone());
        std::future::poll_fn(|context| service.poll_ready(context)).await.map_err(shown)?;
        let response = service.call(request.map(Full::new)).await.map_err(shown)?;
        if response.status().is_redirection() && response.headers().contains_key("location") {
            return Err("more redirects than the policy allows".into());
        }
        Ok(response)
    }
}

impl Client for Tower {
    fn begin(&self, request: Request<Bytes>) -> Result<Unread, String> {
        RUNTIME.block_on(self.send(request)).map(unread)
    }

    fn ask(&self, request: Request<Bytes>) -> Result<Told, String> {
        RUNTIME.block_on(async {
            let (head, body) = self.send(request).await?.into_parts();
            Ok(told(&head, body.collect().await.map_err(shown)?.to_bytes()))
        })
    }

    fn look(&self, request: Request<Bytes>) -> Result<Bytes, String> {
        RUNTIME.block_on(async {
            let mut body = self.send(request).await?.into_body();
            first(body.frame().await)
        })
    }
}

struct Ureq(ureq::Agent);

pub(crate) fn ureq(driver: Driver) -> Box<dyn Client> {
    Box::new(Ureq(lacre_ureq::AgentBuilder::new(driver).no_status_errors().build()))
}

impl Ureq {
    fn send(&self, request: Request<Bytes>) -> Result<http::Response<ureq::Body>, String> {
        let (head, body) = request.into_parts();
        let answered = if matches!(head.method, Method::GET | Method::HEAD) {
            self.0.run(Request::from_parts(head, ()))
        } else {
            self.0.run(Request::from_parts(head, &body[..]))
        };
        answered.map_err(shown)
    }
}

impl Client for Ureq {
    fn ask(&self, request: Request<Bytes>) -> Result<Told, String> {
        self.begin(request)?()
    }

    fn begin(&self, request: Request<Bytes>) -> Result<Unread, String> {
        let (head, body) = self.send(request)?.into_parts();
        Ok(Box::new(move || {
            let mut whole = Vec::new();
            body.into_reader().read_to_end(&mut whole).map_err(shown)?;
            Ok(told(&head, whole.into()))
        }))
    }

    fn look(&self, request: Request<Bytes>) -> Result<Bytes, String> {
        let mut piece = vec![0; 1024];
        let length = self.send(request)?.into_body().into_reader().read(&mut piece).map_err(shown)?;
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
