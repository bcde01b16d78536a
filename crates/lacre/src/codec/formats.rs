//! Which format writes a head, and which reads it: the user's own before ours.

use super::{Format, FormatId, SlotHead, broken};
use crate::{Error, ErrorKind};
use lacre_seal::Authentic;
use std::sync::Arc;

/// The formats of one cache.
#[derive(Debug)]
pub(crate) struct Formats {
    pub(crate) writer: Arc<dyn Format>,
    /// The formats it reads besides the writer and the built-in ones.
    pub(crate) readers: Vec<Arc<dyn Format>>,
}

impl Formats {
    /// Appends the encoding of `slot` to `out`, with the prefix that names the format.
    pub(crate) fn encode(&self, slot: &SlotHead, out: &mut Vec<u8>) -> Result<(), Error> {
        let (start, id) = (out.len(), self.writer.id());
        id.write_prefix(out);
        self.writer.encode(slot, out)?;
        match FormatId::of(&out[start..]) {
            Some((written, _)) if written == id => Ok(()),
            _ => Err(broken("is not in the format that its id names")),
        }
    }

    /// Decodes `head` in any known format.
    pub(crate) fn decode(&self, head: &Authentic) -> Result<SlotHead, Error> {
        let (id, content) = split(head)?;
        match self.custom().find(|format| format.id() == id) {
            Some(own) => own.decode(&content),
            None => built_in(id)?.decode(&content),
        }
    }

    /// The formats of the user, which are tried before the built-in ones.
    pub(crate) fn custom(&self) -> impl Iterator<Item = &dyn Format> {
        std::iter::once(&self.writer).chain(&self.readers).map(AsRef::as_ref)
    }
}

/// Decodes `head` in any built-in format.
///
/// # Errors
/// [`ErrorKind::Broken`](crate::ErrorKind::Broken): it is malformed.
/// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported): its format is not compiled in.
pub fn decode(head: &Authentic) -> Result<SlotHead, Error> {
    let (id, content) = split(head)?;
    built_in(id)?.decode(&content)
}

fn split(head: &Authentic) -> Result<(FormatId, Authentic), Error> {
    FormatId::split(head).ok_or_else(|| broken("is in no known format"))
}

fn built_in(id: FormatId) -> Result<&'static dyn Format, Error> {
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
            "pass that format to Builder::format or Builder::also_read, or use the program that wrote it",
        )),
        #[cfg(not(all(feature = "yaml", feature = "msgpack", feature = "bson")))]
        _ => Err(unsupported(&format!("is in a format that this build does not read: {id:?}"))
            .with_hint("build lacre with the feature of that format: `yaml`, `msgpack` or `bson`")),
    }
}

/// The error for a well-formed head in an unknown format. `problem` completes "the record's head
/// …".
fn unsupported(problem: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("the record's head {problem}"))
}
