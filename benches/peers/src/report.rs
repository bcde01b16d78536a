//! The report of a run, as tables and as JSON.

use crate::turns::{Spread, Turns};
use lacre_peers::{Kind, Result};
use serde_json::{Map, Value, json};
use std::fmt::Write;
use std::path::Path;

/// The goals: how many times as fast as http-cache's plaintext in memory.
const GOALS: [(Kind, &[(&str, f64)]); 2] = [
    (Kind::Sealed, &[("1 KB", 3.0), ("10 KB", 3.0), ("100 KB", 3.0), ("1 MB", 3.0), ("10 MB", 2.5)]),
    (Kind::Tier, &[("1 KB", 5.0), ("100 KB", 17.0), ("1 MB", 140.0)]),
];

/// The goal for a miss at 10 KB: the microseconds that it may add.
const MISS_GOAL: f64 = 80.0;

pub struct Run {
    pub setting: Setting,
    pub hits: Vec<Hits>,
    /// Misses at 10 KB.
    pub misses: Turns,
}

/// The date and the machine of a run.
pub struct Setting {
    date: String,
    cores: usize,
    /// The load of the machine before the run.
    load: String,
}

/// The hits at one body size.
pub struct Hits {
    pub body: &'static str,
    pub turns: Turns,
    /// Allocations per hit, by kind.
    pub allocations: Vec<u64>,
}

impl Setting {
    pub fn now() -> Self {
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").to_owned();
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self { date: jiff::Timestamp::now().strftime("%F").to_string(), cores, load }
    }
}

impl Run {
    /// The tables in Markdown.
    pub fn tables(&self) -> String {
        let Setting { date, cores, load } = &self.setting;
        let mut out = format!(
            "Run of {date}, {} with {cores} cores, load {load} before it; http-cache-reqwest {}, http-cache {}.\n",
            std::env::consts::ARCH,
            version("http-cache-reqwest"),
            version("http-cache"),
        );
        out += "\nMicroseconds per hit: the median, and the range of the middle half.\n\n";
        out += &self.table(&Kind::ALL, |hits, kind| brief(hits.turns.time(kind)));
        out += "\nHow many times as fast as http-cache's hit from memory (moka), and the goal.\n\n";
        out += &self.table(&GOALS.map(|(kind, _)| kind), |hits, kind| {
            let ratio = hits.turns.ratio(Kind::Moka, kind).median;
            goal(kind, hits.body).map_or(number(ratio), |goal| format!("{} (≥ {goal})", number(ratio)))
        });
        out += "\nAllocations per hit.\n\n";
        out += &self.table(&Kind::ALL, |hits, kind| hits.allocations[kind as usize].to_string());
        out += "\nMicroseconds that a miss at 10 KB adds.\n\n| | added |\n|---|---|\n";
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Ready) {
            let goal = if kind == Kind::Sealed { format!(" (≤ {MISS_GOAL})") } else { String::new() };
            let _ = writeln!(out, "| {} | {}{goal} |", kind.name(), brief(self.misses.added(kind)));
        }
        out
    }

    fn table(&self, kinds: &[Kind], cell: impl Fn(&Hits, Kind) -> String) -> String {
        let row = |first: &str, cells: &mut dyn Iterator<Item = String>| {
            format!("| {first} |{}\n", cells.map(|cell| format!(" {cell} |")).collect::<String>())
        };
        let mut out = row("", &mut self.hits.iter().map(|hits| hits.body.to_owned()));
        out += &format!("|---|{}\n", "---|".repeat(self.hits.len()));
        for kind in kinds {
            out += &row(kind.name(), &mut self.hits.iter().map(|hits| cell(hits, *kind)));
        }
        out
    }

    pub fn json(&self) -> Result<String> {
        let sides = |of: &dyn Fn(Kind) -> Value| {
            Value::Object(
                Kind::ALL.map(|kind| (kind.name().to_owned(), of(kind))).into_iter().collect::<Map<_, _>>(),
            )
        };
        let hits = self.hits.iter().map(|hits| {
            json!({
                "body": hits.body,
                "microseconds": sides(&|kind| spread(hits.turns.time(kind))),
                "times_as_long_as_lacre_sqlite": sides(&|kind| spread(hits.turns.ratio(kind, Kind::Sealed))),
                "times_as_long_as_lacre_memory": sides(&|kind| spread(hits.turns.ratio(kind, Kind::Tier))),
                "allocations": sides(&|kind| hits.allocations[kind as usize].into()),
            })
        });
        let run = json!({
            "date": self.setting.date,
            "architecture": std::env::consts::ARCH,
            "cores": self.setting.cores,
            "load": self.setting.load,
            "http-cache-reqwest": version("http-cache-reqwest"),
            "hits": hits.collect::<Vec<_>>(),
            "misses": { "body": "10 KB", "added_microseconds": sides(&|kind| spread(self.misses.added(kind))) },
        });
        Ok(serde_json::to_string_pretty(&run)? + "\n")
    }
}

fn goal(kind: Kind, body: &str) -> Option<f64> {
    let (_, goals) = GOALS.iter().find(|(other, _)| *other == kind)?;
    goals.iter().find(|(other, _)| *other == body).map(|(_, goal)| *goal)
}

fn spread(spread: Spread) -> Value {
    let round = |value: f64| (value * 1000.0).round() / 1000.0;
    json!([spread.low, spread.median, spread.high].map(round))
}

fn brief(spread: Spread) -> String {
    format!("{} ({}–{})", number(spread.median), number(spread.low), number(spread.high))
}

/// A number with its significant digits.
fn number(value: f64) -> String {
    if value < 20.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// The version of a package in the lock file.
fn version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let after = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).map_or("", |(_, after)| after);
    after.split('"').next().unwrap_or_default()
}

/// Replaces the tables between the marks in the document.
pub fn replace(document: &Path, tables: &str) -> Result<()> {
    const MARKS: [&str; 2] = ["<!-- run -->\n", "<!-- end of run -->"];
    let text = std::fs::read_to_string(document)?;
    let (before, rest) = text.split_once(MARKS[0]).ok_or("the document has no mark for the start of the tables")?;
    let (_, after) = rest.split_once(MARKS[1]).ok_or("the document has no mark for the end of the tables")?;
    Ok(std::fs::write(document, [before, MARKS[0], tables, MARKS[1], after].concat())?)
}
