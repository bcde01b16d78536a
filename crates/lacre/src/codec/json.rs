//! Heads as JSON (docs/format.md §6), for people who inspect a `signed` store.

use super::wire::Wire;
use super::{Format, FormatId, SlotHead, broken, broken_by};
use crate::Error;
use lacre_seal::Authentic;

/// A readable format: JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Format for Json {
    fn id(&self) -> FormatId {
        FormatId::Json
    }

    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        serde_json::to_writer(out, &Wire::of(slot)?).map_err(|error| broken_by("cannot be written", error))
    }

    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error> {
        // The message of the parser quotes its input, which may be a secret: only the position is
        // reported.
        let wire: Wire = serde_json::from_slice(bytes.as_bytes())
            .map_err(|error| broken(&format!("is malformed at byte {}", error.column())))?;
        wire.into_slot()
    }
}
