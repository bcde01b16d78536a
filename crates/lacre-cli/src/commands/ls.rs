//! `lacre ls`: what is stored. A row that does not open is shown as such, and stops nothing.

use super::now;
use crate::args::Global;
use crate::evidence;
use crate::exit::Failure;
use crate::open;
use crate::output::Output;
use crate::rows::{self, Depth, Row};
use crate::tally::State;
use crate::target::Target;
use clap::ValueEnum;
use std::cmp::Reverse;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these: a host, a URL, a glob such as `example.com/api/*`, or the first digits of a key
    #[arg(value_name = "HOST|URL|GLOB|KEY")]
    target: Option<String>,
    /// Only those of this host, and of its port where one is named
    #[arg(long, value_name = "HOST[:PORT]")]
    host: Option<String>,
    /// Only those that are no longer fresh
    #[arg(long)]
    stale: bool,
    /// Only those that were tampered with or are damaged; looks at bodies, too
    #[arg(long)]
    bad: bool,
    /// What was put into quarantine, instead
    #[arg(long, conflicts_with_all = ["target", "host", "stale", "bad", "sort"])]
    quarantined: bool,
    /// In which order
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

pub(crate) fn run(args: &Args, global: &Global, output: Output) -> Result<(), Failure> {
    let target = args.target.as_deref().map(Target::parse).transpose()?;
    let host = args.host.as_deref().map(Target::host).transpose()?;
    let Some(builder) = open::reading(global, output)? else { return Ok(()) };
    let cache = builder.build()?;
    if args.quarantined {
        return evidence::show(&evidence::all(&cache)?, output);
    }
    let depth = if args.bad { Depth::Bodies } else { Depth::Heads };
    let mut rows = rows::all(&cache, depth, now())?;
    rows.retain(|row| {
        target.as_ref().is_none_or(|target| target.means(row))
            && host.as_ref().is_none_or(|host| host.means(row))
            && (!args.stale || row.is_stale())
            && (!args.bad || row.state() == State::Bad)
    });
    args.sort.sort(&mut rows);
    if output.is_json() {
        return output.objects("lacre/entry/v1", rows.iter().map(Row::to_json));
    }
    if rows.is_empty() {
        return Ok(());
    }
    output.print(rows::table(&rows, output.width()))
}

impl Order {
    /// Rows that do not open go last.
    fn sort(self, rows: &mut [Row]) {
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
