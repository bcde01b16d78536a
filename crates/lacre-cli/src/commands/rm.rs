//! `lacre rm`: takes entries away, so that they cannot be recovered. It shows which, and asks.

use super::now;
use crate::args::Global;
use crate::evidence;
use crate::exit::{Exit, Failure};
use crate::open::{self, Missing};
use crate::output::Output;
use crate::pretty::entries;
use crate::prompt::Consent;
use crate::rows::{self, Belonging, Depth, Row, Seal, Target};
use clap::ArgGroup;
use lacre::{Cache, ErrorKind, Trouble};
use serde_json::json;

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["targets", "expired", "bad", "quarantined", "all"]))]
pub(crate) struct Args {
    /// Which: the first digits of a key (four or more), a URL, or a glob such as `example.com/api/*`
    #[arg(value_name = "KEY|URL|GLOB")]
    targets: Vec<String>,
    /// Those that are no longer fresh
    #[arg(long)]
    expired: bool,
    /// Those whose seal does not hold; not those that only lack their key, which may be elsewhere
    #[arg(long)]
    bad: bool,
    /// What is in quarantine
    #[arg(long, conflicts_with_all = ["targets", "expired", "bad"])]
    quarantined: bool,
    /// Everything, whatever it is
    #[arg(long, conflicts_with_all = ["targets", "expired", "bad", "quarantined"])]
    all: bool,
    #[command(flatten)]
    consent: Consent,
}

pub(crate) fn run(args: &Args, global: &Global, output: Output) -> Result<(), Failure> {
    let cache = open::cache(global, Missing::Fail, output)?.build()?;
    if args.quarantined {
        return remove_evidence(args, &cache, output);
    }
    let targets = args.targets.iter().map(|text| Target::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = rows::all(&cache, if args.bad { Depth::Bodies } else { Depth::Heads }, now())?;
    if let Some(lost) = targets.iter().position(|target| !rows.iter().any(|row| target.means(row))) {
        let mut failure = rows::nothing_fits();
        failure.message =
            Some(format!("nothing that is stored fits `{}`; nothing was removed", args.targets[lost]).into());
        return Err(failure);
    }
    if args.bad && Belonging::of(&rows).is_elsewhere() {
        return Err(Failure::new(
            Exit::Integrity,
            "not one entry belongs to this namespace; nothing was removed",
        )
        .with_hint("name the right one with --namespace; --all removes everything, whosever it is"));
    }
    rows.retain(|row| args.all || args.means(row) || targets.iter().any(|target| target.means(row)));
    if output.is_json() {
        output.objects("lacre/entry/v1", rows.iter().map(Row::to_json))?;
    } else if !rows.is_empty() {
        output.print(rows::table(&rows))?;
    }
    args.finish(&cache, rows.len(), remove(&cache, args, &rows), output)
}

fn remove_evidence(args: &Args, cache: &Cache, output: Output) -> Result<(), Failure> {
    let evidence = evidence::all(cache)?;
    evidence::show(&evidence, output)?;
    let removal = async {
        for piece in &evidence {
            cache.remove(&piece.key).await?;
        }
        Ok(())
    };
    args.finish(cache, evidence.len(), removal, output)
}

async fn remove(cache: &Cache, args: &Args, rows: &[Row]) -> Result<(), lacre::Error> {
    if args.all {
        return match cache.clear().await {
            // All is gone but for the log, and that is for `leave_no_trace` to say.
            Err(error) if is_locked(&error) && cache.usage().await?.records == 0 => Ok(()),
            cleared => cleared,
        };
    }
    for row in rows {
        cache.remove(row.key()).await?;
    }
    if args.expired {
        // What leads to entries, and chunks that belong to none: neither is listed.
        cache.sweep().await?;
    }
    Ok(())
}

fn leave_no_trace(cache: &Cache) -> Result<(), Failure> {
    match lacre::wait(cache.close()) {
        Err(error) if is_locked(&error) => Err(Failure::new(
            Exit::Store,
            "what was removed may still be in the store's log, which another process is using",
        )
        .with_hint("end that process: whoever closes the store last empties the log")),
        closed => Ok(closed?),
    }
}

fn is_locked(error: &lacre::Error) -> bool {
    error.kind() == ErrorKind::Store(Trouble::Locked)
}

impl Args {
    fn means(&self, row: &Row) -> bool {
        (self.expired && (row.is_stale() || row.seal() == Seal::Ended))
            || (self.bad && row.seal() == Seal::Bad)
    }

    /// Removes what was shown, unless it was only to be shown.
    fn finish(
        &self,
        cache: &Cache,
        count: usize,
        removal: impl Future<Output = Result<(), lacre::Error>>,
        output: Output,
    ) -> Result<(), Failure> {
        let removes = !self.consent.dry_run && (count > 0 || self.all);
        if removes {
            self.consent.obtain(&format!("remove {}", entries(count)))?;
            lacre::wait(removal)?;
        }
        let done = if self.consent.dry_run { "would be removed" } else { "removed" };
        let removed = if self.consent.dry_run { 0 } else { count };
        output.remark(
            "lacre/removed/v1",
            format_args!("{} {done}", entries(count)),
            json!({ "removed": removed }),
        )?;
        if removes { leave_no_trace(cache) } else { Ok(()) }
    }
}
