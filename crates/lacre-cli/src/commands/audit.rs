//! `lacre audit`: searches stored responses for likely secrets. It prints no secret.

use crate::exit::{Exit, Failure};
use crate::format::entries;
use crate::global_options::GlobalOptions;
use crate::output::{BAD, FAINT, GOOD, Output, WARNING};
use crate::progress::Progress;
use crate::record_state;
use crate::sanitize::replace_controls;
use crate::selector;
use crate::store_options;
use crate::table;
use lacre::{AuditCounts, AuditFinding, Audited, FindingLocation, ListedRow, ListingDepth, Selector};
use serde_json::{Value, json};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these entries: the first digits of a key (four or more), a URL, a host, or a glob such
    /// as `example.com/api/*`
    #[arg(value_name = "KEY|URL|HOST|GLOB")]
    selectors: Vec<String>,
    /// Only entries that are signed and not encrypted, which anyone with a copy of the store can
    /// read
    #[arg(long)]
    readable: bool,
}

pub(crate) fn run(args: &Args, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let selectors = args.selectors.iter().map(|text| Selector::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let Some(builder) = store_options::open_to_read(global, output)? else {
        return match args.selectors.first() {
            Some(text) => Err(selector::no_match(text)),
            None => report(&[], &AuditCounts::default(), output),
        };
    };
    let cache = builder.build()?;
    let mut rows = lacre::wait(cache.entries(ListingDepth::Heads))?;
    if let Some(unmatched) =
        selectors.iter().position(|selector| !rows.iter().any(|row| selector.matches(row)))
    {
        return Err(selector::no_match(&args.selectors[unmatched]));
    }
    rows.retain(|row| selectors.is_empty() || selectors.iter().any(|selector| selector.matches(row)));
    rows.sort_by_key(|row| *row.key());
    let mut summary = AuditCounts::default();
    let mut reports = Vec::new();
    let progress = Progress::of_rows(rows.len() as u64, output);
    for row in &rows {
        progress.step();
        match lacre::wait(cache.audit(row.key())) {
            Ok(Some(audited)) if args.readable && !is_readable(&audited) => {}
            Ok(Some(audited)) => {
                summary.count(&audited);
                reports.push((row, audited));
            }
            // Removed during the audit.
            Ok(None) => {}
            Err(error) => summary.count_unopened(row.listed.kind, &error),
        }
    }
    drop(progress);
    report(&reports, &summary, output)?;
    if summary.findings == 0 {
        // Entries that did not open may hold secrets, too.
        return match record_state::unopened(&summary.unopened) {
            Some((exit, message, hint)) => {
                Err(Failure::new(exit, format!("not searched: {message}")).with_hint(hint))
            }
            None => Ok(()),
        };
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
        .with_hint("`lacre rm KEY` removes an entry; `lacre get --no-store` does not store one"))
}

fn summary_to_json(counts: &AuditCounts) -> Value {
    json!({
        "entries": counts.entries,
        "affected": counts.affected,
        "findings": counts.findings,
        "unread_bodies": counts.unread_bodies,
        "closed": counts.unopened.entries(),
        "not_opened": record_state::to_json(&counts.unopened),
    })
}

fn report(reports: &[(&ListedRow, Audited)], summary: &AuditCounts, output: Output) -> Result<(), Failure> {
    let findings = || {
        reports
            .iter()
            .flat_map(|(row, audited)| audited.audit.findings.iter().map(move |it| (*row, audited, it)))
    };
    if output.is_json() {
        output.print_objects(
            "lacre/finding/v1",
            findings().map(|(row, audited, it)| to_json(row, audited, it)),
        )?;
        return output.print_objects("lacre/audit/v1", [summary_to_json(summary)]);
    }
    for (row, audited, finding) in findings() {
        let (style, seal) = if is_readable(audited) { (BAD, "readable") } else { (WARNING, "encrypted") };
        let rest = format!("{}  #{}  {}", describe(finding), finding.fingerprint, url(row));
        let room = output.width().map(|width| width.saturating_sub(21));
        let rest = replace_controls(&rest);
        output.print(format_args!(
            "{:.8}  {style}{seal:<9}{style:#}  {}",
            row.key(),
            table::truncate(&rest, room)
        ))?;
    }
    if summary.findings == 0 {
        output.print(format_args!("{GOOD}no likely secret found{GOOD:#}: {}", entries(summary.entries)))?;
    }
    if summary.unread_bodies > 0 {
        output.print(format_args!(
            "{FAINT}{} with a body not searched to its end: compressed, binary or over 1 MiB{FAINT:#}",
            entries(summary.unread_bodies)
        ))?;
    }
    if summary.unopened.entries() > 0 {
        output.print(format_args!(
            "{FAINT}{} did not open ({}): `lacre verify` says why{FAINT:#}",
            entries(summary.unopened.entries()),
            record_state::exceptions(&summary.unopened)
        ))?;
    }
    Ok(())
}

fn is_readable(audited: &Audited) -> bool {
    !audited.seal.suite.is_encrypted()
}

fn url(row: &ListedRow) -> &str {
    row.entry().map_or("", |entry| &entry.url)
}

/// The location and kind of a finding.
fn describe(finding: &AuditFinding) -> String {
    let kind = finding.detector.kind();
    let location = location(&finding.location);
    match finding.detector.name().filter(|name| !name.is_empty()) {
        Some(name) => format!("{location}: {kind} {name}"),
        None => format!("{location}: {kind}"),
    }
}

fn location(location: &FindingLocation) -> String {
    match location {
        FindingLocation::Url => "URL".to_owned(),
        FindingLocation::RequestHeader(name) => format!("request header {name}"),
        FindingLocation::ResponseHeader(name) => format!("header {name}"),
        FindingLocation::Tag => "tag".to_owned(),
        FindingLocation::Body { offset } => format!("body at {offset}"),
    }
}

fn to_json(row: &ListedRow, audited: &Audited, finding: &AuditFinding) -> Value {
    let (place, header, offset) = match &finding.location {
        FindingLocation::Url => ("url", None, None),
        FindingLocation::RequestHeader(name) => ("request-header", Some(name.as_str()), None),
        FindingLocation::ResponseHeader(name) => ("response-header", Some(name.as_str()), None),
        FindingLocation::Tag => ("tag", None, None),
        FindingLocation::Body { offset } => ("body", None, Some(offset)),
    };
    json!({
        "key": row.key().to_string(),
        "url": url(row),
        "readable": is_readable(audited),
        "place": place,
        "header": header,
        "offset": offset,
        "kind": finding.detector.kind(),
        "name": finding.detector.name(),
        "fingerprint": finding.fingerprint.to_string(),
    })
}
