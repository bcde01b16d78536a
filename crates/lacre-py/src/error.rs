//! What Python sees of an error: its kind as a class, its message and remedy as text.

use lacre::{Error, ErrorKind};
use pyo3::{PyErr, create_exception, exceptions::PyException};

create_exception!(lacre._lacre, LacreError, PyException, "Anything that lacre could not do.");
create_exception!(lacre._lacre, BadSignature, LacreError, "Not signed, not with this key, or changed since.");
create_exception!(
    lacre._lacre,
    BrokenData,
    LacreError,
    "Not what requests-cache writes, or what only running code could read."
);
create_exception!(lacre._lacre, ConfigError, LacreError, "A setting that cannot be.");

/// The exception for `error`.
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
