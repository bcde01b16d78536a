//! Values that belong to one process: connections to a store, and everything that holds one.

use std::mem;
use std::process;

/// A value that only the process that made it can use.
///
/// A forked child neither uses nor drops its copy: the SQLite connections in it are the parent's.
pub(super) struct ProcessBound<T> {
    process: u32,
    value: Option<T>,
}

impl<T> ProcessBound<T> {
    pub(super) fn new(value: T) -> Self {
        Self { process: process::id(), value: Some(value) }
    }

    /// `None` in a forked child.
    pub(super) fn get(&self) -> Option<&T> {
        self.value.as_ref().filter(|_| self.is_ours())
    }

    /// `None` in a forked child.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        let ours = self.is_ours();
        self.value.as_mut().filter(|_| ours)
    }

    /// `None` in a forked child.
    pub(super) fn into_inner(mut self) -> Option<T> {
        if self.is_ours() { self.value.take() } else { None }
    }

    fn is_ours(&self) -> bool {
        self.process == process::id()
    }
}

impl<T> Drop for ProcessBound<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            mem::forget(self.value.take());
        }
    }
}

/// The error of using a value in a forked child.
pub(super) fn wrong_process() -> pyo3::PyErr {
    pyo3::exceptions::PyRuntimeError::new_err(
        "this object belongs to the parent process of the fork; ask the cache again",
    )
}
