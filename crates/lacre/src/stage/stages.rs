//! What bodies go through, forward and back again: the user's own stages before ours.

use super::{Stage, StageId};
use crate::{Error, ErrorKind};
use lacre_seal::Authentic;
use std::borrow::Cow;
use std::sync::Arc;

/// The stages of one cache.
#[derive(Debug)]
pub(crate) struct Stages {
    /// What a body goes through, in this order.
    pub(crate) forward: Vec<Arc<dyn Stage>>,
    /// What is undone beside those and ours.
    pub(crate) undone: Vec<Arc<dyn Stage>>,
}

/// What one stage may make of a body, or of a part of it, on the way between two stages (docs/format.md §6). A hostile body cannot
/// take more memory than that.
const MOST: usize = 8 << 20;

impl Stages {
    /// How a head names what [`forward`](Self::forward) does.
    pub(crate) fn ids(&self) -> Vec<StageId> {
        self.forward.iter().map(|stage| stage.id()).collect()
    }

    /// The bytes after every stage.
    pub(crate) fn forward<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, [u8]>, Error> {
        let mut staged = Cow::Borrowed(bytes);
        for stage in &self.forward {
            staged = Cow::Owned(stage.forward(&staged)?);
            if staged.len() > MOST {
                return Err(Error::new(
                    ErrorKind::Broken,
                    format!("{:?} makes too much of a body", stage.id()),
                )
                .with_hint("leave that stage out of the cache's settings"));
            }
        }
        Ok(staged)
    }

    /// The bytes before the stages that a head names, which must not be more than `limit`.
    pub(crate) fn back(&self, ids: &[StageId], staged: Authentic, limit: usize) -> Result<Authentic, Error> {
        let mut bytes = staged;
        for (index, id) in ids.iter().enumerate().rev() {
            let limit = if index == 0 { limit.min(MOST) } else { MOST };
            bytes = self.find(*id)?.back(bytes, limit)?;
        }
        Ok(bytes)
    }

    /// The stages that the user chose, which come before ours.
    pub(crate) fn own(&self) -> impl Iterator<Item = &dyn Stage> {
        self.forward.iter().chain(&self.undone).map(AsRef::as_ref)
    }

    fn find(&self, id: StageId) -> Result<&dyn Stage, Error> {
        match self.own().find(|stage| stage.id() == id) {
            Some(own) => Ok(own),
            None => ours(id),
        }
    }
}

fn ours(id: StageId) -> Result<&'static dyn Stage, Error> {
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
            "name that stage with Builder::stage or Builder::also_undo, or use the program that wrote it",
        )),
        #[cfg(not(all(feature = "gzip", feature = "lz4", feature = "brotli")))]
        _ => Err(Error::new(
            ErrorKind::Unsupported,
            format!("the stored body went through a stage that this build does not undo: {id:?}"),
        )
        .with_hint("build lacre with the feature of that stage: `gzip`, `lz4` or `brotli`")),
    }
}
