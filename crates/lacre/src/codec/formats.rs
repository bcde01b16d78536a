//! Which format writes a head, and which reads it: the user's own before ours.

use super::{Format, FormatId, SlotHead, broken};
use crate::{Error, ErrorKind};
use lacre_seal::Authentic;
use std::sync::Arc;

/// The formats of one cache.
#[derive(Debug)]
pub(crate) struct Formats {
    pub(crate) writer: Arc<dyn Format>,
    /// What it reads beside the writer's format and ours.
    pub(crate) readers: Vec<Arc<dyn Format>>,
}

impl Formats {
    /// Appends the bytes of `slot` to `out`, announced so that [`decode`](Self::decode) knows them again.
    pub(crate) fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        let (start, id) = (out.len(), self.writer.id());
        id.announce(out);
        self.writer.encode(slot, out)?;
        match FormatId::of(&out[start..]) {
            Some((written, _)) if written == id => Ok(()),
            _ => Err(broken("is not written in the format that its id names")),
        }
    }

    /// The slot that `head` describes, in whatever known format it is.
    pub(crate) fn decode(&self, head: &Authentic) -> Result<SlotHead, Error> {
        let (id, content) = split(head)?;
        match self.own().find(|format| format.id() == id) {
            Some(own) => own.decode(&content),
            None => ours(id)?.decode(&content),
        }
    }

    /// The formats that the user chose, which come before ours.
    pub(crate) fn own(&self) -> impl Iterator<Item = &dyn Format> {
        std::iter::once(&self.writer).chain(&self.readers).map(AsRef::as_ref)
    }
}

/// The slot that `head` describes, in whichever of our formats it is.
///
/// # Errors
/// [`ErrorKind::Broken`](crate::ErrorKind::Broken) when none can read it; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)
/// when this build does not have its format.
pub fn decode(head: &Authentic) -> Result<SlotHead, Error> {
    let (id, content) = split(head)?;
    ours(id)?.decode(&content)
}

fn split(head: &Authentic) -> Result<(FormatId, Authentic), Error> {
    FormatId::split(head).ok_or_else(|| broken("is of no known format"))
}

fn ours(id: FormatId) -> Result<&'static dyn Format, Error> {
    match id {
        FormatId::Cbor => Ok(&super::Cbor),
        FormatId::Json => Ok(&super::Json),
        #[cfg(feature = "yaml")]
        FormatId::Yaml => Ok(&super::Yaml),
        #[cfg(feature = "msgpack")]
        FormatId::MessagePack => Ok(&super::MessagePack),
        #[cfg(feature = "bson")]
        FormatId::Bson => Ok(&super::Bson),
        FormatId::Private(number) => Err(unsupported(&format!(
            "is in the private format {number}, which this cache does not know"
        ))
        .with_hint(
            "name that format with Builder::format or Builder::also_read, or use the program that wrote it",
        )),
        #[cfg(not(all(feature = "yaml", feature = "msgpack", feature = "bson")))]
        _ => Err(unsupported(&format!("is in a format that this build does not read: {id:?}"))
            .with_hint("build lacre with the feature of that format: `yaml`, `msgpack` or `bson`")),
    }
}

/// A head that nothing is wrong with. `what` completes "the record's head …".
fn unsupported(what: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the record's head {what}"))
}
