//! The Rust half of the Python package `lacre`: what requests-cache stored is read and written here, and requests get their names. Never
//! does it run what it reads, open a socket or ask for the time: those are Python's. The command line, which does, is lacre-cli's.

mod command_line;
mod error;
mod key;
mod native;
mod plain;
mod response;
mod sealed;
mod serializer;
mod value;

use pyo3::prelude::*;

#[pymodule]
mod _lacre {
    #[pymodule_export]
    use crate::command_line::run_command_line;
    #[pymodule_export]
    use crate::error::{BadSignature, BrokenData, ConfigError, LacreError};
    #[pymodule_export]
    use crate::key::{cache_key, normalize_url, plain_key};
    #[pymodule_export]
    use crate::native::{Cache, CacheInfo, Recording, Reply, Ticket, Transport};
    #[pymodule_export]
    use crate::plain::Plain;
    #[pymodule_export]
    use crate::sealed::{Keyring, Pieces, SealedValues};
    #[pymodule_export]
    use crate::serializer::Serializer;
    #[pymodule_export]
    use crate::value::{pickle_dumps, pickle_loads};

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
