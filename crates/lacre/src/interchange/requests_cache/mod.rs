//! Reads and writes the files of requests-cache 0.8 to 1.3, and never executes a pickle.
//!
//! A [`Serializer`] converts stored bytes to a [`Response`] and back. [`Source`] iterates over a
//! whole cache, [`Importer`] seals its responses, and [`cache_key`] computes the keys of
//! requests-cache. A signature is verified before anything is parsed; unsigned bytes are read only
//! through a function with `danger` in its name.
//!
//! ```
//! use lacre::interchange::requests_cache::Serializer;
//! # use lacre::interchange::requests_cache::{Request, Response};
//! # let url = "http://example.com/".to_owned();
//! # let request = Request { method: "GET".into(), url: url.clone(), ..Request::default() };
//! # let response = Response {
//! #     status: http::StatusCode::OK, reason: None, url, headers: vec![], body: "hello".into(),
//! #     encoding: None, cookies: vec![], elapsed: Default::default(),
//! #     created: lacre::Timestamp::from_seconds(1_700_000_000),
//! #     expires: None, request, history: vec![], next: None,
//! # };
//! let serializer = Serializer::safe_pickle("a secret of at least 32 random bytes")?;
//! let stored = serializer.encode(&response);
//! assert_eq!(serializer.decode(&stored)?, response);
//! # Ok::<(), lacre::Error>(())
//! ```

mod base_encoding;
mod cbor;
mod error;
mod import;
mod json;
mod key;
mod migration;
mod pickle;
mod response;
mod sealed;
mod serializer;
mod source;
mod value;
mod yaml;

pub use import::{Imported, Importer};
pub use key::{IGNORED_PARAMETERS, KeySettings, Verification, cache_key, normalize_url};
pub use lacre_seal::JoinedBuffer;
pub use migration::Migration;
pub use response::{Request, Response};
pub use sealed::{Place, SealedValues, keyring_of_secret};
pub use serializer::{Format, Serializer};
pub use source::{Source, SourceKind, Stored};
pub use value::Value;
