//! Fork hooks for Python: a fork waits until no thread is inside a store ([`lacre::fork`]).

use lacre::fork::{self, ForkGuard};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};

/// Runs `work` without the GIL. No fork happens meanwhile.
pub(super) fn without_gil<T: Send>(py: Python<'_>, work: impl FnOnce() -> T + Send) -> T {
    py.detach(|| {
        let _inside = ForkGuard::enter();
        work()
    })
}

/// Registers the fork hooks with Python, once per process.
pub(super) fn register(py: Python<'_>) -> PyResult<()> {
    static REGISTERED: PyOnceLock<()> = PyOnceLock::new();
    let register = || {
        // It is absent on Windows.
        let Ok(register) = PyModule::import(py, "os")?.getattr("register_at_fork") else { return Ok(()) };
        let hooks = PyDict::new(py);
        hooks.set_item("before", wrap_pyfunction!(before_fork, py)?)?;
        hooks.set_item("after_in_parent", wrap_pyfunction!(after_fork_in_parent, py)?)?;
        hooks.set_item("after_in_child", wrap_pyfunction!(after_fork_in_child, py)?)?;
        register.call((), Some(&hooks)).map(drop)
    };
    REGISTERED.get_or_try_init(py, register).map(drop)
}

/// Waits until no thread is inside a store, and blocks others from entering one.
#[pyfunction]
fn before_fork(py: Python<'_>) {
    fork::before();
    // Another thread may enter a store while the GIL is released. After the last check this thread
    // keeps the GIL until it forks.
    while py.detach(fork::wait_until_quiet) && !fork::is_quiet() {}
}

#[pyfunction]
fn after_fork_in_parent() {
    fork::after_in_parent();
}

#[pyfunction]
fn after_fork_in_child() {
    fork::after_in_child();
}
