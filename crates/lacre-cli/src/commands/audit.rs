//! `lacre audit`: what looks like a secret in what is stored. The secrets themselves are not shown.

use super::now;
use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open::{self, Missing};
use crate::output::{BAD, FAINT, GOOD, Output, WARNING};
use crate::pretty::entries;
use crate::printable::harmless;
use crate::progress::Progress;
use crate::rows::{self, Depth, Row, Target};
use lacre::{Audited, Looked, Spot, Suspicion};
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these: the first digits of a key (four or more), a URL, or a glob such as `example.com/api/*`
    #[arg(value_name = "KEY|URL|GLOB")]
    targets: Vec<String>,
    /// Only what whoever has a copy of the store can read: entries that are signed and not encrypted
    #[arg(long)]
    readable: bool,
}

/// What was looked at.
#[derive(Default)]
struct Summary {
    entries: usize,
    /// Entries in which something was found.
    affected: usize,
    findings: usize,
    /// Bodies that were not looked at to their end.
    unread_bodies: usize,
    /// Entries that do not open.
    closed: usize,
}

pub(crate) fn run(args: &Args, global: &Global, output: Output) -> Result<(), Failure> {
    let cache = open::cache(global, Missing::Fail, output)?.build()?;
    let targets = args.targets.iter().map(|text| Target::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let mut rows = rows::all(&cache, Depth::Heads, now())?;
    rows.retain(|row| targets.is_empty() || targets.iter().any(|target| target.means(row)));
    rows.sort_by_key(|row| *row.key());
    let mut summary = Summary::default();
    let mut reports = Vec::new();
    let progress = Progress::through(rows.len() as u64, output);
    for row in &rows {
        progress.step();
        match lacre::wait(cache.audit(row.key())) {
            Ok(Some(audited)) if args.readable && !is_readable(&audited) => {}
            Ok(Some(audited)) => {
                summary.take(&audited);
                reports.push((row, audited));
            }
            // Removed meanwhile.
            Ok(None) => {}
            Err(_) => summary.closed += 1,
        }
    }
    drop(progress);
    report(&reports, &summary, output)?;
    if summary.findings == 0 {
        return Ok(());
    }
    let found = format!(
        "{} in {} of {}",
        if summary.findings == 1 {
            "1 likely secret".to_owned()
        } else {
            format!("{} likely secrets", summary.findings)
        },
        summary.affected,
        entries(summary.entries)
    );
    Err(Failure::new(Exit::Failed, found)
        .with_hint("lacre rm KEY takes an entry away; docs/redaction.md says what keeps secrets out"))
}

impl Summary {
    fn take(&mut self, audited: &Audited) {
        let found = audited.audit.suspicions.len();
        self.entries += 1;
        self.findings += found;
        self.affected += usize::from(found > 0);
        self.unread_bodies += usize::from(audited.audit.body != Looked::Whole);
    }

    fn to_json(&self) -> Value {
        json!({
            "entries": self.entries,
            "affected": self.affected,
            "findings": self.findings,
            "unread_bodies": self.unread_bodies,
            "closed": self.closed,
        })
    }
}

fn report(reports: &[(&Row, Audited)], summary: &Summary, output: Output) -> Result<(), Failure> {
    let findings = || {
        reports
            .iter()
            .flat_map(|(row, audited)| audited.audit.suspicions.iter().map(move |it| (*row, audited, it)))
    };
    if output.is_json() {
        output.objects("lacre/finding/v1", findings().map(|(row, audited, it)| to_json(row, audited, it)))?;
        return output.objects("lacre/audit/v1", [summary.to_json()]);
    }
    for (row, audited, finding) in findings() {
        let (style, seal) = if is_readable(audited) { (BAD, "readable") } else { (WARNING, "encrypted") };
        output.print(format_args!(
            "{:.8}  {style}{seal:<9}{style:#}  {}  {FAINT}#{}{FAINT:#}  {}",
            row.key(),
            harmless(&in_words(finding)),
            finding.fingerprint,
            harmless(url(row))
        ))?;
    }
    if summary.findings == 0 {
        output
            .print(format_args!("{GOOD}nothing looks like a secret{GOOD:#}: {}", entries(summary.entries)))?;
    }
    for (count, what) in [
        (
            summary.unread_bodies,
            "had a body that was not looked at to its end: compressed, no text, or over 1 MiB",
        ),
        (summary.closed, "did not open: lacre verify says why"),
    ] {
        if count > 0 {
            output.print(format_args!("{FAINT}{} {what}{FAINT:#}", entries(count)))?;
        }
    }
    Ok(())
}

fn is_readable(audited: &Audited) -> bool {
    !audited.seal.suite.is_encrypted()
}

fn url(row: &Row) -> &str {
    row.entry().map_or("", |entry| &entry.url)
}

/// Where it is, and what gives it away.
fn in_words(finding: &Suspicion) -> String {
    let kind = finding.telltale.kind();
    let place = place(&finding.spot);
    match finding.telltale.name().filter(|name| !name.is_empty()) {
        Some(name) => format!("{place}: {kind} {name}"),
        None => format!("{place}: {kind}"),
    }
}

fn place(spot: &Spot) -> String {
    match spot {
        Spot::Url => "URL".to_owned(),
        Spot::RequestHeader(name) => format!("request header {name}"),
        Spot::ResponseHeader(name) => format!("header {name}"),
        Spot::Tag => "tag".to_owned(),
        Spot::Body { offset } => format!("body at {offset}"),
    }
}

fn to_json(row: &Row, audited: &Audited, finding: &Suspicion) -> Value {
    let (place, header, offset) = match &finding.spot {
        Spot::Url => ("url", None, None),
        Spot::RequestHeader(name) => ("request-header", Some(name.as_str()), None),
        Spot::ResponseHeader(name) => ("response-header", Some(name.as_str()), None),
        Spot::Tag => ("tag", None, None),
        Spot::Body { offset } => ("body", None, Some(offset)),
    };
    json!({
        "key": row.key().to_string(),
        "url": url(row),
        "readable": is_readable(audited),
        "place": place,
        "header": header,
        "offset": offset,
        "kind": finding.telltale.kind(),
        "name": finding.telltale.name(),
        "fingerprint": finding.fingerprint.to_string(),
    })
}
