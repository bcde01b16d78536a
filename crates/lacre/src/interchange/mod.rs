//! Files of other HTTP caches, read into a sealed cache and written from one.

#[cfg(feature = "requests-cache")]
pub mod requests_cache;
