//! Stages transform bodies between the network and the seal, for example by compression. Undoing a
//! stage takes [`Authentic`] bytes and a limit, so that unverified bytes and decompression bombs
//! are never unpacked.

#[cfg(feature = "brotli")]
mod brotli;
#[cfg(feature = "gzip")]
mod gzip;
mod id;
#[cfg(feature = "lz4")]
mod lz4;
mod stages;
#[cfg(test)]
mod tests;
mod zstd;

#[cfg(feature = "brotli")]
pub use brotli::Brotli;
#[cfg(feature = "gzip")]
pub use gzip::Gzip;
pub use id::StageId;
#[cfg(feature = "lz4")]
pub use lz4::Lz4;
pub(crate) use stages::Stages;
pub use zstd::Zstd;

use crate::{Error, ErrorKind};
use lacre_seal::Authentic;
use std::fmt::Debug;
use std::io;

/// A reversible transformation of stored bodies.
///
/// Write your own where no built-in stage fits. Give it a [private id](StageId::Private), and pass
/// it to [`Builder::stage`](crate::Builder::stage), or to [`also_undo`](crate::Builder::also_undo)
/// once it is no longer applied. This one stores each byte as its difference from the one before,
/// which makes samples and pixels compress better:
///
/// ```
/// use lacre::stage::{Stage, StageId, Zstd};
/// use lacre::{Authentic, Error, ErrorKind};
///
/// #[derive(Debug)]
/// struct Differences;
///
/// impl Stage for Differences {
///     fn id(&self) -> StageId {
///         StageId::Private(1)
///     }
///
///     fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
///         let before = std::iter::once(&0).chain(bytes);
///         Ok(bytes.iter().zip(before).map(|(byte, before)| byte.wrapping_sub(*before)).collect())
///     }
///
///     fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error> {
///         if bytes.len() > limit {
///             return Err(Error::new(ErrorKind::Broken, "a stored body is longer than its head
///             says"));
///         }
///         let mut last = 0_u8;
///         bytes.try_map(|bytes| {
///             Ok(bytes.iter().map(|difference| { last = last.wrapping_add(*difference); last
///             }).collect())
///         })
///     }
/// }
///
/// # use lacre::{Cache, store::Memory};
/// Cache::builder().store(Memory::new()?).danger_ephemeral_key().stage(Differences).stage(Zstd).build()?;
/// # Ok::<(), Error>(())
/// ```
pub trait Stage: Debug + Send + Sync + 'static {
    /// The id of this stage in a head.
    fn id(&self) -> StageId;

    /// Transforms `bytes`.
    ///
    /// # Errors
    /// [`ErrorKind::Broken`]: the transformation fails.
    fn forward(&self, bytes: &[u8]) -> Result<Vec<u8>, Error>;

    /// Undoes [`forward`](Self::forward).
    ///
    /// # Errors
    /// [`ErrorKind::Broken`]: `bytes` are malformed, or the result is longer than `limit` bytes.
    fn back(&self, bytes: Authentic, limit: usize) -> Result<Authentic, Error>;
}

fn not_packed(error: io::Error) -> Error {
    Error::new(ErrorKind::Broken, "a body cannot be compressed").with_source(error)
}

fn not_unpacked(error: io::Error) -> Error {
    Error::new(ErrorKind::Broken, "a stored body does not decompress to its length")
        .with_hint("remove the record; the response is then fetched again")
        .with_source(error)
}
