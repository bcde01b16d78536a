//! The checks of the demo: each step ends it with an error unless the promise holds.

use crate::exit::{Exit, Failure};
use std::fmt;

/// Ends the demo where a promise is not kept.
pub(super) fn ensure(kept: bool, promise: &'static str) -> Result<(), Failure> {
    if kept { Ok(()) } else { Err(violated(promise)) }
}

pub(super) fn violated(promise: &'static str) -> Failure {
    failed(format_args!("it does not hold that {promise}"))
}

pub(super) fn failed(why: impl fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("the demo failed: {why}"))
        .with_hint("this should never happen; please report it with the output above")
}
