//! The listing of quarantined records.

use crate::exit::Failure;
use crate::format;
use crate::output::Output;
use crate::sanitize::replace_controls;
use crate::table::{self, Column, Line};
use anstyle::Style;
use lacre::{Cache, Quarantined};
use serde_json::json;

/// The quarantined records, oldest first.
pub(crate) fn list(cache: &Cache) -> Result<Vec<Quarantined>, Failure> {
    let mut all = Vec::new();
    lacre::wait(cache.quarantined(&mut |mut record| {
        // The listing needs only the length; the bytes of many records would fill memory.
        record.evidence.clear();
        all.push(record);
    }))?;
    all.sort_by_key(|record| record.at);
    Ok(all)
}

/// Prints quarantined records as a table or as JSON.
pub(crate) fn print(records: &[Quarantined], output: Output) -> Result<(), Failure> {
    if output.is_json() {
        let object = |record: &Quarantined| {
            json!({
                "key": record.key.to_string(), "from": record.from.to_string(), "at": format::timestamp(record.at),
                "size": record.length, "reason": record.reason,
            })
        };
        return output.print_objects("lacre/quarantined/v1", records.iter().map(object));
    }
    if records.is_empty() {
        return Ok(());
    }
    let line = |Quarantined { from, at, reason, length, .. }: &Quarantined| Line {
        style: Style::new(),
        cells: vec![
            format!("{from:.8}"),
            format::timestamp(*at).unwrap_or_default(),
            format::size(*length),
            replace_controls(reason).into_owned(),
        ],
    };
    let lines: Vec<Line> = records.iter().map(line).collect();
    output.print(table::render(&COLUMNS, &lines, output.width()))
}

const COLUMNS: [Column; 4] = [
    Column { title: "FROM", drop_order: 0 },
    Column { title: "FOUND", drop_order: 2 },
    Column { title: "SIZE", drop_order: 1 },
    Column { title: "REASON", drop_order: 0 },
];
