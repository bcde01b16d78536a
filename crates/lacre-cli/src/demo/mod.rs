//! `lacre demo`: shows what the seal protects, on a temporary store and without a network. Every
//! step checks its claim and fails if it is false. The demo uses none of the user's files and
//! leaves none behind.

mod check;
mod origin;
mod sandbox;
mod secrets;
mod store_file;

use crate::exit::Failure;
use crate::output::{BAD, FAINT, GOOD, Output};
use check::{ensure, violated};
use lacre::keys::{self, KeySource};
use lacre::{CacheStatus, Detail, Keyring, OnTamper};
use sandbox::{Sandbox, Session};
use secrets::{ACCOUNT, AUTHORIZATION, FIGURES, TOKEN};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::time::Instant;
use store_file::StoreFile;

/// Runs the demo and prints each step.
pub(crate) async fn run(output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let sandbox = Sandbox::start().await?;
    let print =
        |step: Step| if output.is_json() { output.print_objects(SCHEMA, [step]) } else { output.print(step) };

    let session = sandbox.open(OnTamper::default())?;
    print(miss(&session).await?)?;
    print(hit(&session).await?)?;
    print(secrets_are_nowhere(&sandbox)?)?;
    session.close().await?;
    print(tamper(&sandbox).await?)?;
    print(heal(&sandbox).await?)?;
    print(swap(&sandbox).await?)?;
    print(rotate(&sandbox).await?)?;
    print(retire(&sandbox).await?)?;

    let requests = sandbox.requests();
    sandbox.end()?;
    let took = start.elapsed().as_millis();
    print(Step::new(
        "done",
        format!("in {took} ms, with {requests} requests to the origin; no file is left behind"),
    ))
}

const SCHEMA: &str = "lacre/demo/v1";

const REPORT: &str = "/report";
/// As long as `REPORT`, so that their records have the same length.
const ORDERS: &str = "/orders";

async fn miss(session: &Session<'_>) -> Result<Step, Failure> {
    let fetched = session.fetch(REPORT).await?.must_miss()?;
    Ok(Step::new("miss", "the origin answers; the response is sealed and stored").with_status(fetched.status))
}

async fn hit(session: &Session<'_>) -> Result<Step, Failure> {
    let fetched = session.fetch(REPORT).await?.must_hit()?;
    let took = fetched.took.as_micros();
    Ok(Step::new("hit", format!("answered from the sealed store in {took} µs")).with_status(fetched.status))
}

/// Searches the files while the store is open, since its log holds the most data.
fn secrets_are_nowhere(sandbox: &Sandbox) -> Result<Step, Failure> {
    let files = sandbox.images()?;
    // Without a record on disk, the search would prove nothing.
    ensure(files.iter().any(|file| !file.envelopes().is_empty()), "the sealed record is on disk")?;
    let in_clear = |secret| files.iter().any(|file| file.contains(secret));
    ensure(
        ![REPORT, TOKEN, AUTHORIZATION, ACCOUNT, FIGURES].into_iter().any(in_clear),
        "no secret is on disk",
    )?;
    let kilobytes = files.iter().map(StoreFile::len).sum::<usize>() / 1000;

    Ok(Step::new(
        "secrecy",
        format!("the {kilobytes} kB on disk show no path, token, Authorization, header or body"),
    ))
}

async fn tamper(sandbox: &Sandbox) -> Result<Step, Failure> {
    let image = sandbox.image()?;
    let [envelope] = image.envelopes()[..] else { return Err(violated("one record is on disk")) };
    let at = image.flip(envelope)?;
    let session = sandbox.open(OnTamper::Raise)?;
    let refusal = session.refusal(REPORT).await?;
    session.close().await?;
    Ok(Step::new("tamper", format!("one byte changed on disk, at offset {at}: refused, not served"))
        .with_error(&refusal))
}

