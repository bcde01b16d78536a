//! The rules of HTTP caching (RFC 9111) as a state machine over values: no IO, no clock, no keys.
//!
//! An [`Engine`] holds a user's [`Policy`]. For each request, [`Engine::begin`] returns the key to
//! look up in a store. [`Lookup::found`] takes the record and decides whether to serve it, to send
//! the request or to refuse. [`Pending::settle`] takes the answer of the network and decides what
//! to store. Every step is a pure function of its arguments, including `now`.
//!
//! ```
//! use lacre_core::{Decision, Engine, Outcome, Policy, RequestBody, Settled, Slot, Timestamp};
//! use std::{sync::Arc, time::Duration};
//!
//! // Row keys are keyed digests. This example uses a digest without a key.
//! let digest = |identity: &[u8]| *blake3::hash(identity).as_bytes();
//! let engine = Arc::new(Engine::new(Policy::rfc9111(), digest));
//! let request = || http::Request::get("http://example.com/").body(()).unwrap().into_parts().0;
//! let begin = |now| engine.begin::<bytes::Bytes>(request(), RequestBody::Seen(b""), now);
//! let now = Timestamp::from_seconds(1_700_000_000);
//!
//! // A miss: the store has no record, so the request is sent and the response is stored.
//! let Decision::Lookup(lookup) = begin(now) else { panic!() };
//! let Decision::Send(pending) = lookup.found::<bytes::Bytes>(None, now) else { panic!() };
//! let response = http::Response::builder().header("cache-control", "max-age=60");
//! let (response, ()) = response.body(()).unwrap().into_parts();
//! let settled = pending.settle(Outcome::Response(&response), now);
//! let Settled::Network { insert: Some(insert), .. } = settled else { panic!() };
//!
//! // A hit, 30 seconds later.
//! let later = now.plus(Duration::from_secs(30));
//! let Decision::Lookup(lookup) = begin(later) else { panic!() };
//! assert_eq!(*lookup.key(), insert.key);
//! let entry = insert.entry.with_body(bytes::Bytes::from_static(b"hello"));
//! let record = Some(Slot::Entry(Box::new(entry)));
//! let Decision::Serve(hit) = lookup.found(record, later) else { panic!() };
//! assert_eq!(hit.status().to_string(), "lacre; hit; ttl=30");
//! ```
//!
//! # Modules
//!
//! | modules | content |
//! |---|---|
//! | `exchange` | the steps for one request, in the order of RFC 9111 §4 |
//! | `storability` | whether a response may be stored (§3), and invalidation (§4.4) |
//! | `freshness`, `entry_state` | lifetimes and age (§4.2), use of stale responses (§4.2.4, RFC 5861) |
//! | `validate` | validation and the client's conditions (§4.3) |
//! | `directives`, `targeted`, `origin_directives` | `Cache-Control`, `CDN-Cache-Control`, and which of them applies |
//! | `date`, `framing`, `range`, `vary`, `header_fields` | further header fields |
//! | `policy`, `options`, `ttl` | the settings of the user |
//! | `key`, `identity`, `credentials`, `target`, `transport` | the cache key: which requests share an answer |
//! | `redact`, `sensitivity`, `audit` | secrets: what is never stored, what is never readable, what was stored nevertheless |
//! | `slot`, `hit`, `status` | stored entries, hits, and `Cache-Status` (RFC 9211) |
//!
//! The rules and their tests are listed in docs/rfc9111.md.

mod audit;
mod credentials;
mod date;
mod directives;
mod entry_state;
mod error;
mod exchange;
mod framing;
mod freshness;
mod header_fields;
mod hit;
mod identity;
mod key;
mod options;
mod origin_directives;
mod policy;
mod range;
mod redact;
mod sensitivity;
mod slot;
mod status;
mod storability;
mod target;
mod targeted;
mod time;
mod transport;
mod ttl;
mod validate;
mod vary;

pub use audit::{Audit, AuditFinding, Coverage, Detector, FindingLocation, Fingerprint, MAX_AUDITED_BODY};
pub use date::parse_http_date;
pub use directives::{MaxStale, RequestDirectives, ResponseDirectives};
pub use error::Error;
pub use exchange::{
    Decision, Engine, Insert, LastFailure, Lookup, Outcome, Pending, RequestBody, Settled, Touch,
};
pub use framing::{FramingError, content_length, is_chunked, normalize_content_length, parse_content_length};
pub use freshness::{Freshness, LifetimeSource};
pub use header_fields::strip_hop_by_hop;
pub use hit::Hit;
pub use key::{Digest, Key};
pub use options::{Mode, RequestOptions};
pub use policy::{MatchHeaders, OriginHeaders, Policy, QueryOrder, Scope, Staleness};
pub use redact::{Redactor, SecretFormat};
pub use sensitivity::Sensitivity;
pub use slot::{Entry, Pointer, Slot, StoredBody, VariantIndex};
pub use status::{CacheStatus, Collapsed, Detail, Forward, Stored};
pub use target::target_uri;
pub use time::Timestamp;
pub use transport::Transport;
pub use ttl::{Expire, Ttl, UrlPattern};
pub use validate::HitKind;
pub use vary::{Varies, varies};
