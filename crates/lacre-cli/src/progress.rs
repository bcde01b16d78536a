//! The progress bar of a long command, drawn on stderr after half a second if stderr is a terminal.

use crate::output::Output;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};
use std::time::Duration;

const DELAY: Duration = Duration::from_millis(500);

/// A progress bar. Dropping it clears the line.
pub(crate) struct Progress {
    bar: ProgressBar,
    is_visible: bool,
}

impl Progress {
    /// A bar for a pass over `rows` records.
    pub(crate) fn of_rows(rows: u64, output: Output) -> Self {
        let bar = ProgressBar::with_draw_target(Some(rows), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{wide_bar} {pos}/{len}  {eta}") {
            bar.set_style(style);
        }
        Self { bar, is_visible: !output.is_json() && io::stderr().is_terminal() }
    }

    /// A bar for a download of `length` bytes, or of unknown length.
    #[cfg(feature = "get")]
    pub(crate) fn of_bytes(length: Option<u64>, output: Output) -> Self {
        let bar = ProgressBar::with_draw_target(length, ProgressDrawTarget::hidden());
        let template = match length {
            Some(_) => "{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
            None => "{spinner} {bytes}  {bytes_per_sec}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, is_visible: !output.is_json() && io::stderr().is_terminal() }
    }

    /// Counts one more row.
    pub(crate) fn step(&self) {
        self.advance(1);
    }

    /// Counts `done` more rows or bytes.
    pub(crate) fn advance(&self, done: u64) {
        if self.is_visible && self.bar.is_hidden() && self.bar.elapsed() > DELAY {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
        self.bar.inc(done);
    }

    /// Runs `print` with the bar hidden, so that its output stays intact.
    pub(crate) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
