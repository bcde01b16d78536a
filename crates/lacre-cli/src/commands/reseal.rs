//! `lacre reseal`: everything under the key in use, so that older ones can be given up. Each entry keeps its suite, unless `--suite` says
//! which one it is to have.

use crate::args::{Global, Sealing};
use crate::exit::{Exit, Failure};
use crate::open;
use crate::output::{BAD, GOOD, Output, WARNING};
use crate::pretty::{entries, records};
use crate::progress::Progress;
use crate::table;
use crate::tally::{State, Tally};
use lacre::{Builder, Cache, Error, Key, Pass, RecordKind, ResealedRow, Resealing, Suite};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, global: &Global, output: Output) -> Result<(), Failure> {
    let pass = if args.dry_run { Pass::Dry } else { Pass::Real };
    let opened = if args.dry_run { open::reading(global, output)? } else { open::changing(global, output)? };
    let Some(builder) = opened else { return Counts::default().conclude(None, pass, global, output) };
    let cache = Suite::ALL.into_iter().fold(builder, Builder::also_accept).build()?;
    let progress = Progress::through(lacre::wait(cache.usage())?.records, output);
    let (mut told, mut counts) = (Ok(()), Counts::default());
    let mut report = |row: ResealedRow<'_>| {
        progress.step();
        counts.count(&row);
        if let Resealing::Refused(error) = row.outcome
            && told.is_ok()
        {
            told = progress.aside(|| tell(row.key, error, output));
        }
    };
    // A suite that nobody named is no reason to change what is readable into what is not, or the other way round.
    lacre::wait(async {
        match global.suite_said() {
            Some(_) => cache.reseal(pass, &mut report).await,
            None => cache.rekey(pass, &mut report).await,
        }
    })?;
    drop(progress);
    told?;
    counts.conclude(Some(&cache), pass, global, output)
}

fn tell(key: &Key, error: &Error, output: Output) -> Result<(), Failure> {
    let state = State::of(error);
    if output.is_json() {
        let object = json!({ "key": key.to_string(), "state": state.name(), "trouble": error.to_string() });
        return output.objects("lacre/not-resealed/v1", [object]);
    }
    let style = if state == State::Bad { BAD } else { WARNING };
    let room = output.width().map(|width| width.saturating_sub(24));
    output.print(format_args!(
        "{key:.8}  {style}not resealed{style:#}  {}",
        table::fit(&error.to_string(), room)
    ))
}

/// What became of the entries, and of the records that lead to them.
#[derive(Default)]
struct Counts {
    resealed: usize,
    already: usize,
    overtaken: usize,
    /// Those that were not resealed because they do not open, by the reason.
    left: Tally,
    expired_or_revoked: usize,
    /// Index records, evidence and the like.
    others: usize,
}

impl Counts {
    fn count(&mut self, row: &ResealedRow<'_>) {
        if let Resealing::Refused(error) = row.outcome {
            return self.left.count(row.kind, State::of(error));
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
        self.resealed + self.already + self.expired_or_revoked + self.overtaken + self.left.entries()
    }

    fn conclude(
        self,
        cache: Option<&Cache>,
        pass: Pass,
        global: &Global,
        output: Output,
    ) -> Result<(), Failure> {
        let ring: Vec<String> =
            cache.map(|cache| cache.key_ids().map(|id| id.to_string()).collect()).unwrap_or_default();
        let not_resealed = self.left.entries() + self.left.index_records();
        let suite = global.suite_said().map_or("kept", |suite| Sealing::of(suite).name());
        if output.is_json() {
            let summary = json!({
                "dry_run": pass == Pass::Dry, "suite": suite, "entries": self.entries(), "resealed": self.resealed,
                "already": self.already, "expired_or_revoked": self.expired_or_revoked, "overtaken": self.overtaken,
                "not_resealed": self.left.to_json(), "other_records": self.others, "primary": ring.first(),
            });
            output.objects("lacre/reseal/v1", [summary])?;
        } else {
            let what = if pass == Pass::Dry { "to be sealed anew" } else { "sealed anew" };
            let beside = match self.others {
                0 => String::new(),
                some => format!(", beside {} that lead to variants or are evidence", records(some)),
            };
            output.print(format_args!(
                "{GOOD}{what}{GOOD:#}: {} of {} (suite: {suite}), right already: {}, expired or revoked: {}{beside}",
                self.resealed,
                entries(self.entries()),
                self.already,
                self.expired_or_revoked
            ))?;
            if self.overtaken > 0 {
                output.print(format_args!("{} replaced or removed meanwhile", entries(self.overtaken)))?;
            }
            if pass == Pass::Real && not_resealed == 0 && ring.len() > 1 {
                output.print(format_args!(
                    "no other key is needed here: lacre key retire {}",
                    ring[1..].join(" ")
                ))?;
            }
        }
        if not_resealed == 0 {
            return Ok(());
        }
        if self.left.of(State::Bad) == 0
            && let Some((exit, message, hint)) = self.left.unopened()
        {
            return Err(Failure::new(exit, format!("not resealed: {message}"))
                .with_hint(format!("{hint}; keep the keys until then")));
        }
        let exceptions = self.left.exceptions();
        Err(Failure::new(
            Exit::Integrity,
            format!("{} not resealed, and left as they were: {exceptions}", records(not_resealed)),
        )
        .with_hint("lacre verify --quarantine puts what is bad away; keep the keys of the rest"))
    }
}
