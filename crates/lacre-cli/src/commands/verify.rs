//! `lacre verify`: every seal, bodies included; and with an anchor, that nothing is missing or older than it was.

use super::now;
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open::{self, Missing};
use crate::output::{BAD, FAINT, GOOD, Output, WARNING};
use crate::pretty::{self, entries};
use crate::progress::Progress;
use crate::rows::{self, Belonging, Depth, Row, Seal};
use lacre::{Anchored, Cache, Change, Finding, Key};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Put what is bad out of the way: it is kept as evidence for 30 days (`lacre ls --quarantined`)
    #[arg(long)]
    quarantine: bool,
    /// Do so even where not one entry belongs to this namespace, so that all of them may be somebody else's
    #[arg(long, requires = "quarantine")]
    danger_quarantine_all: bool,
    /// Compare with what `lacre anchor write` wrote down, too
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, global: &Global, output: Output) -> Result<(), Failure> {
    let cache = open::cache(global, Missing::Fail, output)?.build()?;
    let mut tally = Tally::of(&cache, output)?;
    if args.quarantine && (args.danger_quarantine_all || !tally.belonging.is_elsewhere()) {
        for key in &tally.bad {
            tally.quarantined += usize::from(lacre::wait(cache.quarantine(key))?.is_some());
        }
    }
    let anchored = args.anchor.as_deref().map(|file| compare(&cache, file, output)).transpose()?;
    tally.conclude(&cache, anchored, output)
}

/// What was found.
#[derive(Default)]
struct Tally {
    all: usize,
    bad: Vec<Key>,
    no_key: usize,
    ended: usize,
    belonging: Belonging,
    quarantined: usize,
    /// How many entries each key is needed for.
    by_key: BTreeMap<String, usize>,
}

impl Tally {
    /// Looks at every row, and tells of those that do not open.
    fn of(cache: &Cache, output: Output) -> Result<Self, Failure> {
        let mut tally = Self::default();
        let mut told = Ok(());
        let progress = Progress::through(lacre::wait(cache.usage())?.records, output);
        rows::each(cache, Depth::Bodies, now(), &mut |row| {
            progress.step();
            tally.count(&row);
            if told.is_ok() && row.seal() != Seal::Good {
                told = progress.aside(|| tell(&row, output));
            }
        })?;
        told.map(|()| tally)
    }

    fn count(&mut self, row: &Row) {
        self.all += 1;
        self.belonging.count(row);
        match row.seal() {
            Seal::Good => {}
            Seal::Bad => self.bad.push(*row.key()),
            Seal::NoKey => self.no_key += 1,
            Seal::Ended => self.ended += 1,
        }
        for key in row.sealed_with() {
            *self.by_key.entry(key.to_string()).or_default() += 1;
        }
    }

    fn conclude(self, cache: &Cache, anchored: Option<Anchored>, output: Output) -> Result<(), Failure> {
        let Self { all, no_key, ended, quarantined, .. } = self;
        let bad = self.bad.len();
        if output.is_json() {
            let summary = json!({
                "entries": all, "good": all - bad - no_key - ended, "bad": bad, "no_key": no_key, "ended": ended,
                "quarantined": quarantined, "keys": self.by_key, "anchor": anchored.map(|anchored| summary(&anchored)),
            });
            output.objects("lacre/verify/v1", [summary])?;
        }
        if bad > 0 {
            let (now, hint) = match quarantined {
                0 if self.belonging.is_elsewhere() => (
                    "not one belongs to this namespace, so all were left alone".to_owned(),
                    "name the right one with --namespace; or --quarantine with --danger-quarantine-all, if this is it",
                ),
                0 => (
                    "none of these will be served".to_owned(),
                    "lacre verify --quarantine, or lacre rm --bad",
                ),
                some => (format!("{some} of these are in quarantine"), "lacre ls --quarantined"),
            };
            let message = format!("{bad} of {} failed verification; {now}", entries(all));
            return Err(Failure::new(Exit::Integrity, message).with_hint(hint));
        }
        if let Some(Anchored { findings: findings @ 1.., .. }) = anchored {
            let findings =
                if findings == 1 { "1 finding".to_owned() } else { format!("{findings} findings") };
            let message = format!("{findings} against the anchor, though every seal holds");
            return Err(Failure::new(Exit::Integrity, message)
                .with_hint("if you removed, invalidated or evicted these yourself, write a new anchor"));
        }
        if no_key > 0 {
            let message =
                format!("{no_key} of {} sealed with keys that are not in the keyring", entries(all));
            return Err(Failure::new(Exit::KeyUnavailable, message).with_hint(
                "name the keyring that has them with --key, or remove them by their own keys with lacre rm",
            ));
        }
        if output.is_json() { Ok(()) } else { self.all_is_well(cache, anchored, output) }
    }

    fn all_is_well(&self, cache: &Cache, anchored: Option<Anchored>, output: Output) -> Result<(), Failure> {
        let ended =
            if self.ended == 0 { String::new() } else { format!(", {} of them past their time", self.ended) };
        output.print(format_args!("{GOOD}every seal holds{GOOD:#}: {}{ended}", entries(self.all)))?;
        let primary = cache.key_ids().next().map(|id| id.to_string());
        if self.by_key.keys().any(|key| Some(key) != primary.as_ref()) {
            for (key, count) in &self.by_key {
                let role = if Some(key) == primary.as_ref() { "primary" } else { "lacre reseal frees it" };
                output.print(format_args!("  {key}  {}  {FAINT}{role}{FAINT:#}", entries(*count)))?;
            }
        }
        let Some(Anchored { at, same, newer, over, .. }) = anchored else { return Ok(()) };
        let at = pretty::moment(at).unwrap_or_default();
        output.print(format_args!(
            "{GOOD}as anchored{GOOD:#} at {at}: {same} the same, {newer} newer, {over} past their time"
        ))
    }
}

fn tell(row: &Row, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.objects("lacre/entry/v1", [row.to_json()]);
    }
    let (style, what) = match row.seal() {
        Seal::Bad => (BAD, "bad seal"),
        Seal::NoKey => (WARNING, "no key"),
        Seal::Good | Seal::Ended => return Ok(()),
    };
    let trouble = row.trouble().unwrap_or_default();
    output.print(format_args!("{:.8}  {style}{what}{style:#}  {trouble}", row.key()))
}

fn compare(cache: &Cache, file: &Path, output: Output) -> Result<Anchored, Failure> {
    let opened = File::open(file)
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot read {}: {error}", file.display())))?;
    let mut told = Ok(());
    let mut report = |finding: Finding| {
        if told.is_ok() {
            told = tell_finding(finding, output);
        }
    };
    let anchored = lacre::wait(cache.verify_anchor(&mut BufReader::new(opened), &mut report))?;
    told.map(|()| anchored)
}

fn tell_finding(Finding { key, change }: Finding, output: Output) -> Result<(), Failure> {
    let (name, text) = match change {
        Change::Missing => ("missing", "gone before its time was over: removed, evicted or deleted"),
        Change::RolledBack => ("rolled-back", "older than it was"),
        Change::PutBack => ("put-back", "older than the anchor, which does not know it"),
        _ => ("refused", "what lies there does not open"),
    };
    if output.is_json() {
        return output.objects("lacre/finding/v1", [json!({ "key": key.to_string(), "finding": name })]);
    }
    output.print(format_args!("{key:.8}  {BAD}{name}{BAD:#}  {text}"))
}

fn summary(Anchored { at, same, newer, over, findings }: &Anchored) -> Value {
    json!({ "at": pretty::moment(*at), "same": same, "newer": newer, "over": over, "findings": findings })
}
