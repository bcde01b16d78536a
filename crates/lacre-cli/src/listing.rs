//! The rows of a listing: stored records with their state and freshness, as a table or as JSON.

use crate::exit::Failure;
use crate::format;
use crate::output::{BAD, FAINT, WARNING};
use crate::record_state::RecordState;
use crate::sanitize::replace_controls;
use crate::table::{self, Column, Line};
use anstyle::Style;
use lacre::codec::BodyHead;
use lacre::{
    Cache, Entry, Fault, FaultKind, Freshness, Key, KeyId, Listed, RecordKind, SealInfo, Slot, Timestamp,
};
use serde_json::{Value, json};

/// A record of the store: an entry, an index record, or a record that does not open.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) listed: Listed,
    /// Absent if the record does not open or is not an entry.
    pub(crate) freshness: Option<Freshness>,
}

/// How much of each record to open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Heads,
    Bodies,
}

/// Lists every entry.
pub(crate) fn all(cache: &Cache, depth: Depth, now: Timestamp) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    for_each(cache, depth, now, &mut |row| rows.extend(Some(row).filter(Row::is_entry)))?;
    Ok(rows)
}

/// Calls `visit` with every record, index records included.
pub(crate) fn for_each(
    cache: &Cache,
    depth: Depth,
    now: Timestamp,
    visit: &mut (dyn FnMut(Row) + Send),
) -> Result<(), Failure> {
    let mut take = |listed: Listed| {
        let freshness = match &listed.slot {
            Ok(Slot::Entry(entry)) => Some(cache.engine().freshness(entry, now)),
            Ok(_) | Err(_) => None,
        };
        visit(Row { listed, freshness });
    };
    lacre::wait(async {
        match depth {
            Depth::Heads => cache.list(&mut take).await,
            Depth::Bodies => cache.verify(&mut take).await,
        }
    })?;
    Ok(())
}

impl Row {
    pub(crate) fn key(&self) -> &Key {
        &self.listed.key
    }

    pub(crate) fn entry(&self) -> Option<&Entry<BodyHead>> {
        match &self.listed.slot {
            Ok(Slot::Entry(entry)) => Some(entry),
            _ => None,
        }
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.freshness.is_some_and(|freshness| !freshness.is_fresh())
    }

    /// Whether it counts as an entry. A record that was tampered with always does.
    pub(crate) fn is_entry(&self) -> bool {
        self.listed.kind == RecordKind::Entry || self.state() == RecordState::Bad
    }

    /// The state of the record.
    pub(crate) fn state(&self) -> RecordState {
        self.listed.slot.as_ref().err().map_or(RecordState::Good, RecordState::of)
    }

    /// The seal: verified, or the claimed one if the record is genuine and only the settings
    /// differ.
    pub(crate) fn seal(&self) -> Option<SealInfo> {
        match self.state() {
            RecordState::Good => self.listed.seal,
            RecordState::SuiteMismatch(_) | RecordState::NamespaceMismatch | RecordState::Unsupported => {
                self.listed.claimed_unverified
            }
            _ => None,
        }
    }

    /// The keys that the record needs, as far as it was opened.
    pub(crate) fn sealed_with(&self) -> impl Iterator<Item = KeyId> {
        let head = self.seal().map(|seal| seal.key_id);
        let others = self.listed.chunk_keys.iter().copied().filter(move |key| Some(*key) != head);
        head.into_iter().chain(others)
    }

    /// Why the record does not open, with the flag that opens it if only a setting is wrong.
    pub(crate) fn trouble(&self) -> Option<String> {
        let error = self.listed.slot.as_ref().err()?;
        Some(match (self.state(), Failure::flag_for(error)) {
            (RecordState::SuiteMismatch(suite), Some(flag)) => {
                format!("sealed with `{}`; {flag}", crate::suite_option::SuiteOption::of(suite).name())
            }
            (_, Some(flag)) => format!("{error}; {flag}"),
            (_, None) => error.to_string(),
        })
    }

    /// The row for programs.
    pub(crate) fn to_json(&self) -> Value {
        let seal = self.listed.seal.map(|seal| {
            json!({ "key_id": seal.key_id.to_string(), "suite": seal.suite.name(), "epoch": seal.epoch })
        });
        let mut object = json!({
            "key": self.key().to_string(),
            "sealed_bytes": self.listed.sealed_bytes,
            "state": self.state().name(),
            "seal": seal,
        });
        if let (Some(entry), Some(freshness)) = (self.entry(), self.freshness) {
            object["method"] = entry.method.as_str().into();
            object["url"] = entry.url.as_str().into();
            object["status"] = entry.status.as_u16().into();
            object["size"] = entry.body.length.into();
            object["received"] = format::timestamp(entry.received).into();
            object["age_seconds"] = freshness.age.as_secs().into();
            object["fresh"] = freshness.is_fresh().into();
            object["ttl_seconds"] = freshness.ttl().into();
        }
        if let Some(trouble) = self.trouble() {
            object["trouble"] = trouble.into();
        }
        object
    }
}

/// Whether the records belong to this namespace and store; one record is enough. If none does and
/// some are sealed for elsewhere, the likely cause is a wrong namespace or a copied store, not an
/// attack on every record.
#[derive(Debug, Default)]
pub(crate) struct Belonging {
    here: bool,
    elsewhere: bool,
}

impl Belonging {
    pub(crate) fn of(rows: &[Row]) -> Self {
        let mut belonging = Self::default();
        rows.iter().for_each(|row| belonging.count(row));
        belonging
    }

    pub(crate) fn count(&mut self, row: &Row) {
        if row.state() == RecordState::NamespaceMismatch {
            return;
        }
        match row.listed.slot.as_ref().map_err(|error| error.fault().map(Fault::kind)) {
            // These faults are found only after the seal's place was checked.
            Ok(_) | Err(Some(FaultKind::BadSegment | FaultKind::Revoked(_) | FaultKind::Expired(_))) => {
                self.here = true;
            }
            Err(Some(FaultKind::BadCommitment)) => self.elsewhere = true,
            Err(_) => {}
        }
    }

    pub(crate) fn is_elsewhere(&self) -> bool {
        self.elsewhere && !self.here
    }
}

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
pub(crate) fn table(rows: &[Row], width: Option<usize>) -> String {
    let lines: Vec<Line> = rows.iter().map(|row| Line { style: style(row), cells: cells(row) }).collect();
    table::render(&COLUMNS, &lines, width)
}

fn style(row: &Row) -> Style {
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

fn cells(row: &Row) -> Vec<String> {
    let key = format!("{:.8}", row.key());
    let seal = match (row.state(), row.listed.seal) {
        (RecordState::Good, Some(seal)) => seal.key_id.short(),
        (state, _) => state.mark().to_owned(),
    };
    let (Some(entry), Some(freshness)) = (row.entry(), row.freshness) else {
        let size = format::size(row.listed.sealed_bytes as u64);
        let trouble = replace_controls(&row.trouble().unwrap_or_default()).into_owned();
        return vec![key, "-".into(), size, "-".into(), "-".into(), seal, trouble];
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
