//! Tests of the engine through its public API, by RFC section.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod cache;
mod cookies;
mod freshness;
mod invalidation;
mod lifetimes;
mod overrides;
mod policy;
mod principals;
mod ranges;
mod robustness;
mod status;
mod storing;
mod traps;
mod validation;
mod vary;
