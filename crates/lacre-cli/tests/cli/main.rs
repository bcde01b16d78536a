//! The built program against a small origin on loopback: what it prints, where, and how it ends.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod audit;
mod bad_input;
#[cfg(unix)]
mod documents;
mod download;
mod get;
mod key_sources;
mod keys;
mod look;
mod maintain;
mod migrate;
mod newcomer;
mod principals;
mod remove;
mod surprises;
mod tls;
mod world;