async fn heal(sandbox: &Sandbox) -> Result<Step, Failure> {
    let session = sandbox.open(OnTamper::default())?;
    let status = healed(&session, REPORT).await?;
    ensure(session.empty_quarantine().await? == 1, "the bad record is quarantined")?;
    session.close().await?;
    Ok(Step::new("heal", "by default, the bad record is quarantined and the response fetched again")
        .with_status(status))
}

async fn swap(sandbox: &Sandbox) -> Result<Step, Failure> {
    let session = sandbox.open(OnTamper::default())?;
    session.fetch(ORDERS).await?.must_miss()?;
    let lengths = session.lengths().await?;
    session.close().await?;
    let image = sandbox.image()?;
    let ([one, other], [length, same]) = (&image.envelopes()[..], &lengths[..]) else {
        return Err(violated("two records are on disk"));
    };
    ensure(length == same, "both records have the same length")?;
    image.exchange(*one, *other, *length)?;

    let session = sandbox.open(OnTamper::Raise)?;
    let refusal = session.refusal(REPORT).await?;
    session.refusal(ORDERS).await?;
    session.close().await?;
    let session = sandbox.open(OnTamper::default())?;
    healed(&session, REPORT).await?;
    healed(&session, ORDERS).await?;
    session.close().await?;
    Ok(Step::new("swap", "two valid records swapped: refused, since a seal is bound to its place")
        .with_error(&refusal))
}

async fn rotate(sandbox: &Sandbox) -> Result<Step, Failure> {
    keys::update(&sandbox.keyring, Keyring::rotate)?;
    let protection = sandbox.protection()?;
    let session = sandbox.open(OnTamper::default())?;
    let fetched = session.fetch(REPORT).await?.must_hit()?;
    session.close().await?;
    Ok(Step::new(
        "rotate",
        format!("the keyring{protection} has a new sealing key; the old key still opens entries"),
    )
    .with_status(fetched.status))
}

async fn retire(sandbox: &Sandbox) -> Result<Step, Failure> {
    let ring = sandbox.keyring.load()?;
    let old = ring.key_ids().nth(1).ok_or_else(|| violated("the keyring holds the old key"))?;
    keys::update(&sandbox.keyring, |ring| ring.retire(old))?;
    let session = sandbox.open(OnTamper::Raise)?;
    let fetched = session.fetch(REPORT).await?.must_miss()?;
    session.fetch(REPORT).await?.must_hit()?;
    session.close().await?;
    Ok(Step::new("retire", "the old key is removed: its entry is a miss, not an error")
        .with_status(fetched.status))
}

/// Requests a path whose record is bad: the cache asks the origin and stores a good record.
async fn healed(session: &Session<'_>, path: &str) -> Result<CacheStatus, Failure> {
    let status = session.fetch(path).await?.must_miss()?.status;
    ensure(status.detail == Some(Detail::Tampered), "the cache reports that a record was tampered with")?;
    session.fetch(path).await?.must_hit()?;
    Ok(status)
}

/// A step: what happened, and the cache's status or error.
#[derive(Serialize)]
struct Step {
    step: &'static str,
    text: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cache_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl Step {
    fn new(step: &'static str, text: impl Into<Cow<'static, str>>) -> Self {
        Self { step, text: text.into(), cache_status: None, error: None }
    }

    fn with_status(self, status: CacheStatus) -> Self {
        Self { cache_status: Some(status.to_string()), ..self }
    }

    /// Adds an error, under the name that itsdangerous gives it.
    fn with_error(self, error: &lacre::Error) -> Self {
        Self { error: Some(format!("BadSignature: {error}")), ..self }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { step, text, cache_status, error } = self;
        write!(f, "{GOOD}{step:<9}{GOOD:#}{text}")?;
        if let Some(status) = cache_status {
            write!(f, "\n{:9}{FAINT}{status}{FAINT:#}", "")?;
        }
        if let Some(error) = error {
            write!(f, "\n{:9}{BAD}{error}{BAD:#}", "")?;
        }
        Ok(())
    }
}
