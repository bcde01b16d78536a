//! What is in quarantine, as a listing.

use crate::exit::Failure;
use crate::output::{Output, TITLE};
use crate::pretty;
use crate::printable::harmless;
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
    output.print(format_args!("{TITLE}FROM      FOUND                     SIZE    REASON{TITLE:#}"))?;
    for Quarantined { from, at, reason, length, .. } in evidence {
        let (at, size) = (pretty::moment(*at).unwrap_or_default(), pretty::size(*length));
        output.print(format_args!("{from:.8}  {at:<24}  {size:<6}  {}", harmless(reason)))?;
    }
    Ok(())
}
