//! The one error of this crate, told apart by who must act. Its text never carries a URL, a header value, a body or a secret.

use lacre_seal::{Fault, Suite};
use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::path::Path;

/// What went wrong, in one line; [`hint`](Self::hint) says what helps.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    hint: Option<Cow<'static, str>>,
    source: Option<Box<dyn StdError + Send + Sync>>,
    /// Whether observers know of it.
    repeated: bool,
}

/// The families of [`Error`], by who must act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Somebody changed, moved or replayed what was stored.
    Tampered,
    /// No key, or not the one that is needed.
    KeyUnavailable,
    /// The seal has ended: by its own time, or because everything of its epoch was revoked.
    Lapsed,
    /// What was stored is genuine and of another suite than this cache accepts: a setting, no tampering.
    SuiteMismatch(Suite),
    /// What was stored is genuine and of another namespace than this cache has: a setting, no tampering.
    NamespaceMismatch,
    /// What was stored needs a newer release, or a format or a stage that this cache does not have.
    Unsupported,
    /// What was stored cannot be understood, though nobody need have touched it.
    Broken,
    /// What was being read was replaced or removed meanwhile.
    Gone,
    /// The store does not answer as it should.
    Store(StoreErrorKind),
    /// A setting is wrong.
    Config,
    /// A file, directory or device outside the store failed.
    Io,
}

/// What is wrong with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StoreErrorKind {
    /// Somebody else holds its lock for too long.
    Locked,
    /// Its file is damaged.
    Corrupt,
    /// A newer version of lacre made it.
    TooNew,
    /// There is no room left for what should be written.
    Full,
    /// It can be read, not written.
    ReadOnly,
    /// Nothing is at its place yet, and it was opened for reading only.
    Missing,
    /// This user may not read what is at its place.
    Denied,
    /// What lies at its place is not one of our stores, or is not safe to use.
    Unusable,
    /// It failed in some other way.
    Failed,
}

impl Error {
    /// An error of those who write a format, a stage, a store or a source of keys of their own. `message` is one line that carries no
    /// URL, header value, body or secret.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), hint: None, source: None, repeated: false }))
    }

    pub(crate) fn store(trouble: StoreErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorKind::Store(trouble), message)
    }

    /// The same, with one line that says what helps.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same, with what caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same, with the file it is about.
    pub(crate) fn at(self, path: &Path) -> Self {
        self.with_context(path.display())
    }

    /// The same, with what it is about before the message.
    #[must_use]
    pub fn with_context(mut self, what: impl fmt::Display) -> Self {
        self.0.message = format!("{what}: {}", self.0.message).into();
        self
    }

    #[cfg(any(feature = "sqlite", all(unix, feature = "fs")))]
    /// The same, which goes on since it was told last: no observer is told again.
    pub(crate) fn repeated(mut self) -> Self {
        self.0.repeated = true;
        self
    }

    pub(crate) fn is_repeated(&self) -> bool {
        self.0.repeated
    }

    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What helps, as one line of advice; absent where nothing but the message can be said.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// The refusal that it is, where a seal, a keyring or a passphrase was refused.
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
    fn an_error_is_one_line_with_its_remedy_and_cause_apart() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        let error = Error::new(ErrorKind::Io, "cannot read it").with_hint("make it").with_source(cause);
        assert_eq!(error.to_string(), "cannot read it");
        assert_eq!(error.hint(), Some("make it"));
        assert!(error.source().is_some());
        assert_eq!(error.kind(), ErrorKind::Io);
    }
}
