//! `lacre migrate`: imports a cache of requests-cache into the sealed store. It never runs a pickle
//! and never changes the source.

use crate::exit::{Exit, Failure};
use crate::format::entries;
use crate::global_options::GlobalOptions;
use crate::output::{BAD, GOOD, Output, WARNING};
use crate::progress::Progress;
use crate::sanitize::replace_controls;
use crate::store_options;
use clap::ValueEnum;
use lacre::interchange::requests_cache::{Format, Importer, Migration, Serializer, Source};
use lacre::{ErrorKind, Policy, SystemClock};
use serde_json::{Value, json};
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
    let progress = Progress::of_rows(source.len() as u64 * 2, output);
    let migration =
        lacre::wait(importer.import_all(&source, &serializer, &SystemClock, &mut || progress.step()))?;
    drop(progress);
    report(&migration, args, output)
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

/// Prints the outcomes of a migration; refused entries are an error.
fn report(migration: &Migration, args: &Args, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        let refused =
            migration.refused.iter().map(|(key, error)| json!({ "key": key, "reason": error.to_string() }));
        output.print_objects("lacre/refused/v1", refused)?;
        let not_stored = migration.not_stored.iter().map(|(key, why)| json!({ "key": key, "reason": why }));
        output.print_objects("lacre/not-stored/v1", not_stored)?;
        output.print_objects("lacre/migrate/v1", [to_json(migration, args)])?;
    } else {
        for (key, error) in &migration.refused {
            output.print(format_args!("{}  {BAD}refused{BAD:#}  {error}", replace_controls(key)))?;
        }
        for (key, why) in &migration.not_stored {
            output.print(format_args!("{}  {WARNING}not stored{WARNING:#}  {why}", replace_controls(key)))?;
        }
        output.print(summary(migration, args))?;
    }
    let Some((_, first)) = migration.refused.first() else { return Ok(()) };
    let needs_secret = migration.refused.iter().all(|(_, error)| error.kind() == ErrorKind::KeyUnavailable);
    let exit = if needs_secret { Exit::KeyUnavailable } else { Exit::Integrity };
    let failure = Failure::new(
        exit,
        format!("{} of {} refused", migration.refused.len(), entries(migration.entries())),
    );
    Err(match first.hint() {
        _ if needs_secret => {
            failure.with_hint("--itsdangerous-key env:NAME names the secret that signed them")
        }
        Some(hint) => failure.with_hint(hint.to_owned()),
        None => failure.with_hint("fetch those responses again"),
    })
}

fn to_json(migration: &Migration, args: &Args) -> Value {
    json!({
        "entries": migration.entries(),
        "sealed": migration.stored,
        "known": migration.known,
        "not_stored": migration.not_stored.len(),
        "reasons": migration.reasons(),
        "refused": migration.refused.len(),
        "dry_run": args.dry_run,
    })
}

fn summary(migration: &Migration, args: &Args) -> String {
    let sealed = if args.dry_run { "would be sealed" } else { "sealed" };
    let mut summary = format!("{GOOD}{}{GOOD:#} {sealed}", entries(migration.stored));
    if migration.known > 0 {
        summary = format!("{summary}; {} already stored, at least as new", migration.known);
    }
    if !migration.not_stored.is_empty() {
        let reasons: Vec<_> =
            migration.reasons().iter().map(|(why, count)| format!("{count} {why}")).collect();
        summary = format!("{summary}; {} not stored ({})", migration.not_stored.len(), reasons.join(", "));
    }
    summary
}
