//! Errors of requests that go through the cache.

use std::error::Error as StdError;
use std::fmt;

/// The reason why there is no response.
#[derive(Debug)]
pub enum Error<E> {
    /// The inner service failed and no stored response may replace it. The service's own error.
    Service(E),
    /// The request body ended early, before the request was sent.
    Request(Box<dyn StdError + Send + Sync>),
    /// The cache is configured to raise this error.
    Cache(lacre::Error),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(error) => error.fmt(f),
            Self::Request(_) => f.write_str("the request body ended early; send the request again"),
            Self::Cache(error) => error.fmt(f),
        }
    }
}

impl<E: StdError + 'static> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Service(error) => error.source(),
            Self::Request(error) => Some(&**error),
            Self::Cache(error) => error.source(),
        }
    }
}

impl<E> From<lacre::Error> for Error<E> {
    fn from(error: lacre::Error) -> Self {
        Self::Cache(error)
    }
}
