//! `lacre serve`: runs the proxy of `lacre-proxy` with the arguments, the store and the key of the
//! command line, until a signal ends it.

mod args;
mod open_files;
mod signals;

use crate::exit::{Exit, Failure};
use crate::global_options::GlobalOptions;
use crate::output::Output;
use crate::store_options;
pub(crate) use args::Args;
use lacre::Cache;
use lacre::keys::KeySource;
use lacre::store::Store;
use lacre_proxy::{AccessLog, Error, Handle, LogFormat, Metrics, Monitoring, Proxy, Route};
use serde_json::json;
use signals::{Signal, Signals};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::{io, thread};

/// The bytes of a body that is verified as a whole before its first byte is sent. Each connection
/// may hold as much in memory.
const MAX_VERIFIED_WHOLE: usize = 1 << 20;

/// Runs the proxy until a signal ends it.
pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let config = args.config()?;
    config.check().map_err(failure)?;
    let access_log = access_log(args, output)?;
    let metrics = Arc::new(Metrics::default());
    let (store, key) = store_options::store_and_key(global, output)?;
    let cache = cache(args, global, &store, &*key, output, &metrics)?;
    open_files::raise_limit(config.limits.max_connections, output);
    runtime(args.workers)?.block_on(async {
        let monitoring = Monitoring {
            access_log,
            metrics: Arc::clone(&metrics),
            on_accept_error: Some(Arc::new(move |error: &io::Error| {
                output.warn(format_args!("cannot accept connections for now: {error}"));
            })),
        };
        let route = config.route.clone();
        let proxy = Proxy::bind(config, cache, monitoring).await.map_err(failure)?;
        let signals = Signals::new()?;
        announce(&route, &proxy, output)?;
        let reload = {
            let (args, global, handle) = (args.clone(), global.clone(), proxy.handle());
            move || {
                // Nobody is there to type a passphrase.
                let key = store_options::key_source_without_prompt(&global)?;
                let cache = self::cache(&args, &global, &store, &*key, output, &metrics)?;
                handle.reload(cache).map_err(failure)
            }
        };
        let listening = tokio::spawn(obey(signals, proxy.handle(), Arc::new(reload), output));
        let ended = proxy.run().await.map_err(failure);
        listening.abort();
        ended
    })
}

/// Does what each signal asks for.
async fn obey(mut signals: Signals, handle: Handle, reload: Arc<Reload>, output: Output) {
    let mut is_ending = false;
    loop {
        match signals.next().await {
            Signal::End if is_ending => handle.abort(),
            Signal::End => {
                is_ending = true;
                handle.shutdown();
            }
            Signal::Reload => {
                reopen_log(&handle, output);
                run_reload(Arc::clone(&reload), output).await;
            }
            Signal::ReopenLog => reopen_log(&handle, output),
        }
    }
}

/// Builds a new cache with the current keys, and hands it to the proxy.
type Reload = dyn Fn() -> Result<(), Failure> + Send + Sync;

async fn run_reload(reload: Arc<Reload>, output: Output) {
    // Blocking: a key source may derive a key from a passphrase, or run a command.
    match tokio::task::spawn_blocking(move || reload()).await {
        Ok(Ok(())) => {
            // A closed stderr does not stop the proxy.
            let _ = output.status("lacre/reload/v1", "reloaded", json!({ "reloaded": true }));
        }
        Ok(Err(failure)) => warn(output, "could not reload, and goes on as before", &failure),
        Err(_) => output.warn("could not reload, and goes on as before"),
    }
}

fn reopen_log(handle: &Handle, output: Output) {
    if let Err(error) = handle.reopen_access_log() {
        warn(output, "could not open the access log anew, and goes on with the old one", &failure(error));
    }
}

fn warn(output: Output, consequence: &str, failure: &Failure) {
    let why = failure.message.as_deref().unwrap_or_default();
    let hint = failure.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    output.warn(format_args!("{consequence}: {why}{hint}"));
}

fn access_log(args: &Args, output: Output) -> Result<AccessLog, Failure> {
    if args.no_access_log {
        return Ok(AccessLog::default());
    }
    let format = if output.is_json() { LogFormat::Json } else { LogFormat::Text };
    match &args.access_log {
        Some(path) => AccessLog::to_file(path, format, args.policy()).map_err(failure),
        None => Ok(AccessLog::to_writer(io::stderr(), format, args.policy())),
    }
}

/// The cache over `store`, with the keys that `key` has now.
fn cache(
    args: &Args,
    global: &GlobalOptions,
    store: &Arc<dyn Store>,
    key: &dyn KeySource,
    output: Output,
    metrics: &Arc<Metrics>,
) -> Result<Cache, Failure> {
    let builder = store_options::builder_with_key(global, Arc::clone(store), key, output)
        .observer(metrics.observer(output));
    let builder = args.writing.apply(builder).policy(args.policy());
    Ok(builder.memory_tier(args.memory).read_whole(MAX_VERIFIED_WHOLE).build()?)
}

fn runtime(workers: Option<NonZeroUsize>) -> io::Result<tokio::runtime::Runtime> {
    let workers = workers.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get);
    match workers {
        1 => tokio::runtime::Builder::new_current_thread().enable_all().build(),
        many => tokio::runtime::Builder::new_multi_thread().worker_threads(many).enable_all().build(),
    }
}

fn announce(route: &Route, proxy: &Proxy, output: Output) -> Result<(), Failure> {
    let (listen, admin) = (proxy.address(), proxy.admin_address());
    let metrics = admin.map(|admin| format!(", metrics on http://{admin}/metrics")).unwrap_or_default();
    let text = format!("listening on http://{listen} for {route}{metrics}");
    let object = json!({ "listen": listen, "admin": admin, "route": route.to_string() });
    output.status("lacre/serve/v1", text, object)
}

/// An error of the proxy, with its exit code and a hint that names the flag.
fn failure(error: Error) -> Failure {
    let (exit, hint) = match &error {
        Error::NotAnOrigin => {
            let hint = "write http://HOST:PORT or https://HOST, without a path";
            return Failure::usage("--upstream is not an origin").with_hint(hint);
        }
        Error::UpstreamIsProxy { upstream } => {
            let message = format!("--upstream {upstream} is the address that this proxy listens on");
            let hint = "choose another address with --listen, such as 127.0.0.1:0 for a free port";
            return Failure::usage(message).with_hint(hint);
        }
        Error::OpenProxy { .. } => (Exit::Usage, "listen on 127.0.0.1, or pass --danger-open-proxy"),
        Error::OpenAdmin { .. } => (Exit::Usage, "show them on 127.0.0.1, or pass --danger-open-admin"),
        Error::Listen { .. } => (Exit::Failed, "choose another address, or port 0 for a free one"),
        Error::Certificates { .. } => (
            Exit::Failed,
            "install the system's certificates, which many systems have in the package ca-certificates",
        ),
        Error::AccessLog { .. } => {
            (Exit::Usage, "--access-log takes a file in a folder that exists and that lacre may write to")
        }
        Error::DrainTimeout => (Exit::Failed, "allow more time with --drain-timeout SECONDS"),
        Error::Aborted => return Failure::quiet(Exit::Interrupted),
        Error::Cache(_) => (Exit::Failed, ""),
        _ => (Exit::Failed, ""),
    };
    match error {
        Error::Cache(error) => error.into(),
        error => Failure::new(exit, error.to_string()).with_hint(hint),
    }
}
