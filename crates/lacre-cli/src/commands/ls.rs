//! `lacre ls`: lists stored responses. It marks a record that does not open, and continues.

use crate::exit::Failure;
use crate::global_options::GlobalOptions;
use crate::listing;
use crate::output::Output;
use crate::quarantine;
use crate::store_options;
use clap::ValueEnum;
use lacre::{ListedRow, ListingDepth, RecordState, Selector};
use std::cmp::Reverse;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these entries: a host, a URL, a glob such as `example.com/api/*`, or the first digits
    /// of a key
    #[arg(value_name = "HOST|URL|GLOB|KEY")]
    selector: Option<String>,
    /// Only entries of this host, and of this port if given
    #[arg(long, value_name = "HOST[:PORT]")]
    host: Option<String>,
    /// Only entries that are no longer fresh
    #[arg(long)]
    stale: bool,
    /// Only entries that were tampered with or damaged; checks bodies, too
    #[arg(long)]
    bad: bool,
    /// List quarantined records instead
    #[arg(long, conflicts_with_all = ["selector", "host", "stale", "bad", "sort"])]
    quarantined: bool,
    /// Sort order
    #[arg(long, default_value = "age")]
    sort: Order,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Order {
    /// By key
    Key,
    /// Largest first
    Size,
    /// Newest first
    Age,
    /// By URL
    Url,
}

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let selector = args.selector.as_deref().map(Selector::parse).transpose()?;
    let host = args.host.as_deref().map(host_selector).transpose()?;
    let Some(builder) = store_options::open_to_read(global, output)? else { return Ok(()) };
    let cache = builder.build()?;
    if args.quarantined {
        return quarantine::print(&quarantine::list(&cache)?, output);
    }
    let depth = if args.bad { ListingDepth::Bodies } else { ListingDepth::Heads };
    let mut rows = lacre::wait(cache.entries(depth))?;
    rows.retain(|row| {
        selector.as_ref().is_none_or(|selector| selector.matches(row))
            && host.as_ref().is_none_or(|host| host.matches(row))
            && (!args.stale || row.is_stale())
            && (!args.bad || row.state() == RecordState::Bad)
    });
    args.sort.sort(&mut rows);
    if output.is_json() {
        return output.print_objects("lacre/entry/v1", rows.iter().map(listing::to_json));
    }
    if rows.is_empty() {
        return Ok(());
    }
    output.print(listing::table(&rows, output.width()))
}

fn host_selector(host: &str) -> Result<Selector, lacre::Error> {
    Selector::host(host).map_err(|error| error.with_context("--host"))
}

impl Order {
    /// Sorts the rows. Those that do not open come last.
    fn sort(self, rows: &mut [ListedRow]) {
        rows.sort_by_key(|row| *row.key());
        match self {
            Self::Key => {}
            Self::Size => rows.sort_by_key(|row| Reverse(row.entry().map(|entry| entry.body.length))),
            Self::Age => rows.sort_by_key(|row| Reverse(row.entry().map(|entry| entry.received))),
            Self::Url => rows.sort_by_cached_key(|row| match row.entry() {
                Some(entry) => (false, entry.url.clone()),
                None => (true, String::new()),
            }),
        }
    }
}
