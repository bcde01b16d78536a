//! Exit codes, and the errors that lead to them: one line for the error and one hint.

use crate::suite_option::SuiteOption;
use lacre::{Error, ErrorKind};
use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

/// An exit code. Scripts rely on the numbers, so they never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success, or the reader of the output closed the pipe.
    Ok = 0,
    /// Failure without a code of its own; for `audit`, a likely secret was found.
    Failed = 1,
    /// The command line or a setting is invalid.
    Usage = 2,
    /// No stored response matches, or `--offline` found none that can answer.
    NotCached = 3,
    /// `get --fail`: the origin answered 4xx.
    ClientError = 4,
    /// `get --fail`: the origin answered 5xx.
    ServerError = 5,
    /// The network gave no answer.
    Unreachable = 6,
    /// A seal is bad.
    Integrity = 10,
    /// The key is missing, or another key, suite or namespace is needed.
    KeyUnavailable = 11,
    /// The store, or a record in it, is locked, corrupt or too new.
    Store = 12,
    /// The command needs confirmation, and there is no terminal to ask on.
    NeedsYes = 13,
    /// The user interrupted the command.
    Interrupted = 130,
}

impl Exit {
    /// Every exit code, in ascending order.
    pub(crate) const ALL: [Self; 12] = [
        Self::Ok,
        Self::Failed,
        Self::Usage,
        Self::NotCached,
        Self::ClientError,
        Self::ServerError,
        Self::Unreachable,
        Self::Integrity,
        Self::KeyUnavailable,
        Self::Store,
        Self::NeedsYes,
        Self::Interrupted,
    ];

    /// The exit code of the process.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The `code` of an error in JSON.
    pub(crate) const fn name(self) -> &'static str {
        self.described().0
    }

    /// The meaning, for `--help` and the reference.
    pub(crate) const fn meaning(self) -> &'static str {
        self.described().1
    }

    const fn described(self) -> (&'static str, &'static str) {
        match self {
            Self::Ok => ("ok", "success, or the reader of the output closed the pipe"),
            Self::Failed => ("failed", "the command failed; for `audit`: a likely secret was found"),
            Self::Usage => ("usage", "the command line or a setting is wrong"),
            Self::NotCached => ("not-cached", "no stored response matches; with --offline: none can answer"),
            Self::ClientError => ("client-error", "with --fail: the origin answered 4xx"),
            Self::ServerError => ("server-error", "with --fail: the origin answered 5xx"),
            Self::Unreachable => ("unreachable", "the network gave no answer"),
            Self::Integrity => ("integrity", "a seal is bad"),
            Self::KeyUnavailable => {
                ("key-unavailable", "the key is missing, or another key, suite or namespace is needed")
            }
            Self::Store => ("store", "the store, or a record in it, is locked, corrupt or too new"),
            Self::NeedsYes => ("needs-yes", "confirmation is needed, and there is no terminal: pass --yes"),
            Self::Interrupted => ("interrupted", "interrupted by the user"),
        }
    }

    /// The table of exit codes at the end of `--help`.
    pub(crate) fn table() -> String {
        let lines = Self::ALL.map(|exit| format!("  {:>3}  {}", exit.code(), exit.meaning()));
        format!("Exit codes:\n{}", lines.join("\n"))
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The reason for an exit code other than 0.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Absent if the user knows already, as after Ctrl-C, or cannot be told.
    pub(crate) message: Option<Cow<'static, str>>,
    pub(crate) hint: Option<Cow<'static, str>>,
}

impl Failure {
    pub(crate) const TAMPERED_HINT: &str = "`lacre verify` lists bad entries, `lacre rm --bad` removes them";

    pub(crate) fn new(exit: Exit, message: impl Into<Cow<'static, str>>) -> Self {
        Self { exit, message: Some(message.into()), hint: None }
    }

    pub(crate) fn usage(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The flag that opens the record, if only a setting is wrong.
    pub(crate) fn flag_for(error: &Error) -> Option<String> {
        match error.kind() {
            ErrorKind::SuiteMismatch(suite) => {
                Some(format!("pass --suite {}", SuiteOption::of(suite).name()))
            }
            ErrorKind::NamespaceMismatch => Some("name that namespace with --namespace".to_owned()),
            _ => None,
        }
    }

    pub(crate) const fn quiet(exit: Exit) -> Self {
        Self { exit, message: None, hint: None }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::Tampered | ErrorKind::Broken => Exit::Integrity,
            ErrorKind::KeyUnavailable | ErrorKind::SuiteMismatch(_) | ErrorKind::NamespaceMismatch => {
                Exit::KeyUnavailable
            }
            ErrorKind::Lapsed => Exit::NotCached,
            ErrorKind::Store(_) | ErrorKind::Unsupported => Exit::Store,
            ErrorKind::Config => Exit::Usage,
            _ => Exit::Failed,
        };
        let message = match error.kind() {
            // The cause speaks of tampering: the setting turned out to be wrong only after it.
            ErrorKind::SuiteMismatch(_) | ErrorKind::NamespaceMismatch => error.to_string(),
            _ => chain(&error),
        };
        let failure = Self::new(exit, message);
        match error.hint() {
            _ if Self::flag_for(&error).is_some() => {
                failure.with_hint(Self::flag_for(&error).unwrap_or_default())
            }
            Some(hint) => failure.with_hint(hint.to_owned()),
            None if exit == Exit::Integrity => failure.with_hint(Self::TAMPERED_HINT),
            None => failure,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // The reader of the output closed the pipe, as `head` does.
            io::ErrorKind::BrokenPipe => Self::quiet(Exit::Ok),
            _ => Self::new(Exit::Failed, format!("cannot read or write: {error}")),
        }
    }
}

/// An error and its causes in one line. A cause is left out if the text before contains its last
/// part.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.contains(message.rsplit(": ").next().unwrap_or(&message)) {
            text = format!("{text}: {message}");
        }
        next = cause.source();
    }
    text.lines().collect::<Vec<_>>().join(" ")
}

/// The innermost cause of an error. An outer one may show a URL.
#[cfg(feature = "get")]
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
