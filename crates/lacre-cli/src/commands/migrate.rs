//! `lacre migrate`: imports a cache of requests-cache into the sealed store. It never runs a pickle
//! and never changes the source.

use crate::exit::{Exit, Failure};
use crate::format::entries;
use crate::global_options::GlobalOptions;
use crate::output::{BAD, GOOD, Output, WARNING};
use crate::progress::Progress;
use crate::runtime::now;
use crate::sanitize::replace_controls;
use crate::store_options;
use clap::ValueEnum;
use lacre::interchange::requests_cache::{Format, Imported, Importer, Response, Serializer, Source, Stored};
use lacre::{Error, ErrorKind, Policy};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A .sqlite file, a directory of responses, or a Redis dump in JSON
    #[arg(value_name = "SOURCE")]
    source: PathBuf,
    /// Where the secret of safe_pickle_serializer is: `env:NAME` or `file:PATH`. Responses without
    /// its signature are refused
    #[arg(long, value_name = "REFERENCE")]
    itsdangerous_key: Option<String>,
    /// Format of the stored responses
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    serializer: Written,
    /// Import responses without a signature. Anyone with write access to the source then decides
    /// what is sealed
    #[arg(long, conflicts_with = "itsdangerous_key")]
    trust_existing: bool,
    /// Share responses to requests with credentials among all requesters, as requests-cache does.
    /// Only clients that share them, too, find them
    #[arg(long)]
    danger_share_across_credentials: bool,
    /// Read everything, and only show what would be done
    #[arg(long)]
    dry_run: bool,
}

/// A value of `--serializer`.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Written {
    /// Detect the format of each response
    Auto,
    Pickle,
    Json,
    Yaml,
}

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let source = Source::open(&args.source)?;
    let serializer = args.serializer()?;
    // A dry run applies the same rules, in memory.
    let builder = if args.dry_run {
        store_options::in_memory(global, output)?
    } else {
        store_options::open_or_create(global, output)?
    };
    let importer = Importer::new(builder, args.policy())?;
    let mut tally = StateCounts::default();
    let progress = Progress::of_rows(source.len() as u64 * 2, output);
    let mut good = Vec::new();
    for index in 0..source.len() {
        match read(&source, &serializer, index) {
            Ok(response) => good.push((response.created, index)),
            // One bad entry does not stop the migration.
            Err(refused) => tally.refused.push(refused),
        }
        progress.step();
    }
    // Sorted by age, so that the newest of several responses to a request stays. They are read
    // twice, since all at once may not fit into memory.
    good.sort_unstable();
    for (_, index) in good {
        match read(&source, &serializer, index) {
            Ok(response) => match lacre::wait(importer.import(&response, now())) {
                Ok(imported) => tally.count(imported, || source.read(index).key),
                Err(error) if error.kind() == ErrorKind::Broken => {
                    tally.refused.push((source.read(index).key, error));
                }
                Err(error) => return Err(error.into()),
            },
            Err(refused) => tally.refused.push(refused),
        }
        progress.step();
    }
    drop(progress);
    tally.report(args, output)
}

/// The response at `index`, or its key and the error.
fn read(source: &Source, serializer: &Serializer, index: usize) -> Result<Response, (String, Error)> {
    let Stored { key, value } = source.read(index);
    value.and_then(|value| serializer.decode(&value)).map_err(|error| (key, error))
}

impl Args {
    fn serializer(&self) -> Result<Serializer, Failure> {
        let serializer = match &self.itsdangerous_key {
            Some(reference) => Serializer::safe_pickle(secret(reference)?)?,
            None if self.trust_existing => Serializer::danger_unsigned(),
            None => {
                return Err(Failure::usage("the source is not authenticated")
                    .with_hint("pass --itsdangerous-key env:NAME to verify its signatures, or --trust-existing to import it unverified"));
            }
        };
        Ok(match self.serializer {
            Written::Auto => serializer,
            Written::Pickle => serializer.format(Format::Pickle),
            Written::Json => serializer.format(Format::Json),
            Written::Yaml => serializer.format(Format::Yaml),
        })
    }

    /// The policy of `lacre get` and the clients, so that they find the migrated responses.
    fn policy(&self) -> Policy {
        let policy = Policy::rfc9111();
        if self.danger_share_across_credentials { policy.danger_share_across_credentials() } else { policy }
    }
}

