//! What is stored, row by row: which rows are meant, and how they are shown.

use crate::exit::{Exit, Failure};
use crate::output::{BAD, FAINT, TITLE, WARNING};
use crate::printable::harmless;
use crate::{pretty, request};
use anstyle::Style;
use lacre::codec::BodyHead;
use lacre::{
    Cache, Entry, ErrorKind, Fault, FaultKind, Freshness, Key, KeyId, Listed, Redactor, Slot, Timestamp,
    UrlPattern,
};
use serde_json::{Value, json};
use std::fmt::Write;

/// A stored response, or a row that does not open.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) listed: Listed,
    /// Absent where the row does not open.
    pub(crate) freshness: Option<Freshness>,
}

/// How much of each row is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Heads,
    Bodies,
}

/// Every row but those that only lead to others.
pub(crate) fn all(cache: &Cache, depth: Depth, now: Timestamp) -> Result<Vec<Row>, Failure> {
    let mut rows = Vec::new();
    each(cache, depth, now, &mut |row| rows.push(row))?;
    Ok(rows)
}

/// Shows each of them to `visit`.
pub(crate) fn each(
    cache: &Cache,
    depth: Depth,
    now: Timestamp,
    visit: &mut (dyn FnMut(Row) + Send),
) -> Result<(), Failure> {
    let mut take = |listed: Listed| {
        let freshness = match &listed.slot {
            Ok(Slot::Entry(entry)) => Some(cache.engine().freshness(entry, now)),
            Ok(_) => return,
            Err(_) => None,
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

    pub(crate) fn seal(&self) -> Seal {
        match &self.listed.slot {
            Ok(_) => Seal::Good,
            Err(error) => match error.kind() {
                ErrorKind::KeyUnavailable => Seal::NoKey,
                ErrorKind::Lapsed => Seal::Ended,
                _ => Seal::Bad,
            },
        }
    }

    /// The keys without which the row would not open, as far as it was looked at.
    pub(crate) fn sealed_with(&self) -> impl Iterator<Item = KeyId> {
        let head = self.listed.seal.filter(|_| self.seal() == Seal::Good).map(|seal| seal.key_id);
        let others = self.listed.chunk_keys.iter().copied().filter(move |key| Some(*key) != head);
        head.into_iter().chain(others)
    }

    /// Why the row does not open.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.listed.slot.as_ref().err().map(ToString::to_string)
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        let seal = self.listed.seal.map(|seal| {
            json!({ "key_id": seal.key_id.to_string(), "suite": seal.suite.name(), "epoch": seal.epoch })
        });
        let mut object = json!({
            "key": self.key().to_string(),
            "sealed_bytes": self.listed.sealed_bytes,
            "state": self.seal().name(),
            "seal": seal,
        });
        if let (Some(entry), Some(freshness)) = (self.entry(), self.freshness) {
            object["method"] = entry.method.as_str().into();
            object["url"] = entry.url.as_str().into();
            object["status"] = entry.status.as_u16().into();
            object["size"] = entry.body.length.into();
            object["received"] = pretty::moment(entry.received).into();
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

/// Whether a row opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seal {
    Good,
    /// Changed, moved, replayed or not understood.
    Bad,
    /// Sealed with a key that is not in the keyring.
    NoKey,
    /// Its time is over.
    Ended,
}

impl Seal {
    const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::NoKey => "no-key",
            Self::Ended => "ended",
        }
    }
}

/// Whether what is stored belongs to this namespace: one row that does is enough. Where none does, and some are sealed for elsewhere, it is
/// sooner the wrong namespace than an attack on all of them.
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
        match row.listed.slot.as_ref().map_err(|error| error.fault().map(Fault::kind)) {
            // Those are found out after the place is.
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

const COLUMNS: [&str; 6] = ["KEY", "ST", "SIZE", "AGE", "FRESH", "SEAL"];

/// Rows for people, under a title, every column as wide as it needs.
pub(crate) fn table(rows: &[Row]) -> String {
    let cells: Vec<[String; 6]> = rows.iter().map(cells).collect();
    let width = |column: usize| {
        let widest = cells.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        widest.max(COLUMNS[column].len())
    };
    let widths: [usize; 6] = std::array::from_fn(width);
    let mut out = String::new();
    let mut line = |style: Style, cells: [&str; 6], last: &str| {
        let _ = write!(out, "{style}");
        for (cell, width) in cells.into_iter().zip(widths) {
            let _ = write!(out, "{cell:width$}  ");
        }
        let _ = writeln!(out, "{last}{style:#}");
    };
    line(TITLE, COLUMNS, "URL");
    for (row, cells) in rows.iter().zip(&cells) {
        let style = match row.seal() {
            Seal::Bad => BAD,
            Seal::NoKey => WARNING,
            Seal::Ended => FAINT,
            Seal::Good if row.is_stale() => FAINT,
            Seal::Good => Style::new(),
        };
        let last = match row.entry() {
            Some(entry) => format!("{} {}", entry.method, harmless(&entry.url)),
            None => row.trouble().unwrap_or_default(),
        };
        line(style, cells.each_ref().map(String::as_str), &last);
    }
    out.truncate(out.trim_end().len());
    out
}

fn cells(row: &Row) -> [String; 6] {
    let key = format!("{:.8}", row.key());
    let seal = match (row.seal(), row.listed.seal) {
        (Seal::Good, Some(seal)) => seal.key_id.short(),
        (Seal::NoKey, _) => "NO KEY".to_owned(),
        (Seal::Ended, _) => "ENDED".to_owned(),
        _ => "BAD".to_owned(),
    };
    let (Some(entry), Some(freshness)) = (row.entry(), row.freshness) else {
        let size = pretty::size(row.listed.sealed_bytes as u64);
        return [key, "-".into(), size, "-".into(), "-".into(), seal];
    };
    let fresh = match freshness.lifetime {
        None => "for ever".to_owned(),
        Some(_) if freshness.is_fresh() => pretty::duration(freshness.remaining()),
        Some(_) => format!("stale {}", pretty::duration(freshness.staleness())),
    };
    let (status, size) = (entry.status.as_u16().to_string(), pretty::size(entry.body.length));
    [key, status, size, pretty::duration(freshness.age), fresh, seal]
}

/// Which rows are meant.
#[derive(Debug)]
pub(crate) enum Target {
    /// Those whose key begins like this.
    Key(String),
    /// Those of this URL, as it is stored: without secrets.
    Url(String),
    /// Those whose URL fits.
    Pattern(UrlPattern),
}

impl Target {
    /// At least four hexadecimal digits, a URL, or a glob.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        if (4..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self::Key(text.to_ascii_lowercase()));
        }
        if text.contains("://") && !text.contains(['*', '[', '{']) {
            let mut url = request::parse_url(text)?;
            url.set_fragment(None);
            return Ok(Self::Url(Redactor::default().url(url.as_str())));
        }
        UrlPattern::glob(text).map(Self::Pattern).map_err(|error| {
            Failure::usage(error.to_string())
                .with_hint("name a key (four digits or more), a URL, or a glob such as example.com/api/*")
        })
    }

    pub(crate) fn means(&self, row: &Row) -> bool {
        match self {
            Self::Key(prefix) => row.key().to_string().starts_with(prefix),
            Self::Url(url) => row.entry().is_some_and(|entry| entry.url == *url),
            Self::Pattern(pattern) => row.entry().is_some_and(|entry| pattern.matches(&entry.url)),
        }
    }
}

