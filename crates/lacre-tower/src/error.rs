//! What can go wrong on the way through the cache.

use std::error::Error as StdError;
use std::fmt;

/// Why there is no response.
#[derive(Debug)]
pub enum Error<E> {
    /// The service beneath failed, and nothing stored could stand in. Its own error, untouched.
    Service(E),
    /// The request's body broke off before the request was sent.
    Request(Box<dyn StdError + Send + Sync>),
    /// What the cache was told to raise.
    Cache(lacre::Error),
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(error) => error.fmt(f),
            Self::Request(_) => f.write_str("the request's body broke off; send the request again"),
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
