//! Looking after a store: tampering and its policies, rollback, quarantine, sweeping, rotation in
//! bulk, anchors.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod anchor;
#[cfg(unix)]
mod copies;
mod locked;
mod quarantine;
mod reseal;
mod rollback;
mod sweep;
mod tamper;
mod tier;
mod world;
