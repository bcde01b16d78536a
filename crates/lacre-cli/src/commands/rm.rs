//! `lacre rm`: removes entries beyond recovery. It lists them first and asks for confirmation.

use crate::exit::{Exit, Failure};
use crate::format::entries;
use crate::global_options::GlobalOptions;
use crate::listing;
use crate::output::Output;
use crate::quarantine;
use crate::selector;
use crate::store_options;
use crate::terminal::Confirmation;
use clap::ArgGroup;
use lacre::{
    Builder, Cache, ErrorKind, ListedRow, ListingDepth, OwnershipCheck, RecordState, Selector, StoreErrorKind,
};
use serde_json::json;

#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["selectors", "expired", "bad", "quarantined", "all"]))]
pub(crate) struct Args {
    /// The entries to remove: the first digits of a key (four or more), a URL, a host, or a glob
    /// such as `example.com/api/*`
    #[arg(value_name = "KEY|URL|HOST|GLOB")]
    selectors: Vec<String>,
    /// Remove entries that are no longer fresh, or whose seal has expired or was revoked
    #[arg(long)]
    expired: bool,
    /// Remove entries that were tampered with or damaged, but none that only needs another key,
    /// suite, namespace or program
    #[arg(long)]
    bad: bool,
    /// Remove quarantined records
    #[arg(long, conflicts_with_all = ["selectors", "expired", "bad"])]
    quarantined: bool,
    /// Remove everything
    #[arg(long, conflicts_with_all = ["selectors", "expired", "bad", "quarantined"])]
    all: bool,
    #[command(flatten)]
    confirmation: Confirmation,
}

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let selectors = args.selectors.iter().map(|text| Selector::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let Some(cache) = args.open(global, output)? else {
        return match args.selectors.first() {
            Some(text) => Err(no_match_error(text)),
            None => args.print_count(0, output),
        };
    };
    if args.quarantined {
        return remove_quarantined(args, &cache, output);
    }
    let mut rows =
        lacre::wait(cache.entries(if args.bad { ListingDepth::Bodies } else { ListingDepth::Heads }))?;
    if let Some(unmatched) =
        selectors.iter().position(|selector| !rows.iter().any(|row| selector.matches(row)))
    {
        return Err(no_match_error(&args.selectors[unmatched]));
    }
    if args.bad && OwnershipCheck::of(&rows).is_foreign() {
        return Err(Failure::new(
            Exit::Integrity,
            "no entry belongs to this namespace and this store; nothing was removed",
        )
        .with_hint(
            "name the right namespace with --namespace; --all removes everything, whatever its namespace",
        ));
    }
    rows.retain(|row| {
        args.all || args.selects(row) || selectors.iter().any(|selector| selector.matches(row))
    });
    show(&rows, output)?;
    args.finish(&cache, rows.len(), remove(&cache, args, &rows), output)
}

fn show(rows: &[ListedRow], output: Output) -> Result<(), Failure> {
    if output.is_json() {
        return output.print_objects("lacre/entry/v1", rows.iter().map(listing::to_json));
    }
    if rows.is_empty() { Ok(()) } else { output.print(listing::table(rows, output.width())) }
}

fn no_match_error(text: &str) -> Failure {
    let mut failure = selector::no_match(text);
    failure.message = failure.message.map(|message| format!("{message}; nothing was removed").into());
    failure
}

fn remove_quarantined(args: &Args, cache: &Cache, output: Output) -> Result<(), Failure> {
    let records = quarantine::list(cache)?;
    quarantine::print(&records, output)?;
    let removal = async {
        for record in &records {
            cache.remove(&record.key).await?;
        }
        Ok(())
    };
    args.finish(cache, records.len(), removal, output)
}

async fn remove(cache: &Cache, args: &Args, rows: &[ListedRow]) -> Result<(), lacre::Error> {
    if args.all {
        return match cache.clear().await {
            // The records are gone, but not from the log; `close` reports that.
            Err(error) if is_locked(&error) && cache.usage().await?.records == 0 => Ok(()),
            cleared => cleared,
        };
    }
    for row in rows {
        cache.remove(row.key()).await?;
    }
    if args.expired {
        // Index records and orphaned chunks are not listed.
        cache.sweep().await?;
    }
    Ok(())
}

fn close(cache: &Cache) -> Result<(), Failure> {
    match lacre::wait(cache.close()) {
        Err(error) if is_locked(&error) => Err(Failure::new(
            Exit::Store,
            "removed data may remain in the store's log, because another process has the store open",
        )
        .with_hint("end that process: the last process to close the store empties the log")),
        closed => Ok(closed?),
    }
}

fn is_locked(error: &lacre::Error) -> bool {
    error.kind() == ErrorKind::Store(StoreErrorKind::Locked)
}

impl Args {
    fn selects(&self, row: &ListedRow) -> bool {
        let is_over = row.is_stale() || matches!(row.state(), RecordState::Expired | RecordState::Revoked);
        (self.expired && is_over) || (self.bad && row.state() == RecordState::Bad)
    }

    /// Opens the cache. `--all` needs no key, so that a store whose key is lost can be emptied.
    fn open(&self, global: &GlobalOptions, output: Output) -> Result<Option<Cache>, Failure> {
        let build = |builder: Builder| Ok::<_, Failure>(builder.build()?);
        let opened =
            store_options::open_to_change(global, output).and_then(|builder| builder.map(build).transpose());
        match opened {
            Err(failure) if self.all && failure.exit == Exit::KeyUnavailable => {
                store_options::open_to_clear(global, output)?.map(build).transpose()
            }
            opened => opened,
        }
    }

    /// Asks for confirmation and removes what was listed, unless this is a dry run.
    fn finish(
        &self,
        cache: &Cache,
        count: usize,
        removal: impl Future<Output = Result<(), lacre::Error>>,
        output: Output,
    ) -> Result<(), Failure> {
        let removes = !self.confirmation.dry_run && (count > 0 || self.all);
        if removes {
            self.confirmation.ask(&format!("remove {}", entries(count)))?;
            lacre::wait(removal)?;
        }
        self.print_count(count, output)?;
        if removes { close(cache) } else { Ok(()) }
    }

    fn print_count(&self, count: usize, output: Output) -> Result<(), Failure> {
        let dry = self.confirmation.dry_run;
        let done = if dry { "would be removed" } else { "removed" };
        output.print_count(
            "lacre/removed/v1",
            format_args!("{} {done}", entries(count)),
            json!({ "entries": count, "removed": if dry { 0 } else { count }, "dry_run": dry }),
        )
    }
}
