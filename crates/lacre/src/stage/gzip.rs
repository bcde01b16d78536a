//! Compression with gzip (RFC 1952).

use super::{Stage, StageId, not_packed, not_unpacked};
use crate::Error;
use flate2::bufread::{GzDecoder, GzEncoder};
use lacre_seal::Authentic;
use std::io::{self, Read};

/// Gzip: slower than Zstandard, and supported by every tool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gzip;

const LEVEL: flate2::Compression = flate2::Compression::new(6);

impl Stage for Gzip {
    fn id(&self) -> StageId {
        StageId::Gzip
    }

    fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let mut packed = Vec::new();
        GzEncoder::new(bytes, LEVEL).read_to_end(&mut packed).map_err(not_packed)?;
        Ok(packed)
    }

    fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error> {
        bytes.try_map(|bytes| {
            let mut decoder = GzDecoder::new(bytes);
            let unpacked = read_at_most(limit, &mut decoder).map_err(not_unpacked)?;
            match decoder.into_inner() {
                [] => Ok(unpacked),
                _ => Err(not_unpacked(io::ErrorKind::InvalidData.into())),
            }
        })
    }
}

/// Reads all of `from`. Fails as soon as it is longer than `limit` bytes.
fn read_at_most(limit: usize, from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take((limit as u64).saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() > limit { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}
