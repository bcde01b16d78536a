//! An HTTP cache that seals what it stores.
//!
//! A response is encrypted and authenticated with a key that is kept apart from the cache, and bound to its place: a byte changed on
//! disk, a record moved, replayed past its time or copied from elsewhere is refused instead of served. What is cached follows
//! RFC 9111 and the user's [`Policy`].
//!
//! ```
//! use lacre::{Cache, Policy, store::Sqlite};
//! use std::time::Duration;
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("cache.sqlite");
//! let cache = Cache::builder()
//!     .store(Sqlite::open(&path)?)
//!     .danger_ephemeral_key() // A program keeps its key: `.keys(&lacre::keys::user(&lacre::Tracing)?)`
//!     .policy(Policy::rfc9111().expire_after(Duration::from_secs(3600)))
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Cache`] never touches a socket; a driver such as `lacre-reqwest` asks it before the network and settles after. From the top down:
//! [`Driver`] does what all drivers have in common · `cache` drives the engine of `lacre-core` over [`store`]s of records that `lacre-seal`
//! sealed · [`codec`] and [`stage`] say how a response becomes bytes · [`keys`] says where keys come from · [`Observer`] is told what
//! happens. What goes wrong is an [`Error`].
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | what it adds |
//! |---|---|
//! | `bson`, `msgpack`, `yaml` | formats of heads beside CBOR and JSON ([`codec`]) |
//! | `brotli`, `gzip`, `lz4` | stages of bodies beside Zstandard ([`stage`]) |
//! | `cookies` | `Cookies`, for clients that keep them above the cache |
//! | `keys-kdbx` | keys in a KeePassXC database |
//! | `keys-os` | keys in the keyring of the desktop or of the Linux kernel |
//! | `keys-passphrase` | keyrings that a passphrase locks |
//! | `requests-cache` | reads and writes the files of requests-cache |
//! | `store-suite` | the checks that every store must pass, for those who write one |

mod body;
mod cache;
mod clock;
mod drive;
mod error;
mod events;
mod files;
mod maintain;
mod storage;
mod wait;

pub mod codec;
pub mod config;
pub mod fork;
pub mod interchange;
pub mod keys;
pub mod sanitize;
pub mod stage;
pub mod store;

pub use body::{Body, Recording};
pub use cache::{Answer, Builder, Cache, CacheInfo, Reply, Settlement, Ticket};
pub use clock::{Clock, ManualClock, SystemClock};
#[cfg(feature = "cookies")]
pub use drive::Cookies;
pub use drive::{
    Background, Coding, Codings, Content, Driver, ExpansionLimit, Failure, Hop, HopBody, Network, RateLimit,
    Runtime, TeeBody, Threads, TooManyRedirects, add_default_headers, unseen_id, varies_by_unseen,
};
pub use error::{Error, ErrorKind, StoreErrorKind};
pub use events::{Event, Observer, Tracing};
pub use maintain::{
    AnchorWritten, Anchored, Audited, Change, Finding, Listed, Quarantined, Resealed, ResealedRow, Selected,
    Selection, Stored,
};
pub use storage::{OnStoreFailure, OnTamper, Pass, RecordKind, Resealing, StoreRegistry};
pub use wait::wait;

pub use lacre_core::{
    Audit, AuditFinding, CacheStatus, Collapsed, Coverage, Detail, Detector, Engine, Entry, Expire,
    FindingLocation, Fingerprint, Forward, FramingError, Freshness, Key, LifetimeSource, MatchHeaders, Mode,
    OriginHeaders, Outcome, Policy, QueryOrder, Redactor, RequestBody, RequestOptions, Scope, SecretFormat,
    Slot, Staleness, StoredBody, Timestamp, Transport, Ttl, UrlPattern, VariantIndex, Varies, content_length,
    is_chunked, normalize_content_length, strip_hop_by_hop, target_uri, varies,
};
pub use lacre_seal::{
    Authentic, BodyId, Fault, FaultKind, KeyId, Keyring, MasterKey, SealInfo, StoreId, Suite, itsdangerous,
};

// Its examples use this crate, so they are compiled here.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/serializers.md")]
struct Serializers;
