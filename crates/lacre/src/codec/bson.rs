//! Heads as BSON (docs/format.md §6): one document.

use super::wire::{DEPTH, Wire};
use super::{Format, FormatId, SlotHead, broken};
use crate::Error;
use bson::raw::{RawBsonRef, RawDocument};
use lacre_seal::Authentic;

/// The format of MongoDB's documents: BSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bson;

impl Format for Bson {
    fn id(&self) -> FormatId {
        FormatId::Bson
    }

    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        let document =
            bson::serialize_to_vec(&Wire::of(slot)?).map_err(|_| broken("cannot be written as BSON"))?;
        out.extend_from_slice(&document);
        Ok(())
    }

    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error> {
        // The message of the parser quotes its input, which may be a secret.
        let malformed = |_| broken("is malformed BSON");
        let document = RawDocument::from_bytes(bytes.as_bytes()).map_err(malformed)?;
        bounded(document, DEPTH)?;
        bson::deserialize_from_slice::<Wire>(bytes.as_bytes()).map_err(malformed)?.into_slot()
    }
}

/// Refuses nesting deeper than `depth`: the deserializer has no limit and would overflow the stack.
fn bounded(document: &RawDocument, depth: usize) -> Result<(), Error> {
    let deeper = depth.checked_sub(1).ok_or_else(|| broken("nests too deep"))?;
    for element in document {
        match element.map_err(|_| broken("is malformed BSON"))?.1 {
            RawBsonRef::Document(inner) => bounded(inner, deeper)?,
            RawBsonRef::Array(inner) => bounded(
                RawDocument::from_bytes(inner.as_bytes()).map_err(|_| broken("is malformed BSON"))?,
                deeper,
            )?,
            RawBsonRef::JavaScriptCodeWithScope(_) => {
                return Err(broken("has a value of a type that heads do not use"));
            }
            _ => {}
        }
    }
    Ok(())
}