/// The one row that `text` means.
pub(crate) fn only(rows: Vec<Row>, text: &str) -> Result<Row, Failure> {
    let target = Target::parse(text)?;
    let mut found: Vec<Row> = rows.into_iter().filter(|row| target.means(row)).collect();
    match (found.pop(), found.as_slice()) {
        (Some(row), []) => Ok(row),
        (Some(last), others) => {
            let keys: Vec<String> =
                others.iter().chain([&last]).map(|row| format!("{:.8}", row.key())).collect();
            Err(Failure::usage(format!("{} entries fit", keys.len()))
                .with_hint(format!("name one of them by its key: {}", keys.join(" "))))
        }
        (None, _) => Err(nothing_fits()),
    }
}

pub(crate) fn nothing_fits() -> Failure {
    Failure::new(Exit::NotCached, "nothing that is stored fits").with_hint("`lacre ls` lists what is stored")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_key_a_url_or_a_glob() {
        assert!(matches!(Target::parse("3FA1").unwrap(), Target::Key(prefix) if prefix == "3fa1"));
        for text in ["3fa", "api.github.com", "*", "https://example.com/*"] {
            assert!(matches!(Target::parse(text).unwrap(), Target::Pattern(_)), "{text}");
        }
        let Target::Url(url) = Target::parse("HTTPS://Example.com?token=hunter2#top").unwrap() else {
            panic!()
        };
        assert_eq!(url, "https://example.com/?token=REDACTED");
        assert_eq!(Target::parse("ftp://example.com/").unwrap_err().exit, Exit::Usage);
    }
}
