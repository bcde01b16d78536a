//! The ids of formats, and the prefixes that name them (docs/format.md §6).

use lacre_seal::Authentic;

/// The format of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FormatId {
    /// CBOR, as [`Cbor`](super::Cbor) writes it.
    Cbor,
    /// JSON, as [`Json`](super::Json) writes it.
    Json,
    /// YAML, which the feature `yaml` reads and writes.
    Yaml,
    /// MessagePack, which the feature `msgpack` reads and writes.
    MessagePack,
    /// BSON, which the feature `bson` reads and writes.
    Bson,
    /// A format of the user. Only programs that register it know its number, which must stay the
    /// same as long as records last.
    Private(u8),
}

impl FormatId {
    /// Appends the prefix of a head in this format; formats whose first byte is unique have none.
    pub(super) fn write_prefix(self, out: &mut Vec<u8>) {
        match self {
            Self::Cbor | Self::Json | Self::Yaml => {}
            Self::MessagePack => out.push(1),
            Self::Bson => out.push(2),
            Self::Private(number) => out.extend([0xFF, number]),
        }
    }

    /// The format of `head`, and the length of its prefix.
    pub(super) fn of(head: &[u8]) -> Option<(Self, usize)> {
        match *head {
            [0xA0..=0xBF, ..] => Some((Self::Cbor, 0)),
            [b'{', ..] => Some((Self::Json, 0)),
            [b'-', ..] => Some((Self::Yaml, 0)),
            [1, ..] => Some((Self::MessagePack, 1)),
            [2, ..] => Some((Self::Bson, 1)),
            [0xFF, number, ..] => Some((Self::Private(number), 2)),
            _ => None,
        }
    }

    /// Splits the prefix off.
    pub(super) fn split(head: &Authentic) -> Option<(Self, Authentic)> {
        Self::of(head.as_bytes()).map(|(id, prefix)| (id, head.after(prefix)))
    }
}
