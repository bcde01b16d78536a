//! How a reader knows what a head is written in (docs/format.md §6).

use lacre_seal::Authentic;

/// What a head is written in.
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
    /// A format of the user's own. Its number means something to those who register that format, and must stay the same for as
    /// long as records last.
    Private(u8),
}

impl FormatId {
    /// Appends what stands before a head in this format: nothing where the format's own first byte tells.
    pub(super) fn announce(self, out: &mut Vec<u8>) {
        match self {
            Self::Cbor | Self::Json | Self::Yaml => {}
            Self::MessagePack => out.push(1),
            Self::Bson => out.push(2),
            Self::Private(number) => out.extend([0xFF, number]),
        }
    }

    /// What `head` is written in, and how many bytes say so before it begins.
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

    /// `head` without its announcement.
    pub(super) fn split(head: &Authentic) -> Option<(Self, Authentic)> {
        Self::of(head.as_bytes()).map(|(id, announcement)| (id, head.after(announcement)))
    }
}
