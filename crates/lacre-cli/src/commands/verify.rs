//! `lacre verify`: checks every seal, bodies included. With an anchor, it also finds records that
//! are missing or older than anchored.

use crate::exit::{Exit, Failure};
use crate::format::{self, entries, records};
use crate::global_options::GlobalOptions;
use crate::listing;
use crate::output::{BAD, FAINT, GOOD, Output, WARNING};
use crate::progress::Progress;
use crate::record_state;
use crate::store_options;
use crate::table;
use lacre::{Anchored, Cache, Change, Finding, ListedRow, ListingDepth, RecordState, VerifyReport};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Move records that were tampered with or damaged to quarantine, where they are kept for 30
    /// days (`lacre ls --quarantined`)
    #[arg(long)]
    quarantine: bool,
    /// Quarantine even if no entry belongs to this namespace, so that all may belong to another
    /// application
    #[arg(long, requires = "quarantine")]
    danger_quarantine_all: bool,
    /// Also compare the store with an anchor that `lacre anchor write` wrote
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
}

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let builder = if args.quarantine {
        store_options::open_to_change(global, output)?
    } else {
        store_options::open_to_read(global, output)?
    };
    let Some(builder) = builder else {
        return match &args.anchor {
            None => Report::default().finish(None, None, output),
            Some(_) => Err(Failure::new(Exit::Integrity, "there is an anchor, but the store does not exist")
                .with_hint(
                    "name the store with --store; if you removed the store yourself, remove the anchor, too",
                )),
        };
    };
    let cache = builder.build()?;
    let mut report = Report::of(&cache, output)?;
    if args.quarantine && (args.danger_quarantine_all || !report.verified.ownership.is_foreign()) {
        for key in &report.verified.bad {
            report.quarantined += usize::from(lacre::wait(cache.quarantine(key))?.is_some());
        }
    }
    let anchored = args.anchor.as_deref().map(|file| compare(&cache, file, output)).transpose()?;
    report.finish(Some(&cache), anchored, output)
}

/// The result of verification.
#[derive(Default)]
struct Report {
    verified: VerifyReport,
    quarantined: usize,
}

impl Report {
    /// Verifies every record, and prints those that do not open.
    fn of(cache: &Cache, output: Output) -> Result<Self, Failure> {
        let mut report = Self::default();
        let mut printed = Ok(());
        let progress = Progress::of_rows(lacre::wait(cache.usage())?.records, output);
        lacre::wait(cache.rows(ListingDepth::Bodies, &mut |row| {
            progress.step();
            report.verified.count(&row);
            if printed.is_ok() && row.is_entry() && row.state() != RecordState::Good {
                printed = progress.suspend(|| print_row(&row, output));
            }
        }))?;
        printed.map(|()| report)
    }

    fn finish(
        self,
        cache: Option<&Cache>,
        anchored: Option<Anchored>,
        output: Output,
    ) -> Result<(), Failure> {
        let bad = self.verified.bad.len();
        let all = entries(self.verified.counts.entries());
        if output.is_json() {
            let mut summary = record_state::to_json(&self.verified.counts);
            summary.insert("quarantined".to_owned(), self.quarantined.into());
            summary.insert("keys".to_owned(), json!(self.records_by_key()));
            summary.insert("anchor".to_owned(), json!(anchored.as_ref().map(summary_of)));
            output.print_objects("lacre/verify/v1", [summary])?;
        } else {
            self.print(cache, anchored.as_ref(), output)?;
        }
        if bad > 0 {
            let (now, hint) = match self.quarantined {
                0 if self.verified.ownership.is_foreign() => (
                    "none belongs to this namespace and this store, so none was quarantined".to_owned(),
                    "name the right namespace with --namespace; if it is right, add --danger-quarantine-all to --quarantine",
                ),
                0 => (
                    "none of these will be served".to_owned(),
                    "`lacre verify --quarantine` moves bad entries to quarantine, `lacre rm --bad` removes them",
                ),
                some => (format!("{some} moved to quarantine"), "`lacre ls --quarantined` lists them"),
            };
            let message = format!("{bad} of {all} failed verification; {now}");
            return Err(Failure::new(Exit::Integrity, message).with_hint(hint));
        }
        if let Some(Anchored { findings: findings @ 1.., .. }) = anchored {
            let findings = records(usize::try_from(findings).unwrap_or(usize::MAX));
            let message =
                format!("{findings} missing, older than anchored or unreadable, although no seal is bad");
            return Err(Failure::new(Exit::Integrity, message)
                .with_hint("if you removed, invalidated or evicted these records yourself, write a new anchor: `lacre anchor write`"));
        }
        match record_state::unopened(&self.verified.counts) {
            Some((exit, reasons, hint)) => {
                Err(Failure::new(exit, format!("some of {all} do not open: {reasons}")).with_hint(hint))
            }
            None => Ok(()),
        }
    }

