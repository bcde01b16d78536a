//! Heads as MessagePack (docs/format.md §6): a map from names to values.

use super::wire::{DEPTH, Wire};
use super::{Format, FormatId, SlotHead, broken};
use crate::Error;
use lacre_seal::Authentic;
use serde::{Deserialize, Serialize};

/// A compact format that many languages read: MessagePack.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

impl Format for MessagePack {
    fn id(&self) -> FormatId {
        FormatId::MessagePack
    }

    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        Wire::of(slot)?
            .serialize(&mut rmp_serde::Serializer::new(out).with_struct_map())
            .map_err(|_| broken("cannot be written as MessagePack"))
    }

    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error> {
        let mut rest = bytes.as_bytes();
        let mut from = rmp_serde::Deserializer::new(&mut rest);
        from.set_max_depth(DEPTH);
        // The message of the parser quotes its input, which may be a secret.
        let wire = Wire::deserialize(&mut from).map_err(|_| broken("is malformed MessagePack"))?;
        if rest.is_empty() { wire.into_slot() } else { Err(broken("has bytes after its end")) }
    }
}
