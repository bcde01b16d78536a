//! What a body may go through between the network and the seal. Undoing a stage takes [`Authentic`] bytes and a limit, so that
//! neither an unverified byte nor a bomb is ever unpacked.

mod zstd;

pub use zstd::Zstd;

use crate::Error;
use lacre_seal::Authentic;
use std::fmt::Debug;

/// A transformation of stored bodies that can be undone.
pub trait Stage: Debug + Send + Sync + 'static {
    /// How a head names this stage.
    fn id(&self) -> StageId;

    /// The bytes transformed.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`](crate::ErrorKind::Broken) when the transformation fails.
    fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error>;

    /// The bytes as they were before [`forward`](Self::forward).
    ///
    /// # Errors
    /// [`ErrorKind::Broken`](crate::ErrorKind::Broken) when `bytes` are not of this stage, or would become more than `limit` bytes.
    fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error>;
}

/// The stages there are; the number of each is part of the stored format (docs/format.md §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StageId {
    /// [`Zstd`].
    Zstd,
}

impl StageId {
    /// The stage of this id.
    #[must_use]
    pub fn stage(self) -> &'static dyn Stage {
        match self {
            Self::Zstd => &Zstd,
        }
    }

    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Zstd => 1,
        }
    }

    pub(crate) fn from_code(code: u64) -> Option<Self> {
        (code == Self::Zstd.code()).then_some(Self::Zstd)
    }
}
