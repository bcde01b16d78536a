//! Compression with Zstandard (RFC 8878).

use super::{Stage, StageId, not_packed, not_unpacked};
use crate::Error;
use lacre_seal::Authentic;
use std::cell::RefCell;
use std::io;
use zstd::bulk::{Compressor, Decompressor};

/// Zstandard at its fastest regular level.
#[derive(Clone, Copy, Debug, Default)]
pub struct Zstd;

const LEVEL: i32 = 1;

// Creating a context costs more than compressing a small body, so each thread keeps one.
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
            .with_borrow_mut(|context| get_or_create(context, || Compressor::new(LEVEL))?.compress(bytes))
            .map_err(not_packed)
    }

    fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error> {
        bytes.try_map(|bytes| {
            DECOMPRESSOR
                .with_borrow_mut(|context| {
                    get_or_create(context, Decompressor::new)?.decompress(bytes, limit)
                })
                .map_err(not_unpacked)
        })
    }
}

fn get_or_create<T>(context: &mut Option<T>, make: impl FnOnce() -> io::Result<T>) -> io::Result<&mut T> {
    match context {
        Some(context) => Ok(context),
        None => Ok(context.insert(make()?)),
    }
}