/// The secret that a reference names.
fn secret(reference: &str) -> Result<Vec<u8>, Failure> {
    let missing = |what: String| {
        Failure::new(Exit::KeyUnavailable, what).with_hint("store the secret of safe_pickle_serializer there")
    };
    match reference.split_once(':') {
        Some(("env", name)) => match std::env::var(name) {
            Ok(secret) if !secret.is_empty() => Ok(secret.into_bytes()),
            _ => Err(missing(format!("the environment variable {name} holds no secret"))),
        },
        Some(("file", path)) => match std::fs::read(path) {
            Ok(secret) => Ok(secret.strip_suffix(b"\n").unwrap_or(&secret).to_vec()),
            Err(error) => Err(missing(format!("cannot read the secret from {path}: {error}"))),
        },
        // The message does not repeat the text, which may be the secret.
        _ => Err(Failure::usage("--itsdangerous-key is not a reference to a secret")
            .with_hint("write env:NAME or file:PATH, never the secret itself")),
    }
}

/// The outcomes of a migration.
#[derive(Default)]
struct StateCounts {
    stored: usize,
    known: usize,
    /// The keys of entries that were not stored, because they are too stale or the caching rules
    /// forbid it, with the reason.
    left_out: Vec<(String, &'static str)>,
    refused: Vec<(String, Error)>,
}

/// The reason for entries that are too stale to be of use.
const STALE_TOO_LONG: &str = "stale-too-long";

impl StateCounts {
    fn count(&mut self, imported: Imported, key: impl FnOnce() -> String) {
        match imported {
            Imported::Stored => self.stored += 1,
            Imported::Known => self.known += 1,
            Imported::Ended => self.left_out.push((key(), STALE_TOO_LONG)),
            Imported::Declined(why) => self.left_out.push((key(), why.as_str())),
        }
    }

    fn all(&self) -> usize {
        self.stored + self.known + self.left_out.len() + self.refused.len()
    }

    /// The number of entries not stored for each reason.
    fn reasons(&self) -> BTreeMap<&'static str, usize> {
        let mut reasons = BTreeMap::new();
        for (_, why) in &self.left_out {
            *reasons.entry(*why).or_default() += 1;
        }
        reasons
    }

    fn report(&self, args: &Args, output: Output) -> Result<(), Failure> {
        if output.is_json() {
            let refused =
                self.refused.iter().map(|(key, error)| json!({ "key": key, "reason": error.to_string() }));
            output.print_objects("lacre/refused/v1", refused)?;
            let left_out = self.left_out.iter().map(|(key, why)| json!({ "key": key, "reason": why }));
            output.print_objects("lacre/not-stored/v1", left_out)?;
            output.print_objects("lacre/migrate/v1", [self.to_json(args)])?;
        } else {
            for (key, error) in &self.refused {
                output.print(format_args!("{}  {BAD}refused{BAD:#}  {error}", replace_controls(key)))?;
            }
            for (key, why) in &self.left_out {
                output.print(format_args!(
                    "{}  {WARNING}not stored{WARNING:#}  {why}",
                    replace_controls(key)
                ))?;
            }
            output.print(self.summary(args))?;
        }
        let Some((_, first)) = self.refused.first() else { return Ok(()) };
        let needs_secret = self.refused.iter().all(|(_, error)| error.kind() == ErrorKind::KeyUnavailable);
        let exit = if needs_secret { Exit::KeyUnavailable } else { Exit::Integrity };
        let failure =
            Failure::new(exit, format!("{} of {} refused", self.refused.len(), entries(self.all())));
        Err(match first.hint() {
            _ if needs_secret => {
                failure.with_hint("--itsdangerous-key env:NAME names the secret that signed them")
            }
            Some(hint) => failure.with_hint(hint.to_owned()),
            None => failure.with_hint("fetch those responses again"),
        })
    }

    fn to_json(&self, args: &Args) -> Value {
        json!({
            "entries": self.all(),
            "sealed": self.stored,
            "known": self.known,
            "not_stored": self.left_out.len(),
            "reasons": self.reasons(),
            "refused": self.refused.len(),
            "dry_run": args.dry_run,
        })
    }

    fn summary(&self, args: &Args) -> String {
        let sealed = if args.dry_run { "would be sealed" } else { "sealed" };
        let mut summary = format!("{GOOD}{}{GOOD:#} {sealed}", entries(self.stored));
        if self.known > 0 {
            summary = format!("{summary}; {} already stored, at least as new", self.known);
        }
        if !self.left_out.is_empty() {
            let reasons: Vec<_> =
                self.reasons().iter().map(|(why, count)| format!("{count} {why}")).collect();
            summary = format!("{summary}; {} not stored ({})", self.left_out.len(), reasons.join(", "));
        }
        summary
    }
}
