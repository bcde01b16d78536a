//! The checks of the demo: a false claim ends the demo with an error.

use crate::exit::{Exit, Failure};
use std::fmt;

/// Fails unless the claim holds.
pub(super) fn ensure(holds: bool, claim: &'static str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(violated(claim)) }
}

pub(super) fn violated(claim: &'static str) -> Failure {
    failed(format_args!("this claim is false: {claim}"))
}

pub(super) fn failed(why: impl fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("the demo failed: {why}"))
        .with_hint("this is a bug: please report it with the output above")
}
