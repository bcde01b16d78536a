//! Heads as YAML 1.2 (docs/format.md §6), for people who inspect a `signed` store and prefer lines
//! to braces.
//!
//! Anchors, aliases and merge keys are refused: they let a few bytes expand to many.

use super::wire::{DEPTH, Wire};
use super::{Format, FormatId, SlotHead, broken};
use crate::Error;
use lacre_seal::Authentic;
use serde_saphyr::options::MergeKeyPolicy;
use serde_saphyr::{Options, SerializerOptions, budget, options, ser_options};

/// A readable format: YAML.
#[derive(Clone, Copy, Debug, Default)]
pub struct Yaml;

/// The start of a document. Its first byte tells YAML from other formats.
const START: &[u8] = b"---\n";

impl Format for Yaml {
    fn id(&self) -> FormatId {
        FormatId::Yaml
    }

    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        out.extend_from_slice(START);
        serde_saphyr::to_io_writer_with_options(out, &Wire::of(slot)?, style())
            .map_err(|_| broken("cannot be written as YAML"))
    }

    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error> {
        // The message of the parser quotes its input, which may be a secret: only the position is
        // reported.
        let wire: Wire =
            serde_saphyr::from_slice_with_options(bytes.as_bytes(), limits()).map_err(|error| {
                let line = error.location().map_or(0, |location| location.line());
                broken(&format!("is malformed YAML in line {line}"))
            })?;
        wire.into_slot()
    }
}

/// Writes one line for each name and value, so that line-based tools find them.
fn style() -> SerializerOptions {
    ser_options! { prefer_block_scalars: false }
}

fn limits() -> Options {
    options! {
        budget: budget! { max_aliases: 0, max_anchors: 0, max_depth: DEPTH, max_documents: 1 },
        merge_keys: MergeKeyPolicy::Error,
        with_snippet: false,
    }
}
