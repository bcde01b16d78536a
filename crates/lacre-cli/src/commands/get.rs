//! `lacre get`: sends a request through the cache. The unchanged body goes to stdout, one status
//! line to stderr.

use super::explain;
use crate::cache_result;
use crate::encoding_options::EncodingOptions;
use crate::exit::{Exit, Failure, chain, root_cause};
use crate::global_options::GlobalOptions;
use crate::network_error::NetworkError;
use crate::output::{FAINT, Output};
use crate::progress::Progress;
use crate::runtime::interruptible;
use crate::sink::Sink;
use crate::store_options;
use crate::{format, request};
use clap::ValueEnum;
use http::{Extensions, StatusCode};
use lacre::{Cache, CacheInfo, Detail, Forward, OnTamper, RequestOptions};
use lacre_reqwest::TooManyRedirects;
use reqwest::{Request, Url};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::runtime::Handle;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    request: request::Args,
    /// Write the response to this file instead of stdout, once it is complete
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print the status and the headers before the body
    #[arg(short = 'i', long)]
    headers: bool,
    /// Explain on stderr why the request hits or misses, before it is sent
    #[arg(long)]
    explain: bool,
    /// Exit with 4 or 5 if the origin answers 4xx or 5xx
    #[arg(long)]
    fail: bool,
    /// What to do if the stored response was tampered with
    #[arg(long, value_name = "ACTION", default_value = "refetch")]
    on_tamper: TamperOption,
    /// Longest body to store, in bytes; longer bodies pass through unstored
    #[arg(long, value_name = "BYTES")]
    max_body: Option<u64>,
    #[command(flatten)]
    encoding: EncodingOptions,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum TamperOption {
    /// Warn and fetch it again
    Refetch,
    /// Fail with exit code 10
    Raise,
    /// Fail with exit code 10, as after a 504 response
    FailClosed,
}

impl From<TamperOption> for OnTamper {
    fn from(option: TamperOption) -> Self {
        match option {
            TamperOption::Refetch => Self::Refetch,
            TamperOption::Raise => Self::Raise,
            TamperOption::FailClosed => Self::FailClosed,
        }
    }
}

/// The time beyond --timeout in which a stale response can be found and written.
const STALE_GRACE: Duration = Duration::from_millis(500);

/// The time that a background refresh has after the response was written.
const BACKGROUND_LIMIT: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let policy = args.request.policy();
    let policy = match args.max_body {
        Some(bytes) => policy.max_body(bytes),
        None => policy,
    };
    let builder = args.encoding.apply(store_options::open_or_create(global, output)?);
    let cache = builder.policy(policy).on_tamper(args.on_tamper.into()).build()?;
    interruptible(async {
        let result = fetch(args, cache, output).await;
        finish_background_work().await;
        result
    })
}

async fn fetch(args: &Args, cache: Cache, output: Output) -> Result<(), Failure> {
    let (client, transport) = args.request.transport.client(cache.clone())?;
    let (request, options) = args.request.build(&client)?;
    let sink = Sink::open(args.output.as_deref())?;
    if args.explain {
        explain::to_stderr(&cache, &request, &options, &transport, output).await?;
    }
    let exchange = exchange(args, &client, request, options, sink, output);
    match args.request.transport.time_limit() {
        None => exchange.await,
        // Each hop to the network has this limit, too. The margin allows a stale response to
        // replace a silent origin's.
        Some(limit) => tokio::time::timeout(limit + STALE_GRACE, exchange).await.unwrap_or_else(|_| {
            Err(Failure::new(Exit::Unreachable, format!("no complete response within {limit:?}"))
                .with_hint("raise --timeout; --offline answers from the store"))
        }),
    }
}

async fn exchange(
    args: &Args,
    client: &ClientWithMiddleware,
    request: Request,
    options: RequestOptions,
    mut sink: Sink,
    output: Output,
) -> Result<(), Failure> {
    let url = request.url().clone();
    let mut extensions = Extensions::new();
    extensions.insert(options);
    let mut response = client
        .execute_with_extensions(request, &mut extensions)
        .await
        .map_err(|error| unanswered(&url, error))?;
    let status = response.status();
    let info = response.extensions().get::<CacheInfo>().copied();
    let stale_cause = StaleCause::of(info, &extensions);
    refused(args, status, info)?;
    let failure = args
        .fail
        .then(|| stale_cause.as_ref().map(StaleCause::failure).or_else(|| refusal(status)))
        .flatten();
    if args.headers {
        sink.head(&response)?;
    }
    sink.expect_body(&response);
    let progress = Progress::of_bytes(response.content_length(), output);
    while let Some(bytes) = response.chunk().await.map_err(|error| cut_short(&error))? {
        sink.body(&bytes)?;
        if !sink.is_terminal() {
            progress.advance(bytes.len() as u64);
        }
    }
    drop(progress);
    // With --fail, an error page does not replace an existing file.
    if failure.is_none() || args.output.is_none() {
        sink.finish(output)?;
    }
    if let Some(info) = info {
        report(status, info, stale_cause.as_ref(), output)?;
    }
    failure.map_or(Ok(()), Err)
}

