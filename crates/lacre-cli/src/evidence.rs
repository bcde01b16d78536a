//! What is in quarantine, as a listing.

use crate::exit::Failure;
use crate::output::Output;
use crate::pretty;
use crate::printable::harmless;
use crate::table::{self, Column, Line};
use anstyle::Style;
use lacre::{Cache, Quarantined};
use serde_json::json;

pub(crate) fn all(cache: &Cache) -> Result<Vec<Quarantined>, Failure> {
    let mut all = Vec::new();
    lacre::wait(cache.quarantined(&mut |mut piece| {
        // Only its length is shown, and a thousand pieces may be many megabytes.
        piece.evidence.clear();
        all.push(piece);
    }))?;
    all.sort_by_key(|piece| piece.at);
    Ok(all)
}

pub(crate) fn show(evidence: &[Quarantined], output: Output) -> Result<(), Failure> {
    if output.is_json() {
        let object = |piece: &Quarantined| {
            json!({
                "key": piece.key.to_string(), "from": piece.from.to_string(), "at": pretty::moment(piece.at),
                "size": piece.length, "reason": piece.reason,
            })
        };
        return output.objects("lacre/quarantined/v1", evidence.iter().map(object));
    }
    if evidence.is_empty() {
        return Ok(());
    }
    let line = |Quarantined { from, at, reason, length, .. }: &Quarantined| Line {
        style: Style::new(),
        cells: vec![
            format!("{from:.8}"),
            pretty::moment(*at).unwrap_or_default(),
            pretty::size(*length),
            harmless(reason).into_owned(),
        ],
    };
    let lines: Vec<Line> = evidence.iter().map(line).collect();
    output.print(table::render(&COLUMNS, &lines, output.width()))
}

const COLUMNS: [Column; 4] = [
    Column { title: "FROM", drop_order: 0 },
    Column { title: "FOUND", drop_order: 2 },
    Column { title: "SIZE", drop_order: 1 },
    Column { title: "REASON", drop_order: 0 },
];
