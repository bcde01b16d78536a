//! The error type of this crate. Its kinds tell apart who must act. Its text never carries a URL, a
//! header value, a body or a secret.

use lacre_seal::{Fault, Suite};
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

/// An error: one line that says what is wrong, and a [`hint`](Self::hint) that names the remedy.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// Whether observers have been told of it already.
    repeated: bool,
}

/// The kinds of [`Error`], by who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A stored record was changed, moved or replayed.
    Tampered,
    /// There is no key, or not the one that is needed.
    KeyUnavailable,
    /// The seal is past its lifetime, or its epoch was revoked.
    Lapsed,
    /// The record is genuine, but sealed with another suite than this cache accepts. A setting is
    /// wrong; nobody tampered.
    SuiteMismatch(Suite),
    /// The record is genuine, but belongs to another namespace. A setting is wrong; nobody
    /// tampered.
    NamespaceMismatch,
    /// The record needs a newer release, or a format or stage that this cache does not have.
    Unsupported,
    /// The record is malformed. That need not be tampering.
    Broken,
    /// The record was replaced or removed while it was being read.
    Gone,
    /// The store failed.
    Store(StoreErrorKind),
    /// A setting is wrong.
    Config,
    /// A file, a directory or a device outside the store failed.
    Io,
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Another process holds its lock for too long.
    Locked,
    /// Its file is damaged.
    Corrupt,
    /// A newer version of lacre wrote it.
    TooNew,
    /// It is full.
    Full,
    /// It can be read but not written.
    ReadOnly,
    /// It does not exist, and was opened for reading only.
    Missing,
    /// This user may not read it.
    Denied,
    /// The path holds something that is not a store of lacre, or is not safe to use.
    Unusable,
    /// It failed in some other way.
    Failed,
}

impl Error {
    /// Creates an error, for formats, stages, stores and key sources of other crates. `message` is
    /// one line without a URL, a header value, a body or a secret.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, source: None, repeated: false }))
    }

    pub(crate) fn store(kind: StoreErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Store(kind), message)
    }

    /// Adds a hint: one line that names the remedy.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Puts the path of a file before the message.
    pub(crate) fn at(self, path: &Path) -> Self {
        self.with_context(path.display())
    }

    /// Puts a context before the message, such as a path or a flag.
    #[must_use]
    pub fn with_context(mut self, context: impl fmt::Display) -> Self {
        self.0.message = format!("{context}: {}", self.0.message).into();
        self
    }

    #[cfg(any(feature = "sqlite", all(unix, feature = "fs")))]
    /// Marks the error as one that observers have been told of already.
    pub(crate) fn repeated(mut self) -> Self {
        self.0.repeated = true;
        self
    }

    pub(crate) fn is_repeated(&self) -> bool {
        self.0.repeated
    }

    /// The kind, which says who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The hint: one line that names the remedy, if there is one.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The fault of a seal, a keyring or a passphrase, if it caused this error.
    #[must_use]
    pub fn fault(&self) -> Option<&Fault> {
        self.source()?.downcast_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, hint, source, repeated: _ } = &*self.0;
        let mut debug = f.debug_struct("Error");
        debug.field("kind", kind).field("message", message);
        if let Some(hint) = hint {
            debug.field("hint", hint);
        }
        if let Some(source) = source {
            debug.field("source", source);
        }
        debug.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let kind = if fault.is_tampering() {
            ErrorKind::Tampered
        } else if fault.is_key_missing() {
            ErrorKind::KeyUnavailable
        } else if fault.is_lapsed() {
            ErrorKind::Lapsed
        } else {
            ErrorKind::Broken
        };
        Self::new(kind, fault.to_string()).with_source(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_hint_and_cause_are_separate() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = Error::new(ErrorKind::Io, "cannot read it").with_hint("make it").with_source(cause);
        assert_eq!(error.to_string(), "cannot read it");
        assert_eq!(error.hint(), Some("make it"));
        assert!(error.source().is_some());
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
