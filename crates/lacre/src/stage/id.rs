//! The ids of stages in a head (docs/format.md §6).

/// The id of a stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StageId {
    /// [`Zstd`](super::Zstd).
    Zstd,
    /// Gzip, which the feature `gzip` packs and unpacks.
    Gzip,
    /// LZ4, which the feature `lz4` packs and unpacks.
    Lz4,
    /// Brotli, which the feature `brotli` packs and unpacks.
    Brotli,
    /// A stage of the user. Only programs that register it know its number, which must stay the
    /// same as long as records last.
    Private(u8),
}

/// Private ids start after the range of one byte.
const PRIVATE: u64 = 256;

impl StageId {
    pub(crate) fn code(self) -> u64 {
        match self {
            Self::Zstd => 1,
            Self::Gzip => 2,
            Self::Lz4 => 3,
            Self::Brotli => 4,
            Self::Private(number) => PRIVATE + u64::from(number),
        }
    }

    pub(crate) fn from_code(code: u64) -> Option<Self> {
        match code {
            1 => Some(Self::Zstd),
            2 => Some(Self::Gzip),
            3 => Some(Self::Lz4),
            4 => Some(Self::Brotli),
            _ => code.checked_sub(PRIVATE).and_then(|number| number.try_into().ok()).map(Self::Private),
        }
    }
}
