//! `lacre migrate`: what requests-cache stored, sealed. No pickle is ever run, and the source is never changed.

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
    /// The .sqlite file, the directory with the responses, or a dump of Redis in JSON
    #[arg(value_name = "SRC")]
    source: PathBuf,
    /// Where the secret of safe_pickle_serializer is: `env:NAME` or `file:PATH`. Whatever it did not sign is refused
    #[arg(long, value_name = "REFERENCE")]
    itsdangerous_key: Option<String>,
    /// How responses are written there
    #[arg(long, value_name = "FORMAT", default_value = "auto")]
    serializer: Written,
    /// Take responses without a signature for genuine: whoever could write there decides what is sealed
    #[arg(long, conflicts_with = "itsdangerous_key")]
    trust_existing: bool,
    /// Give answers to requests with credentials to everybody, as requests-cache does. Only clients that share them, too, look there
    #[arg(long)]
    danger_share_across_credentials: bool,
    /// Only read everything, and say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// How responses are written.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Written {
    /// As each looks like
    Auto,
    Pickle,
    Json,
    Yaml,
}

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let source = Source::open(&args.source)?;
    let serializer = args.serializer()?;
    // A dry run goes through the same rules, into memory.
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
            // What is wrong with one entry is no reason to stop.
            Err(refused) => tally.refused.push(refused),
        }
        progress.step();
    }
    // The newest of several answers to one request is to be the one that stays. All of them at once may not fit into memory.
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

/// The response at `index`; or its key, and why there is none.
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
                return Err(Failure::usage("nothing vouches for what is stored there")
                    .with_hint("--itsdangerous-key env:NAME verifies signatures; --trust-existing takes everything for genuine"));
            }
        };
        Ok(match self.serializer {
            Written::Auto => serializer,
            Written::Pickle => serializer.format(Format::Pickle),
            Written::Json => serializer.format(Format::Json),
            Written::Yaml => serializer.format(Format::Yaml),
        })
    }

    /// The one by which `lacre get` and the clients answer, so that they find what is migrated.
    fn policy(&self) -> Policy {
        let policy = Policy::rfc9111();
        if self.danger_share_across_credentials { policy.danger_share_across_credentials() } else { policy }
    }
}

/// The secret that a reference names.
fn secret(reference: &str) -> Result<Vec<u8>, Failure> {
    let missing = |what: String| {
        Failure::new(Exit::KeyUnavailable, what).with_hint("put the secret of safe_pickle_serializer there")
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
        // It is not repeated: it may be the secret itself.
        _ => Err(Failure::usage("--itsdangerous-key does not say where the secret is")
            .with_hint("write env:NAME or file:PATH, never the secret itself")),
    }
}

/// What became of the entries.
#[derive(Default)]
struct StateCounts {
    stored: usize,
    known: usize,
    /// Those that are of no more use, and those that the rules keep out: each with the reason.
    left_out: Vec<(String, &'static str)>,
    refused: Vec<(String, Error)>,
}

/// The reason of what is of no more use.
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

    /// How many were left out for each reason.
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
            summary = format!("{summary}; {} there already, as old or newer", self.known);
        }
        if !self.left_out.is_empty() {
            let reasons: Vec<_> =
                self.reasons().iter().map(|(why, count)| format!("{count} {why}")).collect();
            summary = format!("{summary}; {} not stored ({})", self.left_out.len(), reasons.join(", "));
        }
        summary
    }
}
