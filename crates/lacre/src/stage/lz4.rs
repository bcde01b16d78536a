//! Compression with LZ4: one block, preceded by the length of its content (docs/format.md §6).

use super::{Stage, StageId, not_unpacked};
use crate::Error;
use lacre_seal::Authentic;
use lz4_flex::block;
use std::io;

/// LZ4: less compact than Zstandard, and faster.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lz4;

impl Stage for Lz4 {
    fn id(&self) -> StageId {
        StageId::Lz4
    }

    fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(block::compress_prepend_size(bytes))
    }

    fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error> {
        bytes.try_map(|bytes| {
            let damaged = || not_unpacked(io::ErrorKind::InvalidData.into());
            let (length, block) = block::uncompressed_size(bytes).map_err(|_| damaged())?;
            // Coverage at first, since the decoder takes that much memory.
            if length > limit {
                return Err(damaged());
            }
            let unpacked = block::decompress(block, length).map_err(|_| damaged())?;
            if unpacked.len() == length { Ok(unpacked) } else { Err(damaged()) }
        })
    }
}
