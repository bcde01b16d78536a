//! The extension module `lacre._lacre`: the Rust half of the Python package `lacre`.
//!
//! It does two things for Python:
//!
//! - `native` binds lacre's own cache (`lacre.Cache`), which `lacre.httpx`, `lacre.aiohttp` and
//!   `lacre.niquests` drive.
//! - The other modules read and write the formats of requests-cache for `lacre.CachedSession`:
//!   cache keys (`key`), stored responses (`serializer`, `response_dict`), pickles of plain
//!   data (`value`) and sealed values (`sealed`, `lazy_dict`; docs/format.md §14).
//!
//! It never runs what it reads, opens no socket and asks for no time: Python does. Only the command
//! line (`command_line`) does both, through lacre-cli. Names are part of no public interface, but
//! for those that `python/lacre/__init__.py` exports; `python/lacre/_lacre.pyi` has their types.
//!
//! ```python
//! import lacre
//!
//! cache = lacre.Cache(":memory:")
//! ticket = cache.ask("GET", "https://example.com/", [])
//! recording = ticket.settle(200, [(b"cache-control", b"max-age=60")])
//! recording.write(b"hello")
//! recording.finish()
//! assert cache.ask("GET", "https://example.com/", []).body == b"hello"
//! ```

mod command_line;
mod error;
mod key;
mod lazy_dict;
mod native;
mod response_dict;
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
    use crate::lazy_dict::LazyDict;
    #[pymodule_export]
    use crate::native::{Cache, CacheInfo, Recording, Reply, Ticket, Transport};
    #[pymodule_export]
    use crate::sealed::{Keyring, SealedBuffer, SealedValues};
    #[pymodule_export]
    use crate::serializer::Serializer;
    #[pymodule_export]
    use crate::value::{pickle_dumps, pickle_loads};

    #[pymodule_export]
    #[expect(non_upper_case_globals, reason = "Python's name for it")]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
