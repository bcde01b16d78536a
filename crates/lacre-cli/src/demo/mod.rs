//! `lacre demo`: what the seal is good for, shown on a store of its own and without a network. Every step is a check, and what does not
//! hold ends the demo with an error. It touches nothing of the user's and leaves nothing behind.

mod disk;
mod origin;
mod secrets;
mod world;

use crate::exit::{Exit, Failure};
use crate::output::{BAD, FAINT, GOOD, Output};
use disk::Image;
use lacre::keys::{self, KeySource};
use lacre::{CacheStatus, Detail, Keyring, OnTamper};
use secrets::{ACCOUNT, AUTHORIZATION, FIGURES, TOKEN};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::time::Instant;
use world::{Session, World};

/// Tells the whole story, a step at a time.
pub(crate) async fn run(output: Output) -> Result<(), Failure> {
    let start = Instant::now();
    let world = World::start().await?;
    let told =
        |step: Step| if output.is_json() { output.objects(SCHEMA, [step]) } else { output.print(step) };

    let session = world.open(OnTamper::default())?;
    told(miss(&session).await?)?;
    told(hit(&session).await?)?;
    told(secrets_are_nowhere(&world)?)?;
    session.close().await?;
    told(tamper(&world).await?)?;
    told(heal(&world).await?)?;
    told(swap(&world).await?)?;
    told(rotate(&world).await?)?;
    told(retire(&world).await?)?;

    let asked = world.asked();
    world.end()?;
    let took = start.elapsed().as_millis();
    told(Step::new(
        "done",
        format!("in {took} ms; the origin was asked {asked} times; nothing is left behind"),
    ))
}

const SCHEMA: &str = "lacre/demo/v1";

const REPORT: &str = "/report";
/// As long as the other, and so are their records.
const ORDERS: &str = "/orders";

async fn miss(session: &Session<'_>) -> Result<Step, Failure> {
    let fetched = session.fetch(REPORT).await?.must_miss()?;
    Ok(Step::new("miss", "the origin is asked, and its answer sealed").did(fetched.status))
}

async fn hit(session: &Session<'_>) -> Result<Step, Failure> {
    let fetched = session.fetch(REPORT).await?.must_hit()?;
    let took = fetched.took.as_micros();
    Ok(Step::new("hit", format!("answered from the sealed store in {took} µs")).did(fetched.status))
}

/// While the store is in use, since its log tells most.
fn secrets_are_nowhere(world: &World) -> Result<Step, Failure> {
    let files = world.images()?;
    // Had nothing been written, nothing would be found either.
    ensure(files.iter().any(|file| !file.envelopes().is_empty()), "the sealed record is on disk")?;
    let in_clear = |secret| files.iter().any(|file| file.contains(secret));
    ensure(
        ![REPORT, TOKEN, AUTHORIZATION, ACCOUNT, FIGURES].into_iter().any(in_clear),
        "no secret is on disk",
    )?;
    let kilobytes = files.iter().map(Image::len).sum::<usize>() / 1000;
    let what = "no path, token, Authorization, header or body";
    Ok(Step::new("secrecy", format!("{what} is found in the {kilobytes} kB on disk")))
}

async fn tamper(world: &World) -> Result<Step, Failure> {
    let image = world.image()?;
    let [envelope] = image.envelopes()[..] else { return Err(unkept("one record is on disk")) };
    let at = image.flip(envelope)?;
    let session = world.open(OnTamper::Raise)?;
    let refusal = session.refusal(REPORT).await?;
    session.close().await?;
    Ok(Step::new("tamper", format!("one byte changed on disk, at {at}: refused, not served"))
        .refused(&refusal))
}

async fn heal(world: &World) -> Result<Step, Failure> {
    let session = world.open(OnTamper::default())?;
    let status = healed(&session, REPORT).await?;
    ensure(session.discard_evidence().await? == 1, "the bad record is kept as evidence")?;
    session.close().await?;
    Ok(Step::new("heal", "by default, the bad record is kept as evidence, and the answer fetched again")
        .did(status))
}

async fn swap(world: &World) -> Result<Step, Failure> {
    let session = world.open(OnTamper::default())?;
    session.fetch(ORDERS).await?.must_miss()?;
    let lengths = session.lengths().await?;
    session.close().await?;
    let image = world.image()?;
    let ([one, other], [length, same]) = (&image.envelopes()[..], &lengths[..]) else {
        return Err(unkept("two records are on disk"));
    };
    ensure(length == same, "both records are equally long")?;
    image.exchange(*one, *other, *length)?;

    let session = world.open(OnTamper::Raise)?;
    let refusal = session.refusal(REPORT).await?;
    session.refusal(ORDERS).await?;
    session.close().await?;
    let session = world.open(OnTamper::default())?;
    healed(&session, REPORT).await?;
    healed(&session, ORDERS).await?;
    session.close().await?;
    Ok(Step::new("swap", "two records changed places: each is genuine, its place is not").refused(&refusal))
}

async fn rotate(world: &World) -> Result<Step, Failure> {
    keys::update(&world.keyring, Keyring::rotate)?;
    let protection = world.protection()?;
    let session = world.open(OnTamper::default())?;
    let fetched = session.fetch(REPORT).await?.must_hit()?;
    session.close().await?;
    Ok(Step::new(
        "rotate",
        format!("the keyring{protection} got a new key to seal with; the old one still opens"),
    )
    .did(fetched.status))
}

async fn retire(world: &World) -> Result<Step, Failure> {
    let ring = world.keyring.load()?;
    let old = ring.key_ids().nth(1).ok_or_else(|| unkept("the keyring holds the old key, too"))?;
    keys::update(&world.keyring, |ring| ring.retire(old))?;
    let session = world.open(OnTamper::Raise)?;
    let fetched = session.fetch(REPORT).await?.must_miss()?;
    session.fetch(REPORT).await?.must_hit()?;
    session.close().await?;
    Ok(Step::new("retire", "without the old key, a miss and no error").did(fetched.status))
}

/// What the cache does with a request for a bad record: asks the origin, and is whole again.
async fn healed(session: &Session<'_>, path: &str) -> Result<CacheStatus, Failure> {
    let status = session.fetch(path).await?.must_miss()?.status;
    ensure(status.detail == Some(Detail::Tampered), "the cache says that a record was tampered with")?;
    session.fetch(path).await?.must_hit()?;
    Ok(status)
}

/// What happened, and what the cache said to it.
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

    fn did(self, status: CacheStatus) -> Self {
        Self { cache_status: Some(status.to_string()), ..self }
    }

    /// By the name that the error has wherever signatures are checked.
    fn refused(self, error: &lacre::Error) -> Self {
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

/// Ends the demo where a promise is not kept.
fn ensure(kept: bool, promise: &'static str) -> Result<(), Failure> {
    if kept { Ok(()) } else { Err(unkept(promise)) }
}

fn unkept(promise: &'static str) -> Failure {
    failed(format_args!("it does not hold that {promise}"))
}

fn failed(why: impl fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("the demo failed: {why}"))
        .with_hint("this should never happen; please report it with the output above")
}
