//! The arguments of `lacre serve`, and the settings of the proxy that they stand for.

use crate::encoding_options::EncodingOptions;
use crate::exit::Failure;
use clap::ArgGroup;
use http::{HeaderName, Uri};
use lacre::Policy;
use lacre_proxy::{Config, IpNet, Origin, TrustedProxies, parse_network};
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

/// Run a caching reverse proxy, or a forward proxy for plain HTTP
///
/// The proxy answers from the cache where RFC 9111 allows it. By default it is a shared cache: it
/// stores nothing that the origin calls private, and responses to requests with `Authorization`
/// only where the origin allows it (§3.5). Requests that differ in a header that identifies the
/// client (`Authorization`, `Cookie`, API keys, `Remote-User` and similar) never share a
/// response, whatever the origin says; --partition-by-header adds to these headers. If visitors
/// carry cookies without meaning, this costs hits: --danger-share-across-credentials follows RFC
/// 9111 alone.
#[derive(Clone, Debug, clap::Args)]
#[command(group(ArgGroup::new("route").required(true)))]
pub(crate) struct Args {
    /// Answer for this origin, such as http://127.0.0.1:8000 or https://example.com
    #[arg(long, value_name = "URL", group = "route")]
    upstream: Option<Uri>,
    /// Be a forward proxy for http:// URLs
    #[arg(long, group = "route")]
    forward: bool,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9111")]
    listen: SocketAddr,
    /// The address that shows metrics for Prometheus, at /metrics
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Be a cache for many users (the default)
    #[arg(long, conflicts_with = "private")]
    shared: bool,
    /// Be the cache of one user. Requests with different cookies share a response that the origin
    /// calls reusable (`max-age`, `Expires`) without `Vary: Cookie`
    #[arg(long)]
    private: bool,
    /// Never let requests with different cookies share a response, even one that the origin calls
    /// reusable. A shared cache never does
    #[arg(long, requires = "private")]
    partition_by_cookies: bool,
    /// A header that identifies the client, in addition to the known ones; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "danger_share_across_credentials")]
    partition_by_header: Vec<HeaderName>,
    /// Let requests with different credentials share a response where RFC 9111 allows it. An
    /// origin that forgets `Vary: Cookie` or `Cache-Control: private` then shows one user's page
    /// to another
    #[arg(long)]
    danger_share_across_credentials: bool,
    /// Let everybody who reaches a --listen address beyond this machine use it as a forward proxy
    #[arg(long, conflicts_with = "upstream")]
    danger_open_proxy: bool,
    /// Let a forward proxy connect to this network, too, such as 10.0.0.0/8. A proxy that listens
    /// beyond this machine connects to public addresses only, and never to link-local addresses
    /// or to itself
    #[arg(long, value_name = "CIDR", conflicts_with = "upstream", value_delimiter = ',', value_parser = parse_network)]
    danger_allow_target: Vec<IpNet>,
    /// Let everybody who reaches an --admin address beyond this machine read the metrics
    #[arg(long, requires = "admin")]
    danger_open_admin: bool,
    /// Believe the `X-Forwarded-*` and `Forwarded` fields of requests from this network, such as
    /// 10.0.0.0/8 for your load balancer, or `none`; requests from elsewhere lose these fields. The
    /// addresses of the network have no limit of connections of their own [default: this machine,
    /// with that limit]
    #[arg(long, value_name = "CIDR", conflicts_with = "forward", value_delimiter = ',', value_parser = network_or_none)]
    trust_forwarded: Option<Vec<Option<IpNet>>>,
    /// Send the client's `Host` to the upstream, instead of the upstream's own
    #[arg(long, conflicts_with = "forward")]
    preserve_host: bool,
    /// Write no line for each request
    #[arg(long)]
    pub(crate) no_access_log: bool,
    /// Append the lines for requests to this file, instead of to stderr; SIGHUP and SIGUSR1 open it
    /// anew
    #[arg(long, value_name = "PATH", conflicts_with = "no_access_log")]
    pub(crate) access_log: Option<PathBuf>,
    /// Threads that answer requests [default: one for each core]
    #[arg(long, value_name = "COUNT")]
    pub(crate) workers: Option<NonZeroUsize>,
    /// Bytes of memory for responses that were read from the store and verified; 0: none
    #[arg(long, value_name = "BYTES", default_value = "67108864")]
    pub(crate) memory: usize,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    pub(crate) writing: EncodingOptions,
}

