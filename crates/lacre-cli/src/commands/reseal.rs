//! `lacre reseal`: reseals every entry with the current key, so that older keys can be retired.
//! Each entry keeps its suite unless `--suite` names another.

use crate::exit::{Exit, Failure};
use crate::format::{entries, records};
use crate::global_options::GlobalOptions;
use crate::output::{BAD, GOOD, Output, WARNING};
use crate::progress::Progress;
use crate::record_state;
use crate::store_options;
use crate::suite_option::SuiteOption;
use crate::table;
use lacre::{
    Builder, Cache, Error, Key, Pass, RecordKind, RecordState, ResealedRow, Resealing, StateCounts, Suite,
};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only show what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let pass = if args.dry_run { Pass::Dry } else { Pass::Real };
    let opened = if args.dry_run {
        store_options::open_to_read(global, output)?
    } else {
        store_options::open_to_change(global, output)?
    };
    let Some(builder) = opened else { return Counts::default().finish(None, pass, global, output) };
    let cache = Suite::ALL.into_iter().fold(builder, Builder::also_accept).build()?;
    let progress = Progress::of_rows(lacre::wait(cache.usage())?.records, output);
    let (mut printed, mut counts) = (Ok(()), Counts::default());
    let mut report = |row: ResealedRow<'_>| {
        progress.step();
        counts.count(&row);
        if let Resealing::Refused(error) = row.outcome
            && printed.is_ok()
        {
            printed = progress.suspend(|| print_unopened(row.key, error, output));
        }
    };
    // Only an explicit --suite may make readable entries encrypted, or encrypted ones readable.
    lacre::wait(async {
        match global.named_suite() {
            Some(_) => cache.reseal(pass, &mut report).await,
            None => cache.rekey(pass, &mut report).await,
        }
    })?;
    drop(progress);
    printed?;
    counts.finish(Some(&cache), pass, global, output)
}

fn print_unopened(key: &Key, error: &Error, output: Output) -> Result<(), Failure> {
    let state = RecordState::of(error);
    if output.is_json() {
        let object = json!({ "key": key.to_string(), "state": record_state::name(state), "trouble": error.to_string() });
        return output.print_objects("lacre/not-resealed/v1", [object]);
    }
    let style = if state == RecordState::Bad { BAD } else { WARNING };
    let room = output.width().map(|width| width.saturating_sub(24));
    output.print(format_args!(
        "{key:.8}  {style}not resealed{style:#}  {}",
        table::truncate(&error.to_string(), room)
    ))
}

/// The outcomes for entries and other records.
#[derive(Default)]
struct Counts {
    resealed: usize,
    already: usize,
    overtaken: usize,
    /// Records that do not open and so were not resealed, by state.
    unopened: StateCounts,
    expired_or_revoked: usize,
    /// Index records and quarantined records.
    others: usize,
}

impl Counts {
    fn count(&mut self, row: &ResealedRow<'_>) {
        if let Resealing::Refused(error) = row.outcome {
            return self.unopened.count(row.kind, RecordState::of(error));
        }
        if row.kind == RecordKind::Index {
            self.others += 1;
            return;
        }
        match row.outcome {
            Resealing::Done => self.resealed += 1,
            Resealing::Already => self.already += 1,
            Resealing::Lapsed => self.expired_or_revoked += 1,
            Resealing::Overtaken => self.overtaken += 1,
            // Refused, which was counted above.
            _ => {}
        }
    }

    fn entries(&self) -> usize {
        self.resealed + self.already + self.expired_or_revoked + self.overtaken + self.unopened.entries()
    }

    fn finish(
        self,
        cache: Option<&Cache>,
        pass: Pass,
        global: &GlobalOptions,
        output: Output,
    ) -> Result<(), Failure> {
        let ring: Vec<String> =
            cache.map(|cache| cache.key_ids().map(|id| id.to_string()).collect()).unwrap_or_default();
        let not_resealed = self.unopened.entries() + self.unopened.index_records();
        let suite = global.named_suite().map_or("kept", |suite| SuiteOption::of(suite).name());
        if output.is_json() {
            let summary = json!({
                "dry_run": pass == Pass::Dry, "suite": suite, "entries": self.entries(), "resealed": self.resealed,
                "already": self.already, "expired_or_revoked": self.expired_or_revoked, "overtaken": self.overtaken,
                "not_resealed": record_state::to_json(&self.unopened), "other_records": self.others, "primary": ring.first(),
            });
            output.print_objects("lacre/reseal/v1", [summary])?;
        } else {
            let what = if pass == Pass::Dry { "to reseal" } else { "resealed" };
            let beside = match self.others {
                0 => String::new(),
                some => format!(", plus {} that index variants or are quarantined", records(some)),
            };
            output.print(format_args!(
                "{GOOD}{what}{GOOD:#}: {} of {} (suite: {suite}), already current: {}, expired or revoked: {}{beside}",
                self.resealed,
                entries(self.entries()),
                self.already,
                self.expired_or_revoked
            ))?;
            if self.overtaken > 0 {
                output
                    .print(format_args!("{} replaced or removed during the run", entries(self.overtaken)))?;
            }
            if pass == Pass::Real && not_resealed == 0 && ring.len() > 1 {
                output.print(format_args!(
                    "no entry needs an older key: lacre key retire {}",
                    ring[1..].join(" ")
                ))?;
            }
        }
        if not_resealed == 0 {
            return Ok(());
        }
        if self.unopened.of(RecordState::Bad) == 0
            && let Some((exit, message, hint)) = record_state::unopened(&self.unopened)
        {
            return Err(Failure::new(exit, format!("not resealed: {message}"))
                .with_hint(format!("{hint}; keep the old keys until then")));
        }
        let exceptions = record_state::exceptions(&self.unopened);
        Err(Failure::new(
            Exit::Integrity,
            format!("{} not resealed and left unchanged: {exceptions}", records(not_resealed)),
        )
        .with_hint("`lacre verify --quarantine` moves bad records to quarantine; keep the keys of the rest"))
    }
}
