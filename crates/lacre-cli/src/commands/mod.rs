//! The commands, one module each: arguments and `run`.

pub(crate) mod anchor;
pub(crate) mod audit;
pub(crate) mod completions;
#[cfg(feature = "get")]
pub(crate) mod explain;
#[cfg(feature = "get")]
pub(crate) mod get;
pub(crate) mod key;
pub(crate) mod ls;
pub(crate) mod migrate;
pub(crate) mod reseal;
pub(crate) mod rm;
pub(crate) mod show;
#[cfg(not(all(feature = "get", feature = "serve")))]
pub(crate) mod unavailable;
pub(crate) mod verify;
