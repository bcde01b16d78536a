//! The rules of HTTP caching as a state machine over values: no IO, no clock, no keys.
//!
//! An [`Engine`] holds one user's [`Policy`]. For each request, [`Engine::begin`] says what to look up in a store, [`Lookup::found`]
//! takes what was there and decides whether to serve it, to send the request or to refuse, and [`Pending::settle`] takes what the
//! network said and decides what to keep. Every step is a pure function of its arguments, `now` among them.
//!
//! ```
//! use lacre_core::{Decision, Engine, Outcome, Policy, RequestBody, Settled, Slot, Timestamp};
//! use std::{sync::Arc, time::Duration};
//!
//! // Rows are named by a keyed digest; this toy has no key.
//! let engine = Arc::new(Engine::new(Policy::rfc9111(), |identity: &[u8]| *blake3::hash(identity).as_bytes()));
//! let request = || http::Request::get("http://example.com/").body(()).unwrap().into_parts().0;
//! let now = Timestamp::from_seconds(1_700_000_000);
//!
//! // A miss: look up, find nothing, send.
//! let Decision::Lookup(lookup) = engine.begin::<bytes::Bytes>(request(), RequestBody::Seen(b""), now) else { panic!() };
//! let Decision::Send(pending) = lookup.found::<bytes::Bytes>(None, now) else { panic!() };
//! let (response, ()) = http::Response::builder().header("cache-control", "max-age=60").body(()).unwrap().into_parts();
//! let Settled::Network { insert: Some(insert), .. } = pending.settle(Outcome::Response(&response), now) else { panic!() };
//!
//! // A hit, half a minute later.
//! let later = now.plus(Duration::from_secs(30));
//! let Decision::Lookup(lookup) = engine.begin::<bytes::Bytes>(request(), RequestBody::Seen(b""), later) else { panic!() };
//! assert_eq!(*lookup.key(), insert.key);
//! let stored = Slot::Entry(Box::new(insert.entry.with_body(bytes::Bytes::from_static(b"hello"))));
//! let Decision::Serve(hit) = lookup.found(Some(stored), later) else { panic!() };
//! assert_eq!(hit.status().to_string(), "lacre; hit; ttl=30");
//! ```
//!
//! Where to find a rule: what the user wishes is in `policy`, `options` and `ttl`; what a message says in `directives`, `targeted`,
//! `date`, `framing`, `range` and `vary`; the RFC's arithmetic in `rules` and `validate`; the order of steps in `exchange`; who may share an answer in
//! `key`, `target` and `transport`; what is never stored, or never readable, in `redact` and `sensitivity`.

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
pub use framing::{FramingError, content_length, is_chunked, normalize_content_length};
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
