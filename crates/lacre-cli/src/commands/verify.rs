//! `lacre verify`: every seal, bodies included.

use super::now;
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open::{self, Missing};
use crate::output::{BAD, GOOD, Output, WARNING};
use crate::pretty::entries;
use crate::rows::{self, Depth, Row, Seal};
use serde_json::json;

pub(crate) fn run(global: &Global, output: Output) -> Result<(), Failure> {
    let cache = open::cache(global, Missing::Fail, output)?.build()?;
    let rows = rows::all(&cache, Depth::Bodies, now())?;
    let count = |seal: Seal| rows.iter().filter(|row| row.seal() == seal).count();
    let (all, bad, no_key, ended) = (rows.len(), count(Seal::Bad), count(Seal::NoKey), count(Seal::Ended));
    if output.is_json() {
        output.objects(
            "lacre/entry/v1",
            rows.iter().filter(|row| row.seal() != Seal::Good).map(Row::to_json),
        )?;
        let summary = json!({ "entries": all, "good": all - bad - no_key - ended, "bad": bad, "no_key": no_key, "ended": ended });
        output.objects("lacre/verify/v1", [summary])?;
    } else {
        for row in &rows {
            let (style, what) = match row.seal() {
                Seal::Bad => (BAD, "bad seal"),
                Seal::NoKey => (WARNING, "no key"),
                Seal::Good | Seal::Ended => continue,
            };
            let trouble = row.trouble().unwrap_or_default();
            output.print(format_args!("{:.8}  {style}{what}{style:#}  {trouble}", row.key()))?;
        }
    }
    if bad > 0 {
        return Err(Failure::new(
            Exit::Integrity,
            format!("{bad} of {} failed verification; none of these will be served", entries(all)),
        )
        .with_hint("lacre rm --bad"));
    }
    if no_key > 0 {
        return Err(Failure::new(
            Exit::KeyUnavailable,
            format!("{no_key} of {} sealed with keys that are not in the keyring", entries(all)),
        )
        .with_hint(
            "name the keyring that has them with --key, or remove them by their own keys with lacre rm",
        ));
    }
    if !output.is_json() {
        let ended = if ended == 0 { String::new() } else { format!(", {ended} of them past their time") };
        output.print(format_args!("{GOOD}every seal holds{GOOD:#}: {}{ended}", entries(all)))?;
    }
    Ok(())
}
