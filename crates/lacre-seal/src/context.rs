//! The context of an envelope: facts that are bound into its key and are never stored in it
//! (docs/format.md §2).

use std::fmt;

use crate::{Fault, FaultKind, hex, secret};

/// The place of an envelope. The caller states it when sealing and opening.
///
/// An envelope opens only under the context in which it was sealed.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The purpose of the envelope.
    pub purpose: Purpose,
    /// The store that contains it.
    pub store: &'a StoreId,
    /// The application's name for its part of the store. May be empty.
    pub namespace: &'a str,
    /// The row key of its record, from [`Keyring::row_key`](crate::Keyring::row_key).
    pub key: &'a [u8; 32],
}

/// The purpose of an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The record of a row key, of any kind (decision 1).
    Slot,
    /// A chunk of a large body.
    Chunk {
        /// The body.
        body: BodyId,
        /// The index of the chunk, from 0.
        index: u32,
        /// Whether more chunks follow.
        position: Position,
    },
    /// A quarantined record: bytes that were found under a row key and did not open.
    Quarantine,
    /// A piece of an anchor: the state of a store, recorded outside of it.
    Anchor {
        /// The anchor.
        anchor: AnchorId,
        /// The index of the piece, from 0.
        index: u32,
        /// Whether more pieces follow.
        position: Position,
    },
    /// A keyring that is locked with a passphrase.
    Keyring,
    /// The list of namespaces in a store.
    Namespaces,
    /// A piece of a value of the Python package.
    Value {
        /// The value.
        value: BodyId,
        /// The index of the piece, from 0.
        index: u32,
        /// Whether more pieces follow.
        position: Position,
    },
}

/// The position of a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// More pieces follow.
    Inner,
    /// The last piece.
    Last,
}

impl Context<'_> {
    /// Calls `sink` with the pieces whose concatenation is the context of §2.
    ///
    /// # Errors
    /// The namespace is longer than its length field can express.
    pub(crate) fn feed(&self, mut sink: impl FnMut(&[u8])) -> Result<(), Fault> {
        let detail;
        let (purpose, detail): (&[u8], &[u8]) = match self.purpose {
            Purpose::Slot => (b"slot", &[]),
            Purpose::Chunk { body, index, position } => {
                detail = piece(&body.0, index, position);
                (b"chunk", &detail)
            }
            Purpose::Quarantine => (b"quarantine", &[]),
            Purpose::Anchor { anchor, index, position } => {
                detail = piece(&anchor.0, index, position);
                (b"anchor", &detail)
            }
            Purpose::Keyring => (b"keyring", &[]),
            Purpose::Namespaces => (b"namespaces", &[]),
            Purpose::Value { value, index, position } => {
                detail = piece(&value.0, index, position);
                (b"value", &detail)
            }
        };
        for part in [purpose, &self.store.0, self.namespace.as_bytes(), self.key, detail] {
            let length = u32::try_from(part.len()).map_err(|_| Fault::from(FaultKind::TooLarge))?;
            sink(&length.to_be_bytes());
            sink(part);
        }
        Ok(())
    }
}

/// Encodes the identity and position of a piece.
fn piece(of: &[u8; 16], index: u32, position: Position) -> [u8; 21] {
    let mut detail = [0; 21];
    detail[..16].copy_from_slice(of);
    detail[16..20].copy_from_slice(&index.to_be_bytes());
    detail[20] = u8::from(position == Position::Last);
    detail
}

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Generates an id.
            ///
            /// # Errors
            /// [`FaultKind::Random`] if the operating system has no random bytes.
            pub fn generate() -> Result<Self, Fault> {
                secret::random().map(Self)
            }

            /// Creates an id from stored bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        /// Shows 32 lower-case hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex::write(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    };
}

random_id! {
    /// 16 random bytes, generated with a store and kept in it.
    StoreId
}

random_id! {
    /// 16 random bytes, shared by the chunks of one body.
    BodyId
}

random_id! {
    /// 16 random bytes, shared by the pieces of one anchor.
    AnchorId
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(context: &Context<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        context.feed(|piece| out.extend_from_slice(piece)).unwrap();
        out
    }

    #[test]
    fn every_part_carries_its_length() {
        let store = StoreId::from_bytes([1; 16]);
        let body = BodyId::from_bytes([2; 16]);
        let purpose = Purpose::Chunk { body, index: 3, position: Position::Last };
        let context = Context { purpose, store: &store, namespace: "ns", key: &[4; 32] };
        let expected = [
            b"\0\0\0\x05chunk\0\0\0\x10".as_slice(),
            &[1; 16],
            b"\0\0\0\x02ns\0\0\0\x20",
            &[4; 32],
            b"\0\0\0\x15",
            &[2; 16],
            b"\0\0\0\x03\x01",
        ];
        assert_eq!(encoded(&context), expected.concat());
    }

    #[test]
    fn ids_are_shown_in_hexadecimal_and_never_repeat() {
        assert_eq!(StoreId::from_bytes([0xA0; 16]).to_string(), "a0".repeat(16));
        assert_ne!(BodyId::generate().unwrap(), BodyId::generate().unwrap());
    }
}
