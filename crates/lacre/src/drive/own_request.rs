//! A waiter's own request, for resuming when the leader's response fails.

use super::{Network, RateLimit, Runtime};
use crate::Error;
use crate::body::resume::{OwnAnswer, Resume, broken_off};
use futures_util::{Stream, stream};
use http::{header, request};
use http_body::Body;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct OwnRequest<N, R> {
    pub(super) asked: request::Parts,
    pub(super) network: N,
    pub(super) runtime: R,
    pub(super) rate_limit: Option<Arc<dyn RateLimit>>,
}

impl<N: Network + 'static, R: Runtime> Resume for OwnRequest<N, R> {
    fn send(mut self: Box<Self>) -> Pin<Box<dyn Future<Output = Result<OwnAnswer, Error>> + Send>> {
        // The caller got a full response, so the request must not be conditional.
        for name in [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE] {
            self.asked.headers.remove(name);
        }
        Box::pin(async move {
            if let Some(rate_limit) = &self.rate_limit {
                rate_limit.acquire(&self.asked).await;
            }
            let response = self.network.send(&self.asked).await.map_err(|_| broken_off())?;
            let (head, body) = response.into_parts();
            Ok(OwnAnswer { head, body: Box::pin(pieces(body)) })
        })
    }

    fn pause(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let runtime = self.runtime.clone();
        Box::pin(async move { runtime.sleep(time).await })
    }
}

fn pieces<B>(body: B) -> impl Stream<Item = Result<bytes::Bytes, Error>> + Send
where
    B: Body<Data = bytes::Bytes, Error: Send> + Send + 'static,
{
    stream::unfold(Some(Box::pin(body)), |body| async {
        let mut body = body?;
        match poll_fn(|context| body.as_mut().poll_frame(context)).await? {
            Ok(frame) => Some((Ok(frame.into_data().unwrap_or_default()), Some(body))),
            Err(_) => Some((Err(broken_off()), None)),
        }
    })
}