/// Waits for background refreshes, which end with this process.
async fn finish_background_work() {
    let running = async {
        while Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    // The next request starts an unfinished refresh again.
    let _ = tokio::time::timeout(BACKGROUND_LIMIT, running).await;
}

/// Turns a 504 that the cache itself generated into an error.
fn refused(args: &Args, status: StatusCode, info: Option<CacheInfo>) -> Result<(), Failure> {
    let is_generated = |info: CacheInfo| {
        status == StatusCode::GATEWAY_TIMEOUT && info.key.is_none() && info.stored_at.is_none()
    };
    match info.filter(|info| is_generated(*info)) {
        Some(info) if info.status.detail == Some(Detail::Tampered) => {
            Err(Failure::new(Exit::Integrity, "the stored response was tampered with and was not served")
                .with_hint(Failure::TAMPERED_HINT))
        }
        Some(info) if args.request.is_offline() => {
            let why = if info.status.forward == Some(Forward::Stale) {
                "the stored response is stale"
            } else {
                "the response is not stored"
            };
            Err(Failure::new(Exit::NotCached, format!("cannot answer from the cache alone: {why}"))
                .with_hint(
                    "leave out --offline to ask the origin, or accept a stale response with --max-stale",
                ))
        }
        _ => Ok(()),
    }
}

/// Why a stale response was served: the network or the origin failed.
enum StaleCause {
    NetworkError(NetworkError),
    Answered(StatusCode),
}

impl StaleCause {
    fn of(info: Option<CacheInfo>, extensions: &Extensions) -> Option<Self> {
        let info = info.filter(|info| info.status.detail == Some(Detail::StaleIfError))?;
        match (extensions.get::<NetworkError>(), info.status.forward_status) {
            (Some(unanswered), _) => Some(Self::NetworkError(unanswered.clone())),
            (None, status) => status.map(Self::Answered),
        }
    }

    /// The cause as text, and its name in JSON.
    fn in_words(&self) -> (String, &'static str) {
        match self {
            Self::NetworkError(unanswered) => (unanswered.message(), unanswered.name()),
            Self::Answered(status) => (format!("the origin answered {status}"), "status"),
        }
    }

    fn failure(&self) -> Failure {
        match self {
            Self::NetworkError(unanswered) => unanswered.clone().to_failure(),
            Self::Answered(status) => answered(Exit::ServerError, *status),
        }
    }
}

fn report(
    status: StatusCode,
    info: CacheInfo,
    stale_cause: Option<&StaleCause>,
    output: Output,
) -> Result<(), Failure> {
    let happened = stale_cause.map(StaleCause::in_words);
    let (word, style) = cache_result::word(&info);
    let key = info.key.map(|key| format!("  {FAINT}{key:.8}{FAINT:#}")).unwrap_or_default();
    let why = happened.as_ref().map(|(why, _)| format!("  ({why})")).unwrap_or_default();
    let text = format!("{style}{word}{style:#} {} {}{key}{why}", status.as_u16(), info.status);
    let object = json!({
        "result": word.to_ascii_lowercase(),
        "status": status.as_u16(),
        "cache_status": info.status.to_string(),
        "ttl_seconds": info.status.ttl,
        "key": info.key.map(|key| key.to_string()),
        "received": info.stored_at.and_then(format::timestamp),
        "stands_in_for": happened.map(|(message, fault)| json!({ "fault": fault, "message": message })),
    });
    output.status("lacre/get/v1", text, object)
}

/// The error that `--fail` makes of a status.
fn refusal(status: StatusCode) -> Option<Failure> {
    match status {
        status if status.is_client_error() => Some(answered(Exit::ClientError, status)),
        status if status.is_server_error() => Some(answered(Exit::ServerError, status)),
        _ => None,
    }
}

fn answered(exit: Exit, status: StatusCode) -> Failure {
    Failure::new(exit, format!("the origin answered {status}"))
}

fn cut_short(error: &reqwest::Error) -> Failure {
    Failure::new(
        Exit::Unreachable,
        format!("the response was cut short and is not stored: {}", root_cause(error)),
    )
    .with_hint("try again")
}

/// The error of a request without a response. It shows the host and never the rest of the URL.
fn unanswered(url: &Url, error: reqwest_middleware::Error) -> Failure {
    let error = match error {
        reqwest_middleware::Error::Reqwest(error) => error,
        reqwest_middleware::Error::Middleware(error) => {
            return match error.downcast::<lacre::Error>() {
                Ok(error) => error.into(),
                Err(error) if error.is::<TooManyRedirects>() => Failure::new(Exit::Failed, error.to_string()),
                Err(error) => Failure::new(Exit::Failed, chain(error.as_ref())),
            };
        }
    };
    NetworkError::of(url, &error).to_failure()
}
