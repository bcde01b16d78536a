//! Applies and undoes the stages of a body. Stages of the user come before built-in ones.

use super::{Stage, StageId};
use crate::{Error, ErrorKind};
use lacre_seal::Authentic;
use std::borrow::Cow;
use std::sync::Arc;

/// The stages of one cache.
#[derive(Debug)]
pub(crate) struct Stages {
    /// The stages applied to new bodies, in this order.
    pub(crate) forward: Vec<Arc<dyn Stage>>,
    /// The stages that are undone besides those and the built-in ones.
    pub(crate) undone: Vec<Arc<dyn Stage>>,
}

/// The limit of the output of one stage between two stages (docs/format.md §6), which bounds the
/// memory that a hostile body can take.
const MAX_STAGED_BYTES: usize = 8 << 20;

impl Stages {
    /// The ids of the applied stages, for the head.
    pub(crate) fn ids(&self) -> Vec<StageId> {
        self.forward.iter().map(|stage| stage.id()).collect()
    }

    /// Applies every stage.
    pub(crate) fn forward<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        let mut staged = Cow::Borrowed(bytes);
        for stage in &self.forward {
            staged = Cow::Owned(stage.forward(&staged)?);
            if staged.len() > MAX_STAGED_BYTES {
                return Err(Error::new(
                    ErrorKind::Broken,
                    format!("the output of stage {:?} is too long", stage.id()),
                )
                .with_hint("remove that stage from the settings of the cache"));
            }
        }
        Ok(staged)
    }

    /// Undoes the stages of a head; the result must not be longer than `limit`.
    pub(crate) fn back(&self, ids: &[StageId], staged: Authentic, limit: usize) -> Result<Authentic, Error> {
        let mut bytes = staged;
        for (index, id) in ids.iter().enumerate().rev() {
            let limit = if index == 0 { limit.min(MAX_STAGED_BYTES) } else { MAX_STAGED_BYTES };
            bytes = self.find(*id)?.back(bytes, limit)?;
        }
        Ok(bytes)
    }

    /// The stages of the user, which are tried before the built-in ones.
    pub(crate) fn custom(&self) -> impl Iterator<Item = &dyn Stage> {
        self.forward.iter().chain(&self.undone).map(AsRef::as_ref)
    }

    fn find(&self, id: StageId) -> Result<&dyn Stage, Error> {
        match self.custom().find(|stage| stage.id() == id) {
            Some(own) => Ok(own),
            None => built_in(id),
        }
    }
}

fn built_in(id: StageId) -> Result<&'static dyn Stage, Error> {
    match id {
        StageId::Zstd => Ok(&super::Zstd),
        #[cfg(feature = "gzip")]
        StageId::Gzip => Ok(&super::Gzip),
        #[cfg(feature = "lz4")]
        StageId::Lz4 => Ok(&super::Lz4),
        #[cfg(feature = "brotli")]
        StageId::Brotli => Ok(&super::Brotli),
        StageId::Private(number) => Err(Error::new(
            ErrorKind::Unsupported,
            format!(
                "the stored body went through the private stage {number}, which this cache does not know"
            ),
        )
        .with_hint(
            "pass that stage to Builder::stage or Builder::also_undo, or use the program that wrote it",
        )),
        #[cfg(not(all(feature = "gzip", feature = "lz4", feature = "brotli")))]
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            format!("the stored body went through a stage that this build does not undo: {id:?}"),
        )
        .with_hint("build lacre with the feature of that stage: `gzip`, `lz4` or `brotli`")),
    }
}
