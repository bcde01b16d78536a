//! `lacre key list` and `lacre key show`.

use super::keyring;
use crate::exit::{Failure, chain};
use crate::global_options::GlobalOptions;
use crate::output::{BAD, FAINT, Output};
use crate::store_options;
use crate::table::{self, Column, Line};
use anstyle::Style;
use lacre::keys::{self, Access, KeySource};
use serde_json::json;

/// Prints the keyring in use, then every form of reference.
pub(super) fn list(global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let source = store_options::key_source(global)?;
    let (described, loaded) = (source.describe(), source.load());
    let forms = keys::forms();
    if output.is_json() {
        let in_use = json!({
            "in_use": true,
            "reference": described,
            "access": access(if source.writable().is_some() { Access::Write } else { Access::Read }),
            "usable": loaded.is_ok(),
            "why": loaded.as_ref().err().map(|error| chain(error)),
        });
        let forms = forms.iter().map(|form| {
            json!({
                "in_use": false,
                "reference": form.reference,
                "meaning": form.meaning,
                "access": access(form.access),
                "usable": form.usable.is_ok(),
                "why": form.usable.as_ref().err().map(|error| chain(error)),
            })
        });
        return output.print_objects("lacre/key-source/v1", std::iter::once(in_use).chain(forms));
    }
    match loaded {
        Ok(ring) => {
            let more = ring.key_ids().count() - 1;
            output
                .print(format_args!("in use  {described}: primary key {}, {more} older", ring.primary()))?;
        }
        Err(error) => output.print(format_args!("in use  {described}: {BAD}{}{BAD:#}", chain(&error)))?,
    }
    let line = |form: keys::Form| {
        let (style, here) = if form.usable.is_ok() { (Style::new(), "yes") } else { (FAINT, "no") };
        let why = form.usable.err().map(|error| format!(" ({})", chain(&error))).unwrap_or_default();
        let meaning = format!("{}{why}", form.meaning);
        let cells = vec![form.reference.to_owned(), access(form.access).to_owned(), here.to_owned(), meaning];
        Line { style, cells }
    };
    let lines: Vec<Line> = forms.into_iter().map(line).collect();
    output.print(format_args!("\n{}", table::render(&COLUMNS, &lines, output.width())))
}

const COLUMNS: [Column; 4] = [
    Column { title: "REFERENCE", drop_order: 0 },
    Column { title: "ACCESS", drop_order: 1 },
    Column { title: "USABLE", drop_order: 2 },
    Column { title: "MEANING", drop_order: 0 },
];

fn access(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "read-write",
    }
}

/// Prints the keyring's source, key ids and epoch.
pub(super) fn show(source: &dyn KeySource, output: Output) -> Result<(), Failure> {
    let ring = source.load()?;
    let verify: String = ring.key_ids().skip(1).map(|id| format!("verify   {id}\n")).collect();
    let text = format!(
        "source   {}\nprimary  {}\n{verify}epoch    {}",
        source.describe(),
        ring.primary(),
        ring.epoch()
    );
    keyring::print(output, text, source, &ring)
}
