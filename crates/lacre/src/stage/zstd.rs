//! Compression with Zstandard (RFC 8878).

use super::{Stage, StageId};
use crate::{Error, ErrorKind};
use lacre_seal::Authentic;
use std::cell::RefCell;
use std::io;
use zstd::bulk::{Compressor, Decompressor};

/// Zstandard at its fastest regular level.
#[derive(Clone, Copy, Debug, Default)]
pub struct Zstd;

const LEVEL: i32 = 1;

// Making a context costs more than packing a small body: each thread keeps one.
thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

impl Stage for Zstd {
    fn id(&self) -> StageId {
        StageId::Zstd
    }

    fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        COMPRESSOR
            .with_borrow_mut(|kept| kept_or(kept, || Compressor::new(LEVEL))?.compress(bytes))
            .map_err(|error| Error::new(ErrorKind::Broken, "a body cannot be compressed").with_source(error))
    }

    fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error> {
        bytes.try_map(|bytes| {
            DECOMPRESSOR
                .with_borrow_mut(|kept| kept_or(kept, Decompressor::new)?.decompress(bytes, limit))
                .map_err(|error| {
                    Error::new(ErrorKind::Broken, "a stored body does not unpack to its length")
                        .with_hint("remove the record, and the response is fetched again")
                        .with_source(error)
                })
        })
    }
}

fn kept_or<T>(kept: &mut Option<T>, make: impl FnOnce() -> io::Result<T>) -> io::Result<&mut T> {
    match kept {
        Some(kept) => Ok(kept),
        None => Ok(kept.insert(make()?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pack(bytes: &[u8]) -> Authentic {
        Authentic::danger_assume(Zstd.forward(bytes).unwrap())
    }

    #[test]
    fn what_went_forward_comes_back() {
        for length in [0, 1, 1000, 1 << 20] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 7) as u8).collect();
            assert_eq!(Zstd.back(pack(&bytes), bytes.len()).unwrap().as_bytes(), bytes, "{length} bytes");
        }
        assert!(pack(&[0; 100_000]).len() < 100);
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let error = Zstd.back(pack(&[0; 100_001]), 100_000).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Broken);
    }

    #[test]
    fn garbage_and_cut_frames_are_refused_and_the_next_one_still_unpacks() {
        let packed = pack(&[7; 5000]).into_bytes();
        assert!(Zstd.back(Authentic::danger_assume(packed.slice(..packed.len() - 1)), 5000).is_err());
        assert!(Zstd.back(Authentic::danger_assume(&b"not a frame"[..]), 5000).is_err());
        assert_eq!(Zstd.back(Authentic::danger_assume(packed), 5000).unwrap().len(), 5000);
    }
}
