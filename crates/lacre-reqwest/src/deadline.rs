//! The time that a caller gave a request: it covers whatever the request waits for, be it the network or another request's answer.

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use reqwest::dns::{Name, Resolve, Resolving};
use reqwest::{Body, Client, Request, Url};
use reqwest_middleware::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Until when a request must be answered, to the end of its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// That of a request that begins now.
    pub(crate) fn of(request: &Request) -> Self {
        Self::after(request.timeout().copied())
    }

    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        // What no clock can show is no limit.
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// How much time is left.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// The request gets what is left.
    pub(crate) fn apply_to(self, request: &mut Request) {
        if let Some(left) = self.left() {
            *request.timeout_mut() = Some(left);
        }
    }

    /// A body that ends with an error when the time is over.
    pub(crate) fn over<B>(self, body: B) -> Body
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
        B: Send + Sync + Unpin + 'static,
    {
        match self.0 {
            Some(until) => Body::wrap(Timed { body, over: Box::pin(sleep_until(until)) }),
            None => Body::wrap(body),
        }
    }
}

struct Timed<B> {
    body: B,
    over: Pin<Box<Sleep>>,
}

impl<B> http_body::Body for Timed<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.over.as_mut().poll(context).is_ready() {
            // reqwest takes it for its own timeout.
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())));
        }
        Pin::new(&mut self.body).poll_frame(context).map_err(Into::into)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// reqwest's own error for a request to `url` whose time is over. Only a client of its makes one: this one has no network to reach.
pub(crate) async fn timed_out(url: Url) -> Error {
    static NOWHERE: LazyLock<Option<Client>> =
        LazyLock::new(|| Client::builder().no_proxy().dns_resolver(Arc::new(Nowhere)).build().ok());
    let asked = match &*NOWHERE {
        Some(client) => client.get("http://nowhere.invalid/").timeout(Duration::ZERO).send().await.err(),
        None => None,
    };
    match asked {
        Some(error) => error.with_url(url).into(),
        None => Error::middleware(io::Error::from(io::ErrorKind::TimedOut)),
    }
}

struct Nowhere;

impl Resolve for Nowhere {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(std::future::pending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_whose_time_is_over_fails_as_reqwest_would() {
        let url: Url = "http://a.test/page".parse().unwrap();
        let Error::Reqwest(error) = timed_out(url.clone()).await else { panic!("it is reqwest's own") };
        assert!(error.is_timeout() && !error.is_connect());
        assert_eq!(error.url(), Some(&url));
    }
}
