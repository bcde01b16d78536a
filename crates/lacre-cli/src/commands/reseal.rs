//! `lacre reseal`: everything under the key and suite in use, so that older ones can be given up.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open::{self, Missing};
use crate::output::{BAD, GOOD, Output};
use crate::pretty::entries;
use crate::progress::Progress;
use lacre::{Builder, Cache, Error, ErrorKind, Key, Pass, Resealed, Resealing, Suite};
use serde_json::json;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args, global: &Global, output: Output) -> Result<(), Failure> {
    let builder = open::cache(global, Missing::Fail, output)?;
    let cache = Suite::ALL.into_iter().fold(builder, Builder::also_accept).build()?;
    let pass = if args.dry_run { Pass::Dry } else { Pass::Real };
    let progress = Progress::through(lacre::wait(cache.usage())?.records, output);
    let (mut told, mut without_key) = (Ok(()), 0);
    let mut report = |key: &Key, outcome: &Resealing| {
        progress.step();
        if let Resealing::Refused(error) = outcome {
            without_key += u64::from(error.kind() == ErrorKind::KeyUnavailable);
            if told.is_ok() {
                told = progress.aside(|| tell(key, error, output));
            }
        }
    };
    let counts = lacre::wait(cache.reseal(pass, &mut report))?;
    drop(progress);
    told?;
    conclude(&cache, pass, counts, without_key, output)
}

fn tell(key: &Key, error: &Error, output: Output) -> Result<(), Failure> {
    if output.is_json() {
        let object = json!({ "key": key.to_string(), "trouble": error.to_string() });
        return output.objects("lacre/not-resealed/v1", [object]);
    }
    output.print(format_args!("{key:.8}  {BAD}not resealed{BAD:#}  {error}"))
}

fn conclude(
    cache: &Cache,
    pass: Pass,
    counts: Resealed,
    without_key: u64,
    output: Output,
) -> Result<(), Failure> {
    let Resealed { done, already, lapsed, overtaken, refused } = counts;
    let ring: Vec<String> = cache.key_ids().map(|id| id.to_string()).collect();
    if output.is_json() {
        let summary = json!({
            "dry_run": pass == Pass::Dry, "resealed": done, "already": already, "lapsed": lapsed,
            "overtaken": overtaken, "refused": refused, "no_key": without_key, "primary": ring.first(),
        });
        output.objects("lacre/reseal/v1", [summary])?;
    } else {
        let what = if pass == Pass::Dry { "to be sealed anew" } else { "sealed anew" };
        output.print(format_args!(
            "{GOOD}{what}{GOOD:#}: {done}, right already: {already}, past their time: {lapsed}"
        ))?;
        if pass == Pass::Real && refused == 0 && ring.len() > 1 {
            output.print(format_args!(
                "no other key is needed here: lacre key retire {}",
                ring[1..].join(" ")
            ))?;
        }
    }
    if refused == 0 {
        return Ok(());
    }
    let count = entries(usize::try_from(refused).unwrap_or(usize::MAX));
    let exit = if refused == without_key { Exit::KeyUnavailable } else { Exit::Integrity };
    Err(Failure::new(exit, format!("{count} could not be opened, and stayed as they were"))
        .with_hint("lacre verify --quarantine puts what is bad away; keep the keys of the rest"))
}
