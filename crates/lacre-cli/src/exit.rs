//! How a command ends: its exit code, and for a failure one line of what happened and one of what helps.

use crate::suite_option::SuiteOption;
use lacre::{Error, ErrorKind};
use std::borrow::Cow;
use std::error::Error as StdError;
use std::io;
use std::process::ExitCode;

/// How a command ends. The numbers are a promise to scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All went well, or whoever read the output had read enough.
    Ok = 0,
    /// Otherwise than well; of `audit`, that something was found.
    Failed = 1,
    /// The command line, or a setting, means nothing.
    Usage = 2,
    /// Only what is stored was asked for, and it is not.
    NotCached = 3,
    /// `get --fail`: the origin answered 4xx.
    ClientError = 4,
    /// `get --fail`: the origin answered 5xx.
    ServerError = 5,
    /// Nobody answered.
    Unreachable = 6,
    /// A seal did not hold.
    Integrity = 10,
    /// There is no key, or another one, another suite or another namespace is wanted.
    KeyUnavailable = 11,
    /// The store, or something in it, is locked, corrupt or too new.
    Store = 12,
    /// Somebody must confirmation, and nobody can be asked.
    NeedsYes = 13,
    /// The user ended it.
    Interrupted = 130,
}

impl Exit {
    /// Each of them, in ascending order.
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
            Self::Ok => ("ok", "all went well, or the reader of the output had read enough"),
            Self::Failed => ("failed", "the command failed; of `audit`: something was found"),
            Self::Usage => ("usage", "the command line or a setting is wrong"),
            Self::NotCached => ("not-cached", "with --offline: no stored response answers"),
            Self::ClientError => ("client-error", "with --fail: the origin answered 4xx"),
            Self::ServerError => ("server-error", "with --fail: the origin answered 5xx"),
            Self::Unreachable => ("unreachable", "no answer came from the network"),
            Self::Integrity => ("integrity", "a seal did not hold"),
            Self::KeyUnavailable => {
                ("key-unavailable", "the key is missing, or another key, suite or namespace is needed")
            }
            Self::Store => ("store", "the store, or a record in it, is locked, corrupt or too new"),
            Self::NeedsYes => ("needs-yes", "the command needs --yes where nobody can be asked"),
            Self::Interrupted => ("interrupted", "the user ended it"),
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

/// Why a command ends otherwise than well.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Absent where there is nobody to tell, or nothing that they do not know.
    pub(crate) message: Option<Cow<'static, str>>,
    pub(crate) hint: Option<Cow<'static, str>>,
}

impl Failure {
    pub(crate) const TAMPERED_HINT: &str = "`lacre verify` lists what is bad, `lacre rm --bad` removes it";

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

    /// The flag by which this command opens what it did not open, where that is a matter of settings.
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
            // The cause is what was seen before it turned out to be a setting, and speaks of tampering.
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
            // Whoever read our output has read enough.
            io::ErrorKind::BrokenPipe => Self::quiet(Exit::Ok),
            _ => Self::new(Exit::Failed, format!("cannot read or write: {error}")),
        }
    }
}

/// An error with its causes in one line, each said once: a cause that ends like one before it adds nothing but numbers.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(said.rsplit(": ").next().unwrap_or(&said)) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text.lines().collect::<Vec<_>>().join(" ")
}

/// What an error comes down to: its innermost cause. An outer one may show a URL.
pub(crate) fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
