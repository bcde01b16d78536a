//! `lacre serve`: a caching reverse proxy, or a caching forward proxy for plain HTTP.
//!
//! From the socket inwards: `listen` takes connections, as many as `connections` has room for · `wire` keeps them from stalling and carries interim responses · `front` answers
//! one request: `target` says what it is for, the cache of `lacre-tower` answers it or asks `upstream`, over connections that are `tracked`
//! and within `reach`; `headers` are put in order, `forwarded` tells the origin of the client, `rewrite` leads the client back, and `failure` is what goes wrong. `admin` shows the `metrics`; `log` writes a line for each request; `signals` end it, or
//! replace what is `current`. No rule of caching lives here.

mod admin;
mod connections;
mod current;
mod failure;
mod files;
mod forwarded;
mod front;
mod headers;
mod held;
mod hops;
mod listen;
mod log;
mod metrics;
mod pace;
mod reach;
mod refusal;
mod rewrite;
mod signals;
mod target;
mod tracked;
mod upstream;
mod wire;

use crate::encoding_options::EncodingOptions;
use crate::exit::{Exit, Failure};
use crate::global_options::GlobalOptions;
use crate::output::Output;
use crate::store_options;
use clap::ArgGroup;
use connections::Connections;
use current::Current;
use forwarded::Trusted;
use front::Front;
use http::{HeaderName, Uri};
use ipnet::IpNet;
use lacre::keys::KeySource;
use lacre::store::Store;
use lacre::{Cache, Policy};
use log::AccessLog;
use metrics::Metrics;
use reach::{Own, Reach, Who};
use serde_json::json;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use target::Route;
use tokio::net::TcpListener;

/// The longest body that is verified whole before the first of it is sent: each connection may hold as much.
const READ_WHOLE: usize = 1 << 20;

/// Serve as a caching reverse proxy, or as a forward proxy for plain HTTP
///
/// Requests are answered from the cache where they may be. By default it is a shared cache (RFC 9111): it stores nothing that the origin calls private, and answers to requests with
/// `Authorization` only where the origin allows it (§3.5). Requests that differ in a listed header that says who asks (`Authorization`, `Cookie`,
/// API keys, `Remote-User` and its like) never share an answer, whatever the origin says; --partition-by-header adds to the list. Where visitors carry cookies of no meaning, this costs hits:
/// --danger-share-across-credentials does what the RFC alone asks for.
#[derive(Clone, Debug, clap::Args)]
#[command(group(ArgGroup::new("route").required(true)))]
pub(crate) struct Args {
    /// Answer for this origin, such as http://127.0.0.1:8000 or https://example.com
    #[arg(long, value_name = "URL", group = "route")]
    upstream: Option<Uri>,
    /// Be a forward proxy for http:// URLs
    #[arg(long, group = "route")]
    forward: bool,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9111")]
    listen: SocketAddr,
    /// Where to show metrics for Prometheus, at /metrics
    #[arg(long, value_name = "ADDR")]
    admin: Option<SocketAddr>,
    /// Be a cache for many users (the default)
    #[arg(long, conflicts_with = "private")]
    shared: bool,
    /// Be one user's own cache. Cookies do not tell requests apart where the origin calls the answer reusable (`max-age`, `Expires`)
    /// without `Vary: Cookie`
    #[arg(long)]
    private: bool,
    /// Never let requests with different cookies share an answer, not even one that the origin calls reusable. A shared cache never does
    #[arg(long, requires = "private")]
    partition_by_cookies: bool,
    /// A header that tells on whose behalf a request is made, besides those that are listed; may be repeated
    #[arg(long, value_name = "NAME", conflicts_with = "danger_share_across_credentials")]
    partition_by_header: Vec<HeaderName>,
    /// Let requests with different credentials share an answer where RFC 9111 allows it. An origin that forgets `Vary: Cookie` or
    /// `Cache-Control: private` then shows one user's page to another
    #[arg(long)]
    danger_share_across_credentials: bool,
    /// Let everybody who reaches a --listen address beyond this machine use it as a forward proxy
    #[arg(long, conflicts_with = "upstream")]
    danger_open_proxy: bool,
    /// Let a forward proxy connect to this network, too, such as 10.0.0.0/8: one that listens beyond this machine connects to public addresses
    /// only, and none to link-local addresses or to itself
    #[arg(long, value_name = "CIDR", conflicts_with = "upstream", value_delimiter = ',', value_parser = forwarded::network)]
    danger_allow_target: Vec<IpNet>,
    /// Let everybody who reaches an --admin address beyond this machine read the metrics
    #[arg(long, requires = "admin")]
    danger_open_admin: bool,
    /// Believe what requests from this network say of their clients in `X-Forwarded-*` and `Forwarded`, such as 10.0.0.0/8 for your load
    /// balancer, or `none`; from elsewhere, these fields are replaced. Its addresses have no limit of connections of their own [default: this
    /// machine, with that limit]
    #[arg(long, value_name = "CIDR", conflicts_with = "forward", value_delimiter = ',', value_parser = forwarded::network_or_none)]
    trust_forwarded: Option<Vec<Option<IpNet>>>,
    /// Send the client's `Host` to the upstream, instead of the upstream's own
    #[arg(long, conflicts_with = "forward")]
    preserve_host: bool,
    /// Write no line for each request
    #[arg(long)]
    no_access_log: bool,
    /// Append the lines for requests to this file, instead of to stderr; SIGHUP and SIGUSR1 open it anew
    #[arg(long, value_name = "PATH", conflicts_with = "no_access_log")]
    access_log: Option<PathBuf>,
    /// Threads that answer requests [default: one for each core]
    #[arg(long, value_name = "COUNT")]
    workers: Option<NonZeroUsize>,
    /// Bytes of memory for what was read from the store, verified and decoded; 0: none
    #[arg(long, value_name = "BYTES", default_value = "67108864")]
    memory: usize,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    writing: EncodingOptions,
}

