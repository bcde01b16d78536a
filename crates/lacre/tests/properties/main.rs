//! The properties that a seal has to have, each by its number in docs/threat-model.md, over every
//! store there is.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a failed test panics")]

mod files;
mod http;
mod integrity;
mod keys;
mod medium;
mod mutations;
mod resources;
mod serializers;
mod world;
