//! How a slot's head is written as bytes (docs/format.md §6): [`Cbor`] by default, [`Json`] for reading with one's own eyes, others
//! as features, and whatever else implements [`Format`].
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

/// What lies under a key, with its body described instead of held.
pub type SlotHead = Slot<BodyHead>;

/// Where a body lies and what was done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyHead {
    /// The name that its chunks share.
    pub id: BodyId,
    /// Its bytes as the network sent them.
    pub length: u64,
    /// What it went through, in the order applied.
    pub stages: Vec<StageId>,
    /// How many chunks it was cut into; 0: it lies in the head's own envelope.
    pub chunks: u32,
}

impl StoredBody for BodyHead {
    fn length(&self) -> u64 {
        self.length
    }
}

/// A way to write heads. Formats may be mixed in one store, since each head says what it is written in.
///
/// Write one of your own for bytes that your other programs read; give it a [private id](FormatId::Private), and name it to
/// [`Builder::format`](crate::Builder::format), or to [`also_read`](crate::Builder::also_read) where it no longer writes. This one
/// compresses what another one writes:
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
    /// By what a reader knows this format again.
    fn id(&self) -> FormatId;

    /// Appends the bytes of `slot` to `out`. What announces the id is not among them.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`] when the slot cannot be written down, such as one whose HTTP version has no number.
    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error>;

    /// The slot that `bytes` describe, which are what [`encode`](Self::encode) appended.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`] when they are not of this format, or lack something.
    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error>;
}

/// A head that cannot be read. `what` completes "the record's head …".
fn broken(what: &str) -> Error {
    Error::new(ErrorKind::Broken, format!("the record's head {what}")).with_hint(
        "it may be of a newer version of lacre; remove the record, and the response is fetched again",
    )
}

fn broken_by(what: &str, source: impl StdError + Send + Sync + 'static) -> Error {
    broken(what).with_source(source)
}

#[cfg(test)]
mod tests;