    /// The number of records that need each key, by its id as text.
    fn records_by_key(&self) -> BTreeMap<String, usize> {
        self.verified.records_by_key.iter().map(|(key, count)| (key.to_string(), *count)).collect()
    }

    /// Prints the counts, the keys that are needed, and the comparison with the anchor.
    fn print(
        &self,
        cache: Option<&Cache>,
        anchored: Option<&Anchored>,
        output: Output,
    ) -> Result<(), Failure> {
        let all = entries(self.verified.counts.entries());
        let good = self.verified.counts.of(RecordState::Good);
        match record_state::exceptions(&self.verified.counts) {
            none if none.is_empty() => {
                output.print(format_args!("{GOOD}every seal is valid{GOOD:#}: {all}"))?;
            }
            exceptions => {
                output.print(format_args!("{WARNING}{good} of {all} good{WARNING:#}: {exceptions}"))?;
            }
        }
        let primary = cache.and_then(|cache| cache.key_ids().next()).map(|id| id.to_string());
        let by_key = self.records_by_key();
        if by_key.keys().any(|key| Some(key) != primary.as_ref()) {
            for (key, count) in &by_key {
                let role =
                    if Some(key) == primary.as_ref() { "primary" } else { "old: lacre reseal replaces it" };
                output.print(format_args!("  {key}  {}  {FAINT}{role}{FAINT:#}", records(*count)))?;
            }
        }
        let Some(Anchored { at, same, newer, over, findings, .. }) = anchored else { return Ok(()) };
        let at = format::timestamp(*at).unwrap_or_default();
        let (style, verdict) =
            if *findings == 0 { (GOOD, "matches the anchor") } else { (BAD, "differs from the anchor") };
        output.print(format_args!(
            "{style}{verdict}{style:#} of {at}: {same} records unchanged, {newer} newer, {over} expired"
        ))
    }
}

fn print_row(row: &ListedRow, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.print_objects("lacre/entry/v1", [listing::to_json(row)]);
    }
    let (style, what) = match row.state() {
        RecordState::Bad => (BAD, "bad seal"),
        RecordState::NoKey => (WARNING, "no key"),
        RecordState::SuiteMismatch(_) => (WARNING, "other suite"),
        RecordState::NamespaceMismatch => (WARNING, "other namespace"),
        RecordState::Unsupported => (WARNING, "unsupported"),
        RecordState::Good | RecordState::Expired | RecordState::Revoked => return Ok(()),
    };
    let reason = listing::reason(row).unwrap_or_default();
    let room = output.width().map(|width| width.saturating_sub(what.len() + 12));
    let reason = table::truncate(&reason, room);
    output.print(format_args!("{:.8}  {style}{what}{style:#}  {reason}", row.key()))
}

fn compare(cache: &Cache, file: &Path, output: Output) -> Result<Anchored, Failure> {
    let opened = File::open(file).map_err(|error| {
        Failure::new(Exit::Failed, format!("cannot read the anchor {}: {error}", file.display()))
            .with_hint("name the file that `lacre anchor write` wrote")
    })?;
    let mut printed = Ok(());
    let mut report = |finding: Finding| {
        if printed.is_ok() {
            printed = print_finding(finding, output);
        }
    };
    let anchored = lacre::wait(cache.verify_anchor(&mut BufReader::new(opened), &mut report))?;
    printed.map(|()| anchored)
}

fn print_finding(Finding { key, change, .. }: Finding, output: Output) -> Result<(), Failure> {
    let (name, text) = match change {
        Change::Missing => ("missing", "removed, evicted or deleted before it expired"),
        Change::RolledBack => ("rolled-back", "older than anchored"),
        Change::PutBack => ("put-back", "older than the anchor, which does not list it"),
        _ => ("refused", "the record does not open"),
    };
    if output.is_json() {
        return output
            .print_objects("lacre/finding/v1", [json!({ "key": key.to_string(), "finding": name })]);
    }
    output.print(format_args!("{key:.8}  {BAD}{name}{BAD:#}  {text}"))
}

fn summary_of(Anchored { at, same, newer, over, findings, .. }: &Anchored) -> Value {
    json!({ "at": format::timestamp(*at), "same": same, "newer": newer, "over": over, "findings": findings })
}
