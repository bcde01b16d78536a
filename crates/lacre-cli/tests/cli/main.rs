//! The built program against a small origin on loopback: its output and exit codes.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

mod audit;
mod bad_input;
mod consistency;
#[cfg(unix)]
mod documents;
mod download;
mod first_session;
mod get;
mod inspect;
mod key_sources;
mod keys;
mod maintain;
mod migrate;
mod partitions;
mod remove;
mod sandbox;
mod tls;
