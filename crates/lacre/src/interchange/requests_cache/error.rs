//! Errors of stored responses of requests-cache. No message contains any of their content.

use crate::{Error, ErrorKind};
use std::borrow::Cow;

/// The fault in stored bytes, as the end of a sentence about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(Cow<'static, str>);

impl Malformed {
    pub(super) const fn new(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }

    /// A value with the wrong type for its field.
    pub(super) fn field(name: &str, expected: &str) -> Self {
        Self(format!("has `{name}` that is not {expected}").into())
    }

    /// In words of its own, where what is wrong has a name.
    pub(super) fn into_error(self, format: &str) -> Error {
        Error::new(ErrorKind::Broken, format!("the stored {format} {}", self.0))
    }
}

pub(super) const fn cut_off() -> Malformed {
    Malformed::new("ends too early")
}

pub(super) const fn too_deep() -> Malformed {
    Malformed::new("has lists in lists, deeper than is read")
}

pub(super) const fn too_many() -> Malformed {
    Malformed::new("has more values than are read")
}

pub(super) const fn too_long() -> Malformed {
    Malformed::new("is longer than is read")
}
