//! Compression with Brotli (RFC 7932).

use super::{Stage, StageId, not_packed, not_unpacked};
use crate::Error;
use brotli::enc::{BrotliEncoderParams, StandardAlloc};
use brotli::{BrotliCompress, BrotliDecompressStream, BrotliResult, BrotliState};
use lacre_seal::Authentic;
use std::io;

/// Brotli: the most compact for text, and the slowest to pack.
#[derive(Clone, Copy, Debug, Default)]
pub struct Brotli;

const QUALITY: i32 = 5;

/// The base-2 logarithm of the window: 256 KiB, the most that one stage is given.
const WINDOW: i32 = 18;

/// The initial capacity of the output buffer.
const INITIAL_CAPACITY: usize = 64 << 10;

impl Stage for Brotli {
    fn id(&self) -> StageId {
        StageId::Brotli
    }

    fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let parameters = BrotliEncoderParams {
            quality: QUALITY,
            lgwin: WINDOW,
            size_hint: bytes.len(),
            ..Default::default()
        };
        let mut packed = Vec::new();
        BrotliCompress(&mut &*bytes, &mut packed, &parameters).map_err(not_packed)?;
        Ok(packed)
    }

    fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error> {
        bytes.try_map(|bytes| {
            // Strict: the window of a stream may be at most 16 MiB, not a gibibyte.
            let alloc = StandardAlloc::default;
            let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
            let (mut rest, mut at) = (bytes.len(), 0);
            let (mut unpacked, mut length, mut total) = (Vec::new(), 0, 0);
            loop {
                unpacked.resize((2 * length).max(INITIAL_CAPACITY).min(limit), 0);
                let mut room = unpacked.len() - length;
                let full = unpacked.len() == limit;
                let result = BrotliDecompressStream(
                    &mut rest,
                    &mut at,
                    bytes,
                    &mut room,
                    &mut length,
                    &mut unpacked,
                    &mut total,
                    &mut state,
                );
                match result {
                    BrotliResult::NeedsMoreOutput if !full => {}
                    BrotliResult::ResultSuccess if rest == 0 => {
                        unpacked.truncate(length);
                        return Ok(unpacked);
                    }
                    _ => return Err(not_unpacked(io::ErrorKind::InvalidData.into())),
                }
            }
        })
    }
}
