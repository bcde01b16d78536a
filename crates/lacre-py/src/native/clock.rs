//! The clock of a Python caller, read once at the beginning of a call and fixed until its end.

use lacre::{Clock, SystemClock, Timestamp};
use pyo3::prelude::*;
use std::cell::Cell;

thread_local! {
    static CALL_TIME: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// The fixed time of the call on this thread, or else the system's time.
#[derive(Clone, Copy, Debug)]
pub(super) struct PythonClock;

impl Clock for PythonClock {
    fn now(&self) -> Timestamp {
        CALL_TIME.get().unwrap_or_else(|| SystemClock.now())
    }
}

/// Calls `clock`, which takes no arguments and returns seconds since 1970.
pub(super) fn read(py: Python<'_>, clock: Option<&Py<PyAny>>) -> PyResult<Option<Timestamp>> {
    let Some(clock) = clock else { return Ok(None) };
    let seconds: f64 = clock.call0(py)?.extract(py)?;
    Ok(Some(Timestamp::from_millis((seconds * 1000.0).round() as i64)))
}

/// Runs `work` with `time` as the current time; `None` keeps the system's clock.
pub(super) fn with_time<T>(time: Option<Timestamp>, work: impl FnOnce() -> T) -> T {
    let Some(now) = time else { return work() };
    let outer = CALL_TIME.replace(Some(now));
    let result = work();
    CALL_TIME.set(outer);
    result
}
