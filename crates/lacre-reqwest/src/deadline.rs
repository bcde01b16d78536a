//! The deadline of a request. It covers every wait: for the network and for an identical request.

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

/// The time by which a request must be answered, to the end of its body; `None` if there is no
/// limit.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// The deadline of a request that starts now.
    pub(crate) fn of(request: &Request) -> Self {
        Self::after(request.timeout().copied())
    }

    pub(crate) fn after(timeout: Option<Duration>) -> Self {
        // A timeout beyond the range of the clock is no limit.
        Self(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    /// The time that is left.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Sets the request's timeout to the time that is left.
    pub(crate) fn apply_to(self, request: &mut Request) {
        if let Some(left) = self.left() {
            *request.timeout_mut() = Some(left);
        }
    }

    /// A body that fails with a timeout at the deadline.
    pub(crate) fn limit<B>(self, body: B) -> Body
    where
        B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
        B: Send + Sync + Unpin + 'static,
    {
        match self.0 {
            Some(until) => Body::wrap(Limited { body, deadline: Box::pin(sleep_until(until)) }),
            None => Body::wrap(body),
        }
    }
}

struct Limited<B> {
    body: B,
    deadline: Pin<Box<Sleep>>,
}

impl<B> http_body::Body for Limited<B>
where
    B: http_body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + Unpin,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.deadline.as_mut().poll(context).is_ready() {
            // reqwest reports this kind as its own timeout.
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

/// reqwest's own timeout error for a request to `url`.
///
/// Only a client can create that error, so a client that cannot resolve any name does.
pub(crate) async fn timed_out(url: Url) -> Error {
    static OFFLINE: LazyLock<Option<Client>> =
        LazyLock::new(|| Client::builder().no_proxy().dns_resolver(Arc::new(NeverResolves)).build().ok());
    let failed = match &*OFFLINE {
        Some(client) => client.get("http://nowhere.invalid/").timeout(Duration::ZERO).send().await.err(),
        None => None,
    };
    match failed {
        Some(error) => error.with_url(url).into(),
        None => Error::middleware(io::Error::from(io::ErrorKind::TimedOut)),
    }
}

struct NeverResolves;

impl Resolve for NeverResolves {
    fn resolve(&self, _: Name) -> Resolving {
        Box::pin(std::future::pending())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_past_its_deadline_fails_with_the_timeout_error_of_reqwest() {
        let url: Url = "http://a.test/page".parse().unwrap();
        let Error::Reqwest(error) = timed_out(url.clone()).await else { panic!("not an error of reqwest") };
        assert!(error.is_timeout() && !error.is_connect());
        assert_eq!(error.url(), Some(&url));
    }
}
