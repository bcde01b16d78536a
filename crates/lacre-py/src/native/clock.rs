//! The time as Python tells it: what the caller's clock says at the beginning of a call holds until its end.

use lacre::{Clock, SystemClock, Timestamp};
use pyo3::prelude::*;
use std::cell::Cell;

thread_local! {
    static TOLD: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// What was told on this thread, or else the system's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct PythonClock;

impl Clock for PythonClock {
    fn now(&self) -> Timestamp {
        TOLD.get().unwrap_or_else(|| SystemClock.now())
    }
}

/// Asks `clock`, a callable without arguments that returns seconds since 1970.
pub(super) fn ask(py: Python<'_>, clock: Option<&Py<PyAny>>) -> PyResult<Option<Timestamp>> {
    let Some(clock) = clock else { return Ok(None) };
    let seconds: f64 = clock.call0(py)?.extract(py)?;
    Ok(Some(Timestamp::from_millis((seconds * 1000.0).round() as i64)))
}

/// Runs `work` at the moment that the caller's clock told.
pub(super) fn at<T>(told: Option<Timestamp>, work: impl FnOnce() -> T) -> T {
    let Some(now) = told else { return work() };
    let outer = TOLD.replace(Some(now));
    let done = work();
    TOLD.set(outer);
    done
}
