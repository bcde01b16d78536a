//! Forks wait until no thread is inside SQLite: a child would inherit its locks held, by threads that it does not have.
//!
//! Two atomics and no lock, since a lock could be in a child's way as well.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

static INSIDE: AtomicUsize = AtomicUsize::new(0);
static FORKING: AtomicBool = AtomicBool::new(false);

/// How long a thread sleeps before it looks again.
const NAP: Duration = Duration::from_micros(50);

/// The longest that a fork waits. A write may wait for the lock of another process; a child that writes may then hang, as one of Python's
/// own `sqlite3` may.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `work` without the GIL; no fork happens meanwhile.
pub(super) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let _inside = Inside::enter();
        work()
    })
}

struct Inside;

impl Inside {
    fn enter() -> Self {
        loop {
            INSIDE.fetch_add(1, Ordering::SeqCst);
            if !FORKING.load(Ordering::SeqCst) {
                return Self;
            }
            INSIDE.fetch_sub(1, Ordering::SeqCst);
            thread::sleep(NAP);
        }
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Has Python say when it forks, from the first cache on.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    static REGISTERED: PyOnceLock<()> = PyOnceLock::new();
    let register = || {
        // Windows does not fork.
        let Ok(register) = PyModule::import(py, "os")?.getattr("register_at_fork") else { return Ok(()) };
        let hooks = PyDict::new(py);
        hooks.set_item("before", wrap_pyfunction!(before_fork, py)?)?;
        hooks.set_item("after_in_parent", wrap_pyfunction!(after_fork_in_parent, py)?)?;
        hooks.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, py)?)?;
        register.call((), Some(&hooks)).map(drop)
    };
    REGISTERED.get_or_try_init(py, register).map(drop)
}

/// Lets the threads that are in the middle of a write finish it, and holds the others back.
#[pyfunction]
fn before_fork(py: Python<'_>) {
    FORKING.store(true, Ordering::SeqCst);
    py.detach(|| {
        let begun = Instant::now();
        while INSIDE.load(Ordering::SeqCst) > 0 && begun.elapsed() < PATIENCE {
            thread::sleep(NAP);
        }
    });
}

#[pyfunction]
fn after_fork_in_parent() {
    FORKING.store(false, Ordering::SeqCst);
}

/// Nobody but the caller is left.
#[pyfunction]
fn after_fork_in_child() {
    INSIDE.store(0, Ordering::SeqCst);
    FORKING.store(false, Ordering::SeqCst);
}
