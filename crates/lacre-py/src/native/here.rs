//! What belongs to one process: connections to a store, and whatever holds one.

use std::mem;
use std::process;

/// A value of the process that made it. A forked child neither uses nor drops its copy: the connections to SQLite in it are the parent's.
pub(super) struct Here<T> {
    process: u32,
    value: Option<T>,
}

impl<T> Here<T> {
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

impl<T> Drop for Here<T> {
    fn drop(&mut self) {
        if !self.is_ours() {
            mem::forget(self.value.take());
        }
    }
}
