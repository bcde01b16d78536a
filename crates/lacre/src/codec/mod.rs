//! How a slot's head is written as bytes (docs/format.md §6): [`Cbor`] by default, [`Json`] for reading with one's own eyes.
//!
//! Only [`Authentic`] bytes are decoded. "Parse before verify" does not compile:
//!
//! ```compile_fail,E0308
//! let from_disk: &[u8] = b"\xA0";
//! let slot = lacre::codec::decode(from_disk);
//! ```

mod cbor;
mod draft;
mod json;

pub use cbor::Cbor;
pub use json::Json;

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

/// A way to write heads. Formats may be mixed in one store: [`decode`] tells them apart.
pub trait Format: Debug + Send + Sync + 'static {
    /// Appends the bytes of `slot` to `out`.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`] when the slot cannot be written down, such as one whose HTTP version has no number.
    fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error>;

    /// The slot that `bytes` describe.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`] when they are not of this format, or lack something.
    fn decode(&self, bytes: &Authentic) -> Result<SlotHead, Error>;
}

/// The slot that `bytes` describe, in whatever format they are.
///
/// # Errors
/// [`ErrorKind::Broken`] when no format can read them.
pub fn decode(bytes: &Authentic) -> Result<SlotHead, Error> {
    match bytes.as_bytes().first() {
        Some(0xA0..=0xBF) => Cbor.decode(bytes),
        Some(b'{') => Json.decode(bytes),
        _ => Err(broken("is of no known format")),
    }
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