/// What a slow or hostile client or origin cannot exceed.
#[derive(Clone, Copy, Debug, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct Limits {
    /// Connections at once. Where there are as many, the one that has waited longest for its client is closed for a new one; those that are
    /// being answered stay
    #[arg(long, value_name = "COUNT", default_value = "1024", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections: u16,
    /// Connections at once from one address, or from one IPv6 network of 64 bits; more are answered with 503 where all of them are being
    /// answered [default: three quarters of --max-connections]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..))]
    max_connections_per_address: Option<u16>,
    /// Bytes of a header section; more is answered with 431, or with 502 where the origin sent it
    #[arg(long, value_name = "BYTES", default_value = "65536", value_parser = clap::value_parser!(u32).range(8192..=16_777_216))]
    max_header: u32,
    /// Lines of a header section; more are answered with 431, or with 502 where the origin sent them
    #[arg(long, value_name = "COUNT", default_value = "1000", value_parser = clap::value_parser!(u16).range(16..=16384))]
    max_header_lines: u16,
    /// Bytes of a request's body; more is answered with 413
    #[arg(long, value_name = "BYTES", default_value = "1073741824")]
    max_upload: u64,
    /// Bytes of a response's body that is stored; longer ones stream through
    #[arg(long, value_name = "BYTES", default_value = "67108864")]
    max_stored: u64,
    /// Seconds until a connection to the origin must be there
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    connect_timeout: Duration,
    /// Seconds until the origin must have begun to answer
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    answer_timeout: Duration,
    /// Seconds for which a client or the origin may be silent in the middle of a message, and a client between two requests
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    idle_timeout: Duration,
    /// Seconds for requests under way to end after SIGINT or SIGTERM; a second signal ends them at once
    #[arg(long, alias = "grace", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    drain_timeout: Duration,
}

impl Limits {
    fn header(&self) -> usize {
        self.max_header as usize
    }

    fn max_header_lines(&self) -> usize {
        self.max_header_lines.into()
    }

    /// How many lines are read of a header section: some more than allowed, so that it can be said what is wrong.
    fn parsed_lines(&self) -> usize {
        self.max_header_lines() + 100
    }

