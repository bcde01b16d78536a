//! [`Error`]: why a proxy cannot start, reload or end as asked.

use crate::origin::Origin;
use std::error::Error as StdError;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::{fmt, io};

/// Why a proxy cannot start, reload or end as asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The text is not the URL of an origin: `http://HOST:PORT` or `https://HOST`, without a path.
    NotAnOrigin,
    /// The upstream is the address that the proxy listens on.
    UpstreamIsProxy {
        /// The upstream.
        upstream: Origin,
    },
    /// A forward proxy would listen beyond this machine without
    /// [`danger_open_proxy`](crate::Config::danger_open_proxy).
    OpenProxy {
        /// The address to listen on.
        listen: SocketAddr,
    },
    /// The metrics would be readable beyond this machine without
    /// [`danger_open_admin`](crate::Config::danger_open_admin).
    OpenAdmin {
        /// The address to listen on.
        admin: SocketAddr,
    },
    /// The proxy cannot listen on an address.
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The certificates of the platform, which verify origins, cannot be used.
    Certificates {
        /// The error of the verifier.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The file of the access log cannot be opened.
    AccessLog {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Some requests did not end within the drain timeout, and were cut off.
    DrainTimeout,
    /// [`Handle::abort`](crate::Handle::abort) ended the proxy.
    Aborted,
    /// The cache could not be closed.
    Cache(lacre::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnOrigin => f.write_str("the upstream is not the URL of an origin"),
            Self::UpstreamIsProxy { upstream } => {
                write!(f, "the upstream {upstream} is the address that the proxy listens on")
            }
            Self::OpenProxy { listen } => {
                write!(f, "everybody who reaches {listen} could use this proxy")
            }
            Self::OpenAdmin { admin } => {
                write!(f, "everybody who reaches {admin} could read the metrics")
            }
            Self::Listen { address, source } => write!(f, "cannot listen on {address}: {source}"),
            Self::Certificates { source } => {
                write!(f, "cannot use the system's certificates to verify origins: {source}")
            }
            Self::AccessLog { path, source } => {
                write!(f, "cannot open the access log {}: {source}", path.display())
            }
            Self::DrainTimeout => {
                f.write_str("some requests did not end within the drain timeout, and were cut off")
            }
            Self::Aborted => f.write_str("the proxy was ended at once"),
            Self::Cache(_) => f.write_str("the cache could not be closed"),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Listen { source, .. } | Self::AccessLog { source, .. } => Some(source),
            Self::Certificates { source } => Some(&**source),
            Self::Cache(error) => Some(error),
            Self::NotAnOrigin
            | Self::UpstreamIsProxy { .. }
            | Self::OpenProxy { .. }
            | Self::OpenAdmin { .. }
            | Self::DrainTimeout
            | Self::Aborted => None,
        }
    }
}
