//! The public conformance suite of HTTP caches (http-tests/cache-tests), played in process: client
//! and origin are values around [`lacre::Cache`], and pauses move a clock that nobody waits for.
//!
//! The suite is read from `LACRE_CACHE_TESTS` or from `../shared/cache-tests/tests.json` beside the
//! workspace; where it is absent, that is said aloud and nothing is judged. `score.json` holds the
//! counts that may only go up, and why a test is not passed; docs/rfc9111.md shows both.

mod client;
mod origin;
mod score;
mod subject;
mod suite;

use client::Subject;
use lacre::{ManualClock, Policy};
use score::{Edition, Gate, Score, Settings};
use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use subject::NoCache;
use suite::Suite;

#[test]
fn a_shared_cache_scores_no_less_than_before() -> Result<(), Box<dyn Error>> {
    let clock = clock();
    let cache = subject::cache(Policy::rfc9111().shared(), Arc::clone(&clock))?;
    judge(Edition::Shared, &cache, &clock, |score, gate| {
        score.stands(&gate.shared, &gate.shared_of, gate, Settings::Defaults)
    })
}

#[test]
fn a_shared_cache_that_was_told_to_share_scores_no_less_than_before() -> Result<(), Box<dyn Error>> {
    let clock = clock();
    let policy = Policy::rfc9111().shared().danger_share_across_credentials();
    let cache = subject::cache(policy, Arc::clone(&clock))?;
    judge(Edition::Shared, &cache, &clock, |score, gate| {
        score.stands(&gate.shared_across_credentials, &gate.shared_of, gate, Settings::Options)
    })
}

#[test]
fn a_private_cache_scores_no_less_than_before() -> Result<(), Box<dyn Error>> {
    let clock = clock();
    let cache = subject::cache(Policy::rfc9111(), Arc::clone(&clock))?;
    judge(Edition::Private, &cache, &clock, |score, gate| {
        score.stands(&gate.private, &gate.private_of, gate, Settings::Defaults)
    })
}

#[test]
fn without_a_cache_exactly_what_needs_none_passes() -> Result<(), Box<dyn Error>> {
    judge(Edition::Shared, &NoCache, &clock(), |score, gate| score.counts() == gate.without_cache)
}

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(suite::START))
}

fn judge(
    edition: Edition,
    subject: &impl Subject,
    clock: &ManualClock,
    expected: impl Fn(&Score, &Gate) -> bool,
) -> Result<(), Box<dyn Error>> {
    // Not `eprintln`: a test that passes would keep it to itself.
    let mut out = io::stderr().lock();
    let Some(suite) = Suite::load()? else {
        writeln!(
            out,
            "\nSKIPPED: no tests.json of the conformance suite; set LACRE_CACHE_TESTS to its path"
        )?;
        return Ok(());
    };
    let score = Score::of(&suite, edition, |test| client::play(test, subject, clock));
    writeln!(out, "{}: {score}", subject.name())?;
    let gate = Gate::load()?;
    if suite.tests.len() != gate.tests {
        let (found, known) = (suite.tests.len(), gate.tests);
        writeln!(out, "\nSKIPPED: the suite has {found} tests, but score.json is for {known}")?;
    } else if !expected(&score, &gate) {
        return Err(
            format!("{:?} of {:?} is not what score.json expects", score.counts(), score.totals()).into()
        );
    }
    Ok(())
}