    fn connections(&self) -> Arc<Connections> {
        let most = usize::from(self.max_connections);
        let per_address = self.max_connections_per_address.map_or((most * 3).div_ceil(4), usize::from);
        Connections::new(most, per_address)
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>().map(Duration::try_from_secs_f64) {
        Ok(Ok(duration)) if !duration.is_zero() => Ok(duration),
        _ => Err("a number of seconds above 0".to_owned()),
    }
}

/// Serves until a signal.
pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let route = route(args)?;
    if route.leads_to(args.listen) {
        return Err(Failure::usage(format!("--upstream {route} is where this proxy listens itself"))
            .with_hint("choose another address with --listen, such as 127.0.0.1:0 for a free port"));
    }
    check_admin(args)?;
    let log = match args.no_access_log {
        true => AccessLog::OFF,
        false => AccessLog::new(output, policy(args), args.access_log.as_deref())?,
    };
    let metrics = Arc::new(Metrics::default());
    let (store, key) = store_options::store_and_key(global, output)?;
    let first = cache(args, global, &store, &*key, output, &metrics)?;
    files::raise_limit(args.limits.max_connections, output);
    runtime(args.workers)?.block_on(async {
        let listener = bind(args.listen).await?;
        let admin = match args.admin {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        let address = listener.local_addr()?;
        let admin_address = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let settings = front::Settings {
            route,
            reach: reach(args, Own { listen: address, admin: admin_address }),
            trusted: trusted(args),
            preserve_host: args.preserve_host,
            via: hops::Via::new(),
            limits: args.limits,
        };
        let front = {
            let (settings, log, metrics) = (Arc::new(settings), log.clone(), Arc::clone(&metrics));
            move |cache| Front::new(Arc::clone(&settings), cache, log.clone(), Arc::clone(&metrics))
        };
        let first = front(first)?;
        announce(first.route(), address, admin_address, output)?;
        let again = {
            let (args, global) = (args.clone(), global.clone());
            move || {
                let key = store_options::key_source_without_prompt(&global)?;
                front(cache(&args, &global, &store, &*key, output, &metrics)?)
            }
        };
        let current = Arc::new(Current::new(first, Arc::new(again), log, output));
        if let Some(admin) = admin {
            tokio::spawn(admin::serve(admin, Arc::clone(&current)));
        }
        listen::serve(listener, Arc::clone(&current), args.limits, output).await?;
        Ok(current.front().cache().close().await?)
    })
}

/// The cache, with the keys of this moment.
fn cache(
    args: &Args,
    global: &GlobalOptions,
    store: &Arc<dyn Store>,
    key: &dyn KeySource,
    output: Output,
    metrics: &Arc<Metrics>,
) -> Result<Cache, Failure> {
    let observer = metrics::Watch { output, metrics: Arc::clone(metrics) };
    let builder =
        store_options::builder_with_key(global, Arc::clone(store), key, output).observer(Arc::new(observer));
    let builder = args.writing.apply(builder).policy(policy(args));
    Ok(builder.memory_tier(args.memory).read_whole(READ_WHOLE).build()?)
}

fn route(args: &Args) -> Result<Route, Failure> {
    let Some(upstream) = &args.upstream else {
        if args.listen.ip().to_canonical().is_loopback() || args.danger_open_proxy {
            return Ok(Route::Forward);
        }
        return Err(Failure::usage(format!("everybody who reaches {} could use this proxy", args.listen))
            .with_hint("listen on 127.0.0.1, or say --danger-open-proxy"));
    };
    Route::to(upstream).ok_or_else(|| {
        Failure::usage("--upstream is not an origin")
            .with_hint("write http://HOST:PORT or https://HOST, without a path")
    })
}

/// Metrics tell of a cache's users; they are for this machine unless the user says otherwise.
fn check_admin(args: &Args) -> Result<(), Failure> {
    match args.admin.filter(|admin| !admin.ip().to_canonical().is_loopback()) {
        Some(admin) if !args.danger_open_admin => {
            Err(Failure::usage(format!("everybody who reaches {admin} could read the metrics"))
                .with_hint("show them on 127.0.0.1, or say --danger-open-admin"))
        }
        _ => Ok(()),
    }
}

fn trusted(args: &Args) -> Trusted {
    match &args.trust_forwarded {
        Some(networks) => Trusted::new(networks.iter().flatten().copied().collect()),
        None => Trusted::default(),
    }
}

fn reach(args: &Args, own: Own) -> Reach {
    if args.upstream.is_some() {
        return Reach::everywhere();
    }
    let who = if args.listen.ip().to_canonical().is_loopback() { Who::ThisMachine } else { Who::Others };
    Reach::of_forward_proxy(own, who, args.danger_allow_target.clone())
}

fn policy(args: &Args) -> Policy {
    let policy = Policy::rfc9111().max_body(args.limits.max_stored);
    let policy = policy.partition_by_headers(&args.partition_by_header);
    let policy = if args.private { policy.private() } else { policy.shared() };
    let policy = if args.partition_by_cookies { policy.partition_by_cookies() } else { policy };
    if args.danger_share_across_credentials { policy.danger_share_across_credentials() } else { policy }
}

fn runtime(workers: Option<NonZeroUsize>) -> std::io::Result<tokio::runtime::Runtime> {
    let workers = workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    match workers {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        many => tokio::runtime::Builder::new_multi_thread().worker_threads(many).enable_all().build(),
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot listen on {address}: {error}"))
            .with_hint("choose another address, or port 0 for a free one")
    })
}

fn announce(
    route: &Route,
    listen: SocketAddr,
    admin: Option<SocketAddr>,
    output: Output,
) -> Result<(), Failure> {
    let metrics = admin.map(|admin| format!(", metrics on http://{admin}/metrics")).unwrap_or_default();
    let text = format!("listening on http://{listen} for {route}{metrics}");
    let object = json!({ "listen": listen, "admin": admin, "route": route.to_string() });
    output.status("lacre/serve/v1", text, object)
}
