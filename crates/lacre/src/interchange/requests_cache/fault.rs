//! Why a stored response of requests-cache is not used. No message carries anything of its content.

use crate::{Error, ErrorKind};
use std::borrow::Cow;

/// What is wrong with stored bytes, as the end of a sentence about them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Malformed(Cow<'static, str>);

impl Malformed {
    pub(super) const fn new(what: &'static str) -> Self {
        Self(Cow::Borrowed(what))
    }

    /// A value that is not of the kind that its field has.
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
