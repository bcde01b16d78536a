//! The exceptions that Python gets for lacre's errors: the kind becomes the class.

use lacre::{Error, ErrorKind};
use pyo3::{PyErr, create_exception, exceptions::PyException};

create_exception!(lacre._lacre, LacreError, PyException, "The base class of lacre's errors.");
create_exception!(
    lacre._lacre,
    BadSignature,
    LacreError,
    "The data is unsigned, signed with another key, or was changed after it was signed."
);
create_exception!(
    lacre._lacre,
    BrokenData,
    LacreError,
    "The data is malformed, or is a pickle that only running code could read."
);
create_exception!(lacre._lacre, ConfigError, LacreError, "A setting is invalid.");

/// The Python exception for `error`: its message, then its hint.
pub(crate) fn raised(error: &Error) -> PyErr {
    let message = match error.hint() {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    };
    match error.kind() {
        ErrorKind::Tampered | ErrorKind::Lapsed => BadSignature::new_err(message),
        ErrorKind::Broken => BrokenData::new_err(message),
        ErrorKind::Config => ConfigError::new_err(message),
        _ => LacreError::new_err(message),
    }
}
