//! Bytes in, sealed bytes out.
//!
//! A seal covers *which* store, namespace, key, purpose and lifetime the bytes belong to, so a record that was changed,
//! moved, replayed past its time or copied from elsewhere is refused. This crate knows nothing of HTTP, reads no file
//! and no clock; the bytes it writes are described in `docs/format.md`.
//!
//! From the bottom up: [`Authentic`] is what an opened seal yields · [`MasterKey`] is 32 secret bytes · `derive` makes
//! the keys of one envelope from it, the envelope's header and its [`Context`] · [`Sealer`] seals and opens envelopes,
//! segment by segment, with one [`Suite`] · [`Keyring`] rotates and revokes keys, and a
//! passphrase may lock it (feature `passphrase`) · [`itsdangerous`] reads and writes what
//! that library signs. Whatever is refused is a [`Fault`].
//!
//! ```
//! use std::sync::Arc;
//! use lacre_seal::{Context, Fault, Keyring, Lifetime, UnixMillis, Purpose, Sealer, StoreId, Suite};
//!
//! # fn main() -> Result<(), Fault> {
//! let keyring = Arc::new(Keyring::generate()?);
//! let sealer = Sealer::new(Arc::clone(&keyring), Suite::default());
//! let store = StoreId::generate()?;
//! let key = keyring.row_key(b"GET https://example.org/");
//! let at = Context { purpose: Purpose::Slot, store: &store, namespace: "docs", key: &key };
//!
//! let life = Lifetime { created: UnixMillis::from_millis(1_000), not_after: UnixMillis::from_millis(61_000) };
//! let mut sealed = sealer.seal(&at, life, b"200 OK", b"Hello")?;
//!
//! let now = UnixMillis::from_millis(2_000);
//! assert_eq!(sealer.open(&at, &sealed, now)?.body.as_bytes(), b"Hello");
//!
//! let elsewhere = Context { namespace: "drafts", ..at };
//! assert!(sealer.open(&elsewhere, &sealed, now).unwrap_err().is_tampering());
//! assert!(sealer.open(&at, &sealed, UnixMillis::from_millis(61_001)).unwrap_err().is_lapsed());
//! sealed[120] ^= 1;
//! assert!(sealer.open(&at, &sealed, now).unwrap_err().is_tampering());
//! # Ok(())
//! # }
//! ```

mod authentic;
mod buffer_pool;
mod context;
mod derive;
mod derived_keys;
mod envelope;
mod fault;
mod header;
mod hex;
pub mod itsdangerous;
mod key_id;
mod keyring;
#[cfg(feature = "passphrase")]
mod passphrase;
mod secret;
mod segment;
mod suite;
mod time;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod wycheproof;

pub use authentic::Authentic;
pub use buffer_pool::JoinedBuffer;
pub use context::{AnchorId, BodyId, Context, Position, Purpose, StoreId};
pub use envelope::{Opened, Sealer};
pub use fault::{Fault, FaultKind};
pub use header::{EnvelopeStart, Header, SealInfo};
pub use key_id::KeyId;
pub use keyring::{Keyring, MasterKey};
#[cfg(feature = "passphrase")]
pub use passphrase::Passphrase;
pub use suite::Suite;
pub use time::{Lifetime, UnixMillis};
