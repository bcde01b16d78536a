//! Seals: bytes in, sealed bytes out.
//!
//! A seal binds bytes to a store, a namespace, a row key, a purpose and a lifetime. A record that
//! was changed, moved, copied from elsewhere or replayed after its time does not open. This crate
//! knows no HTTP, reads no file and no clock. docs/format.md describes the bytes that it writes.
//!
//! ```
//! use std::sync::Arc;
//! use lacre_seal::{
//!     Context, Fault, Keyring, Lifetime, Purpose, Sealer, StoreId, Suite, UnixMillis,
//! };
//!
//! # fn main() -> Result<(), Fault> {
//! let keyring = Arc::new(Keyring::generate()?);
//! let sealer = Sealer::new(Arc::clone(&keyring), Suite::default());
//! let store = StoreId::generate()?;
//! let key = keyring.row_key(b"GET https://example.org/");
//! let at = Context { purpose: Purpose::Slot, store: &store, namespace: "docs", key: &key };
//!
//! let created = UnixMillis::from_millis(1_000);
//! let life = Lifetime { created, not_after: UnixMillis::from_millis(61_000) };
//! let mut sealed = sealer.seal(&at, life, b"200 OK", b"Hello")?;
//!
//! let now = UnixMillis::from_millis(2_000);
//! assert_eq!(sealer.open(&at, &sealed, now)?.body.as_bytes(), b"Hello");
//!
//! // Another place, a later time, a changed byte.
//! let other = Context { namespace: "drafts", ..at };
//! assert!(sealer.open(&other, &sealed, now).unwrap_err().is_tampering());
//! let late = UnixMillis::from_millis(61_001);
//! assert!(sealer.open(&at, &sealed, late).unwrap_err().is_lapsed());
//! sealed[120] ^= 1;
//! assert!(sealer.open(&at, &sealed, now).unwrap_err().is_tampering());
//! # Ok(())
//! # }
//! ```
//!
//! # Modules
//!
//! | modules | content |
//! |---|---|
//! | `authentic` | [`Authentic`]: the content of an opened seal |
//! | `envelope`, `header`, `segment`, `suite` | [`Sealer`], and the parts of an envelope by [`Suite`] |
//! | `context`, `time` | the place and the [`Lifetime`] that a seal binds |
//! | `keyring`, `key_id`, `secret`, `passphrase` | [`Keyring`]: rotation, revocation, and locking with a passphrase |
//! | `derive`, `derived_keys` | the keys of an envelope, and a cache of them |
//! | `buffer_pool` | reused buffers for plaintext |
//! | `fault` | [`Fault`]: every reason for a refusal |
//! | [`itsdangerous`] | signatures of that Python library, for files of other software |

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