/// The limits that a slow or hostile client or origin cannot exceed.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
struct Limits {
    /// Connections at once. At the limit, the connection that has been idle the longest is closed
    /// for a new one; connections in use stay open
    #[arg(long, value_name = "COUNT", default_value = "1024", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Connections at once from one address, or from one IPv6 network of 64 bits. If all of them
    /// are in use, more are answered with 503 [default: three quarters of --max-connections]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections_per_address: Option<u16>,
    /// Bytes of a header section; a longer one is answered with 431, or with 502 if the origin
    /// sent it
    #[arg(long, value_name = "BYTES", default_value = "65536", value_parser = clap::value_parser!(u32).range(8192..=16_777_216))]
    max_header: u32,
    /// Lines of a header section; more are answered with 431, or with 502 if the origin sent them
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u16).range(16..=16384))]
    max_header_lines: u16,
    /// Bytes of a request's body; a longer one is answered with 413
    #[arg(long, value_name = "BYTES", default_value = "1073741824")]
    max_upload: u64,
    /// Bytes of a response's body that is stored; a longer one is passed through
    #[arg(long, value_name = "BYTES", default_value = "67108864")]
    max_stored: u64,
    /// Seconds until a connection to the origin must be established
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    connect_timeout: Duration,
    /// Seconds until the origin must begin to answer
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    answer_timeout: Duration,
    /// Seconds for which a client or the origin may be silent in the middle of a message, and a
    /// client between two requests
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    idle_timeout: Duration,
    /// Seconds in which requests in progress may end after SIGINT or SIGTERM; a second signal ends
    /// them at once
    #[arg(long, alias = "grace", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    drain_timeout: Duration,
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>().map(Duration::try_from_secs_f64) {
        Ok(Ok(duration)) if !duration.is_zero() => Ok(duration),
        _ => Err("a number of seconds above 0".to_owned()),
    }
}

/// A network, or `none`.
fn network_or_none(text: &str) -> Result<Option<IpNet>, String> {
    if text == "none" { Ok(None) } else { parse_network(text).map(Some) }
}

impl Args {
    /// The settings of the proxy.
    pub(crate) fn config(&self) -> Result<Config, Failure> {
        let mut config = match &self.upstream {
            Some(upstream) => Config::reverse(Origin::try_from(upstream).map_err(super::failure)?),
            None => Config::forward(),
        };
        config.listen = self.listen;
        config.admin = self.admin;
        if let Some(networks) = &self.trust_forwarded {
            config.trusted_proxies = TrustedProxies::new(networks.iter().flatten().copied().collect());
        }
        config.preserve_host = self.preserve_host;
        config.danger_allowed_targets.clone_from(&self.danger_allow_target);
        config.danger_open_proxy = self.danger_open_proxy;
        config.danger_open_admin = self.danger_open_admin;
        config.limits = self.limits.settings();
        Ok(config)
    }

    /// The policy of the cache.
    pub(crate) fn policy(&self) -> Policy {
        let policy = Policy::rfc9111().max_body(self.limits.max_stored);
        let policy = policy.partition_by_headers(&self.partition_by_header);
        let policy = if self.private { policy.private() } else { policy.shared() };
        let policy = if self.partition_by_cookies { policy.partition_by_cookies() } else { policy };
        if self.danger_share_across_credentials { policy.danger_share_across_credentials() } else { policy }
    }
}

impl Limits {
    fn settings(&self) -> lacre_proxy::Limits {
        let mut limits = lacre_proxy::Limits::default();
        limits.max_connections = self.max_connections;
        limits.max_connections_per_address = self.max_connections_per_address;
        limits.max_header = self.max_header;
        limits.max_header_lines = self.max_header_lines;
        limits.max_upload = self.max_upload;
        limits.connect_timeout = self.connect_timeout;
        limits.answer_timeout = self.answer_timeout;
        limits.idle_timeout = self.idle_timeout;
        limits.drain_timeout = self.drain_timeout;
        limits
    }
}
