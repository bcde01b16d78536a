//! `lacre key rotate`, `lacre key retire` and `lacre key revoke-all`.

use super::keyring;
use crate::exit::Failure;
use crate::format::entries;
use crate::global_options::GlobalOptions;
use crate::output::{GOOD, Output};
use crate::store_options;
use crate::terminal::Confirmation;
use lacre::{Builder, KeyId, Keyring, ListedRow, ListingDepth, Suite, keys};
use serde_json::json;
use std::collections::BTreeSet;

#[derive(Debug, clap::Args)]
pub(crate) struct Retire {
    /// The key's id, such as k-7f3a09bc, or enough of its first digits to identify it
    #[arg(value_name = "ID", required = true)]
    ids: Vec<String>,
    #[command(flatten)]
    confirmation: Confirmation,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RevokeAll {
    #[command(flatten)]
    confirmation: Confirmation,
}

pub(super) fn rotate(global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let source = store_options::key_source(global)?;
    let (ring, (old, new)) =
        keys::update(keyring::writable(&*source)?, |ring| Ok((ring.primary(), ring.rotate()?)))?;
    let text = format!(
        "{GOOD}rotated{GOOD:#}: {new} seals from now on, {old} only opens\n\
         `lacre reseal` reseals the stored entries; after that, `lacre key retire {}` removes the old key",
        old.short()
    );
    keyring::print(output, text, &*source, &ring)
}

pub(super) fn retire(args: &Retire, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    if !args.ids.iter().all(|id| is_id(id)) {
        // The message does not repeat the text, which may be a secret key.
        return Err(Failure::usage("this is not a key id")
            .with_hint("`lacre key show` lists the ids, such as k-7f3a09bc"));
    }
    let source = store_options::key_source(global)?;
    let keeper = keyring::writable(&*source)?;
    let ring = source.load()?;
    let ids = args.ids.iter().map(|id| find(&ring, id)).collect::<Result<BTreeSet<_>, _>>()?;
    preview(global, output, "entries sealed with a retired key, unless `lacre reseal` runs first", |row| {
        row.sealed_with().any(|id| ids.contains(&id))
    })?;
    if args.confirmation.dry_run {
        return Ok(());
    }
    let named = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    args.confirmation.ask(&format!("retire {named}"))?;
    let (ring, ()) = keys::update(keeper, |ring| ids.iter().try_for_each(|id| ring.retire(*id)))?;
    keyring::print(
        output,
        format_args!("{GOOD}retired{GOOD:#} {named}: entries sealed with it are misses"),
        &*source,
        &ring,
    )
}

pub(super) fn revoke_all(args: &RevokeAll, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let source = store_options::key_source(global)?;
    let keeper = keyring::writable(&*source)?;
    let epoch = source.load()?.epoch();
    preview(global, output, "every entry sealed so far", |row| {
        row.seal().is_some_and(|seal| seal.epoch <= epoch)
    })?;
    if args.confirmation.dry_run {
        return Ok(());
    }
    args.confirmation.ask("revoke every seal so far")?;
    let (ring, epoch) = keys::update(keeper, |ring| Ok(ring.raise_epoch()))?;
    keyring::print(
        output,
        format_args!("{GOOD}revoked{GOOD:#}: only entries sealed from now on, in epoch {epoch}, open"),
        &*source,
        &ring,
    )
}

/// Whether the text is `k-` and up to 16 hexadecimal digits.
fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("k-").unwrap_or_default();
    (1..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn find(ring: &Keyring, start: &str) -> Result<KeyId, Failure> {
    let mut found = ring.key_ids().filter(|id| start.len() > "k-".len() && id.to_string().starts_with(start));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => {
            Err(Failure::usage("the keyring has no such key").with_hint("`lacre key show` lists the ids"))
        }
        (Some(_), Some(_)) => {
            Err(Failure::usage("several key ids begin with these digits")
                .with_hint("give more digits of the id"))
        }
    }
}

/// Prints how many entries of the store would no longer open: those that `lost` selects, whatever
/// their suite.
fn preview(
    global: &GlobalOptions,
    output: Output,
    what: &str,
    lost: impl Fn(&ListedRow) -> bool,
) -> Result<(), Failure> {
    let unknown = |why: String| {
        let text = format!("{why}; no store will open {what}");
        output.print_count("lacre/lost/v1", text, json!({ "lost": null, "entries": null, "why": why }))
    };
    let rows = match store_options::open_to_read(global, output) {
        Ok(None) => return unknown("there is no store to count entries in".to_owned()),
        Ok(Some(builder)) => Suite::ALL
            .into_iter()
            .fold(builder, Builder::also_accept)
            .build()
            .map_err(Failure::from)
            // Chunks of a body may be sealed with another key than their head.
            .and_then(|cache| Ok(lacre::wait(cache.entries(ListingDepth::Bodies))?)),
        Err(failure) => Err(failure),
    };
    let rows = match rows {
        Ok(rows) => rows,
        Err(failure) => {
            let why = failure.message.unwrap_or_default();
            return unknown(format!("the store cannot be read ({why})"));
        }
    };
    let count = rows.iter().filter(|row| lost(row)).count();
    output.print_count(
        "lacre/lost/v1",
        format_args!("{} of {} in this store will no longer open: {what}", count, entries(rows.len())),
        json!({ "lost": count, "entries": rows.len() }),
    )
}
