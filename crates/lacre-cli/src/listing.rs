//! Rows of a listing as a table or as JSON.

use crate::exit::Failure;
use crate::format;
use crate::output::{BAD, FAINT, WARNING};
use crate::record_state;
use crate::sanitize::replace_controls;
use crate::suite_option::SuiteOption;
use crate::table::{self, Column, Line};
use anstyle::Style;
use lacre::{ListedRow, RecordState};
use serde_json::{Value, json};

const COLUMNS: [Column; 7] = [
    Column { title: "KEY", drop_order: 0 },
    Column { title: "ST", drop_order: 2 },
    Column { title: "SIZE", drop_order: 4 },
    Column { title: "AGE", drop_order: 5 },
    Column { title: "FRESH", drop_order: 1 },
    Column { title: "SEAL", drop_order: 3 },
    Column { title: "URL", drop_order: 0 },
];

/// The rows as a table with titles, no wider than `width`.
pub(crate) fn table(rows: &[ListedRow], width: Option<usize>) -> String {
    let lines: Vec<Line> = rows.iter().map(|row| Line { style: style(row), cells: cells(row) }).collect();
    table::render(&COLUMNS, &lines, width)
}

fn style(row: &ListedRow) -> Style {
    match row.state() {
        RecordState::Bad => BAD,
        RecordState::NoKey
        | RecordState::SuiteMismatch(_)
        | RecordState::NamespaceMismatch
        | RecordState::Unsupported => WARNING,
        RecordState::Expired | RecordState::Revoked => FAINT,
        RecordState::Good if row.is_stale() => FAINT,
        RecordState::Good => Style::new(),
    }
}

fn cells(row: &ListedRow) -> Vec<String> {
    let key = format!("{:.8}", row.key());
    let seal = match (row.state(), row.listed.seal) {
        (RecordState::Good, Some(seal)) => seal.key_id.short(),
        (state, _) => record_state::mark(state).to_owned(),
    };
    let (Some(entry), Some(freshness)) = (row.entry(), row.freshness) else {
        let size = format::size(row.listed.sealed_bytes as u64);
        let problem = replace_controls(&reason(row).unwrap_or_default()).into_owned();
        return vec![key, "-".into(), size, "-".into(), "-".into(), seal, problem];
    };
    let fresh = match freshness.lifetime {
        None => "forever".to_owned(),
        Some(_) if freshness.is_fresh() => format::duration(freshness.remaining()),
        Some(_) => format!("stale {}", format::duration(freshness.staleness())),
    };
    let (status, size) = (entry.status.as_u16().to_string(), format::size(entry.body.length));
    let url = format!("{} {}", entry.method, replace_controls(&entry.url));
    vec![key, status, size, format::duration(freshness.age), fresh, seal, url]
}

/// Why the record does not open, with the flag that opens it if only a setting is wrong.
pub(crate) fn reason(row: &ListedRow) -> Option<String> {
    let error = row.listed.slot.as_ref().err()?;
    Some(match (row.state(), Failure::flag_for(error)) {
        (RecordState::SuiteMismatch(suite), Some(flag)) => {
            format!("sealed with `{}`; {flag}", SuiteOption::of(suite).name())
        }
        (_, Some(flag)) => format!("{error}; {flag}"),
        (_, None) => error.to_string(),
    })
}

/// The row for programs.
pub(crate) fn to_json(row: &ListedRow) -> Value {
    let seal = row.listed.seal.map(
        |seal| json!({ "key_id": seal.key_id.to_string(), "suite": seal.suite.name(), "epoch": seal.epoch }),
    );
    let mut object = json!({
        "key": row.key().to_string(),
        "sealed_bytes": row.listed.sealed_bytes,
        "state": record_state::name(row.state()),
        "seal": seal,
    });
    if let (Some(entry), Some(freshness)) = (row.entry(), row.freshness) {
        object["method"] = entry.method.as_str().into();
        object["url"] = entry.url.as_str().into();
        object["status"] = entry.status.as_u16().into();
        object["size"] = entry.body.length.into();
        object["received"] = format::timestamp(entry.received).into();
        object["age_seconds"] = freshness.age.as_secs().into();
        object["fresh"] = freshness.is_fresh().into();
        object["ttl_seconds"] = freshness.ttl().into();
    }
    if let Some(reason) = reason(row) {
        object["trouble"] = reason.into();
    }
    object
}
