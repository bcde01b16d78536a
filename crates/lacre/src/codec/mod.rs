//! Encodes the head of a slot (docs/format.md §6): [`Cbor`] by default, [`Json`] for reading by
//! people, other formats as features, and any that implements [`Format`].
//!
//! Only [`Authentic`] bytes are decoded. "Parse before verify" does not compile:
//!
//! ```compile_fail,E0308
//! let from_disk: &[u8] = b"\xA0";
//! let slot = lacre::codec::decode(from_disk);
//! ```

#[cfg(feature = "bson")]
mod bson;
mod cbor;
mod draft;
mod formats;
mod id;
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
mod wire;
#[cfg(feature = "yaml")]
mod yaml;

#[cfg(feature = "bson")]
pub use bson::Bson;
pub use cbor::Cbor;
pub(crate) use formats::Formats;
pub use formats::decode;
pub use id::FormatId;
pub use json::Json;
#[cfg(feature = "msgpack")]
pub use msgpack::MessagePack;
#[cfg(feature = "yaml")]
pub use yaml::Yaml;

use crate::stage::StageId;
use crate::{Error, ErrorKind};
use lacre_core::{Slot, StoredBody};
use lacre_seal::{Authentic, BodyId};
use std::error::Error as StdError;
use std::fmt::Debug;

/// A stored slot, with its body described instead of held.
pub type SlotHead = Slot<BodyHead>;

/// The description of a stored body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyHead {
    /// The id that its chunks share.
    pub id: BodyId,
    /// Its length as received from the network, in bytes.
    pub length: u64,
    /// The stages applied to it, in order.
    pub stages: Vec<StageId>,
    /// The number of its chunks; 0: it is in the envelope of the head.
    pub chunks: u32,
}

impl StoredBody for BodyHead {
    fn length(&self) -> u64 {
        self.length
    }
}

/// A format of heads. Formats may be mixed in one store, since each head names its format.
///
/// Write your own for bytes that other programs read. Give it a [private id](FormatId::Private),
/// and pass it to [`Builder::format`](crate::Builder::format), or to
/// [`also_read`](crate::Builder::also_read) once it no longer writes. This one compresses another
/// format:
///
/// ```
/// use lacre::codec::{Cbor, Format, FormatId, SlotHead};
/// use lacre::stage::{Stage, Zstd};
/// use lacre::{Authentic, Error};
///
/// #[derive(Debug)]
/// struct Packed;
///
/// impl Format for Packed {
///     fn id(&self) -> FormatId {
///         FormatId::Private(1)
///     }
///
///     fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
///         let mut plain = Vec::new();
///         Cbor.encode(slot, &mut plain)?;
///         out.extend(Zstd.forward(&plain)?);
///         Ok(())
///     }
///
///     fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error> {
///         Cbor.decode(&Zstd.back(bytes.clone(), 1 << 20)?)
///     }
/// }
///
/// # use lacre::{Cache, store::Memory};
/// Cache::builder().store(Memory::new()?).danger_ephemeral_key().format(Packed).build()?;
/// # Ok::<(), Error>(())
/// ```
pub trait Format: Debug + Send + Sync + 'static {
    /// The id that heads in this format carry.
    fn id(&self) -> FormatId;

    /// Appends the encoding of `slot` to `out`, without the prefix that names the format.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`]: the slot cannot be encoded, for example because its HTTP version has
    /// no number.
    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error>;

    /// Decodes `bytes`, which [`encode`](Self::encode) produced.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`]: they are not in this format, or a field is missing.
    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error>;
}

/// The error for a malformed head. `problem` completes "the record's head …".
fn broken(problem: &str) -> Error {
    Error::new(ErrorKind::Broken, format!("the record's head {problem}")).with_hint(
        "it may come from a newer version of lacre; if not, remove the record, and the response is fetched again",
    )
}

fn broken_by(problem: &str, source: impl StdError + Send + Sync + 'static) -> Error {
    broken(problem).with_source(source)
}

#[cfg(test)]
mod tests;
