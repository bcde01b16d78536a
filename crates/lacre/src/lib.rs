//! An HTTP cache that seals what it stores.
//!
//! Every stored response is encrypted and authenticated with a key that is kept apart from the
//! cache, and bound to its place and time. A record that was changed, moved, replayed or copied
//! from elsewhere is refused instead of served. The caching rules are those of RFC 9111 and of the
//! user's [`Policy`].
//!
//! ```
//! use lacre::{Cache, Policy, store::Sqlite};
//! use std::time::Duration;
//!
//! # let directory = tempfile::tempdir()?;
//! # let path = directory.path().join("cache.sqlite");
//! let cache = Cache::builder()
//!     .store(Sqlite::open(&path)?)
//!     // A program keeps its key: `.keys(&lacre::keys::user(&lacre::Tracing)?)`
//!     .danger_ephemeral_key()
//!     .policy(Policy::rfc9111().expire_after(Duration::from_secs(3600)))
//!     .build()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Cache`] never opens a socket. A driver such as `lacre-reqwest` asks the cache before it
//! sends a request, and settles the outcome afterwards.
//!
//! # Modules
//!
//! Imports go one way, from the top of this list to the bottom:
//!
//! - `drive`: [`Driver`], which does everything around a cache but send: coalescing, background
//!   refresh, redirects
//! - [`interchange`]: files of other HTTP caches
//! - `maintain`: listing, verifying, resealing, sweeping, auditing and anchoring a store
//! - `cache`: [`Cache`] and its [`Builder`], the engine of `lacre-core` over sealed storage
//! - `body`: [`Body`] and [`Recording`]; bodies read, stored, and shared while they arrive
//! - `storage`: opening and sealing records; the memory cache, the rollback guard, quarantine
//! - [`store`], [`codec`], [`stage`], [`keys`]: where records lie, how they are encoded and
//!   compressed, where keys come from
//! - `error`, `events`, `clock`, [`config`], [`fork`], [`sanitize`]: [`Error`], [`Observer`], time,
//!   the environment, forks, text that is safe to show
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
    AnchorWritten, Anchored, AuditCounts, Audited, Change, Finding, Listed, ListedRow, ListingDepth,
    OwnershipCheck, Quarantined, RecordState, Resealed, ResealedRow, Selected, Selection, Selector,
    StateCounts, Stored, VerifyReport,
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
