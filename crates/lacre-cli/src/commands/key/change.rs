//! `lacre key rotate`, `lacre key retire` and `lacre key revoke-all`.

use super::{keeper, say};
use crate::args::Global;
use crate::commands::now;
use crate::exit::Failure;
use crate::open::{self, Missing};
use crate::output::{GOOD, Output};
use crate::pretty::entries;
use crate::prompt::Consent;
use crate::rows::{self, Depth, Row};
use lacre::{KeyId, Keyring, keys};
use serde_json::json;
use std::collections::BTreeSet;

#[derive(Debug, clap::Args)]
pub(crate) struct Retire {
    /// Its id, such as k-7f3a09bc, or as many of its first digits as no other key has
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    consent: Consent,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RevokeAll {
    #[command(flatten)]
    consent: Consent,
}

pub(super) fn rotate(global: &Global, output: Output) -> Result<(), Failure> {
    let source = open::key(global, output)?;
    let (ring, (old, new)) = keys::update(keeper(&*source)?, |ring| Ok((ring.primary(), ring.rotate()?)))?;
    let text = format!(
        "{GOOD}rotated{GOOD:#}: {new} seals from now on, {old} only opens\n\
         `lacre reseal` seals what is stored anew; after it, `lacre key retire {}` forgets the old key",
        old.short()
    );
    say(output, text, &*source, &ring)
}

pub(super) fn retire(args: &Retire, global: &Global, output: Output) -> Result<(), Failure> {
    let source = open::key(global, output)?;
    let keeper = keeper(&*source)?;
    let ring = source.load()?;
    let ids = args.ids.iter().map(|id| find(&ring, id)).collect::<Result<BTreeSet<_>, _>>()?;
    preview(global, output, "what was sealed with that, unless `lacre reseal` comes first", |row| {
        row.sealed_with().any(|id| ids.contains(&id))
    })?;
    if args.consent.dry_run {
        return Ok(());
    }
    let named = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    args.consent.obtain(&format!("retire {named}"))?;
    let (ring, ()) = keys::update(keeper, |ring| ids.iter().try_for_each(|id| ring.retire(*id)))?;
    say(output, format_args!("{GOOD}retired{GOOD:#} {named}: what it sealed is a miss"), &*source, &ring)
}

pub(super) fn revoke_all(args: &RevokeAll, global: &Global, output: Output) -> Result<(), Failure> {
    let source = open::key(global, output)?;
    let keeper = keeper(&*source)?;
    let epoch = source.load()?.epoch();
    preview(global, output, "all that was sealed", |row| {
        row.listed.seal.is_some_and(|seal| seal.epoch <= epoch)
    })?;
    if args.consent.dry_run {
        return Ok(());
    }
    args.consent.obtain("revoke everything that was sealed so far")?;
    let (ring, epoch) = keys::update(keeper, |ring| Ok(ring.raise_epoch()))?;
    say(
        output,
        format_args!("{GOOD}revoked{GOOD:#}: only what is sealed from now on, in epoch {epoch}, is opened"),
        &*source,
        &ring,
    )
}

fn find(ring: &Keyring, start: &str) -> Result<KeyId, Failure> {
    let mut found = ring.key_ids().filter(|id| start.len() > "k-".len() && id.to_string().starts_with(start));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => {
            Err(Failure::usage("the keyring has no such key").with_hint("`lacre key show` lists the ids"))
        }
        (Some(_), Some(_)) => {
            Err(Failure::usage("several keys begin like this").with_hint("give more digits of the id"))
        }
    }
}

/// Says how much of the store, if one is at hand, will be lost among what opens: the rows that `lost` means.
fn preview(global: &Global, output: Output, what: &str, lost: impl Fn(&Row) -> bool) -> Result<(), Failure> {
    let rows = open::cache(global, Missing::Fail, output)
        .and_then(|builder| Ok(builder.build()?))
        // Chunks may be sealed with another key than the head that leads to them.
        .and_then(|cache| rows::all(&cache, Depth::Bodies, now()));
    let Ok(rows) = rows else {
        return output.remark(
            "lacre/lost/v1",
            format_args!("no store is at hand to look into; {what}, wherever it is, will be a miss"),
            json!({ "lost": null }),
        );
    };
    let count = rows.iter().filter(|row| lost(row)).count();
    output.remark(
        "lacre/lost/v1",
        format_args!("{} of {} here will be a miss: {what}", count, entries(rows.len())),
        json!({ "lost": count, "entries": rows.len() }),
    )
}
