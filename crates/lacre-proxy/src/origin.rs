//! [`Origin`]: the scheme, host and port of an HTTP server.

use http::uri::{Authority, Scheme};
use std::fmt;

/// The scheme, host and port of an HTTP server, such as `https://example.com`.
#[derive(Clone, Debug)]
pub struct Origin {
    pub(crate) scheme: Scheme,
    pub(crate) authority: Authority,
}

impl Origin {
    /// The port: the one named, or else the default port of the scheme.
    pub(crate) fn port(&self) -> u16 {
        let default = if self.scheme == Scheme::HTTPS { 443 } else { 80 };
        self.authority.port_u16().unwrap_or(default)
    }

    /// Whether both are the same origin (RFC 9110 §4.3.1): the scheme, the host and the port agree.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.scheme == other.scheme
            && self.authority.host().eq_ignore_ascii_case(other.authority.host())
            && self.port() == other.port()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_origin_is_an_upstream() {
        for wrong in [
            "/path",
            "origin.test:80",
            "http://a.test/path",
            "http://a.test/?q",
            "http://u:p@a.test",
            "ftp://a.test",
        ] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
