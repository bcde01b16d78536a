//! [`Config`]: the settings of a proxy, as plain data.

use crate::error::Error;
use crate::origin::Origin;
use crate::target::Route;
use crate::trusted::TrustedProxies;
use http::Uri;
use http::uri::Scheme;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// The settings of a proxy.
///
/// [`reverse`](Self::reverse) and [`forward`](Self::forward) give the defaults, whose fields can be
/// changed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where requests go.
    pub route: Route,
    /// The address for clients; port 0 takes a free one. The default is `127.0.0.1:9111`.
    pub listen: SocketAddr,
    /// The address that shows metrics for Prometheus, at `/metrics`. The default is none.
    pub admin: Option<SocketAddr>,
    /// The proxies in front of this one whose `X-Forwarded-*` and `Forwarded` fields are believed.
    pub trusted_proxies: TrustedProxies,
    /// Whether a reverse proxy sends the client's `Host` to the upstream, instead of the upstream's
    /// own.
    pub preserve_host: bool,
    /// Networks that a forward proxy connects to in addition to those that it may connect to
    /// anyway.
    pub danger_allowed_targets: Vec<IpNet>,
    /// Whether a forward proxy may listen beyond this machine.
    pub danger_open_proxy: bool,
    /// Whether the metrics may be readable beyond this machine.
    pub danger_open_admin: bool,
    /// What a slow or hostile client or origin cannot exceed.
    pub limits: Limits,
}

impl Config {
    /// A reverse proxy, which answers for `upstream`.
    #[must_use]
    pub fn reverse(upstream: Origin) -> Self {
        Self::new(Route::Reverse(upstream))
    }

    /// A forward proxy for `http` URLs.
    #[must_use]
    pub fn forward() -> Self {
        Self::new(Route::Forward)
    }

    fn new(route: Route) -> Self {
        Self {
            route,
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9111),
            admin: None,
            trusted_proxies: TrustedProxies::default(),
            preserve_host: false,
            danger_allowed_targets: Vec::new(),
            danger_open_proxy: false,
            danger_open_admin: false,
            limits: Limits::default(),
        }
    }

    /// Checks that the settings agree with each other. Resolves the name of the upstream, which
    /// blocks.
    ///
    /// # Errors
    /// The upstream is the address to listen on, or the proxy or its metrics would be open beyond
    /// this machine without a `danger_` setting that allows it.
    pub fn check(&self) -> Result<(), Error> {
        self.check_exposure()?;
        match &self.route {
            Route::Reverse(upstream) if self.route.leads_to(self.listen) => {
                Err(Error::UpstreamIsProxy { upstream: upstream.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Checks who could reach the proxy and its metrics.
    pub(crate) fn check_exposure(&self) -> Result<(), Error> {
        if matches!(self.route, Route::Forward) && !self.is_for_this_machine() && !self.danger_open_proxy {
            return Err(Error::OpenProxy { listen: self.listen });
        }
        match self.admin {
            Some(admin) if !is_loopback(admin) && !self.danger_open_admin => Err(Error::OpenAdmin { admin }),
            _ => Ok(()),
        }
    }

    /// Whether only this machine reaches the address for clients.
    pub(crate) fn is_for_this_machine(&self) -> bool {
        is_loopback(self.listen)
    }
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// What a slow or hostile client or origin cannot exceed.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections of clients at once. The default is 1024.
    pub max_connections: u16,
    /// Connections at once from one address, or from one IPv6 network of 64 bits. The default is
    /// three quarters of [`max_connections`](Self::max_connections).
    pub max_connections_per_address: Option<u16>,
    /// Bytes of a header section. The default is 64 KiB.
    pub max_header: u32,
    /// Lines of a header section. The default is 1000.
    pub max_header_lines: u16,
    /// Bytes of a request's body. The default is 1 GiB.
    pub max_upload: u64,
    /// The time until a connection to the origin is established. The default is 5 seconds.
    pub connect_timeout: Duration,
    /// The time until the origin begins to answer. The default is 60 seconds.
    pub answer_timeout: Duration,
    /// The time for which a client or the origin may be silent in the middle of a message, and a
    /// client between two requests. The default is 30 seconds.
    pub idle_timeout: Duration,
    /// The time in which requests in progress may end after a shutdown. The default is 30 seconds.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1024,
            max_connections_per_address: None,
            max_header: 64 << 10,
            max_header_lines: 1000,
            max_upload: 1 << 30,
            connect_timeout: Duration::from_secs(5),
            answer_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    pub(crate) fn header_bytes(&self) -> usize {
        self.max_header as usize
    }

    pub(crate) fn header_lines(&self) -> usize {
        self.max_header_lines.into()
    }

    /// The lines that hyper reads of a header section: more than allowed, so that the answer can
    /// name the limit that was exceeded.
    pub(crate) fn parsed_lines(&self) -> usize {
        self.header_lines() + 100
    }

    pub(crate) fn connections_per_address(&self) -> usize {
        let three_quarters = (usize::from(self.max_connections) * 3).div_ceil(4);
        self.max_connections_per_address.map_or(three_quarters, usize::from)
    }
}

// Not in `origin`, because `Error` holds an `Origin`.
impl TryFrom<&Uri> for Origin {
    type Error = Error;

    /// # Errors
    /// The URL has no host, another scheme than `http` or `https`, a user, a path or a query.
    fn try_from(url: &Uri) -> Result<Self, Error> {
        let (Some(scheme), Some(authority)) = (url.scheme(), url.authority()) else {
            return Err(Error::NotAnOrigin);
        };
        let known = *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
        let bare = url.path() == "/" && url.query().is_none() && !authority.as_str().contains('@');
        if known && bare {
            Ok(Self { scheme: scheme.clone(), authority: authority.clone() })
        } else {
            Err(Error::NotAnOrigin)
        }
    }
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let url: Uri = text.parse().map_err(|_| Error::NotAnOrigin)?;
        Self::try_from(&url)
    }
}
