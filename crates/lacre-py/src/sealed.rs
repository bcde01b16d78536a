//! `Keyring` and `SealedValues`: values of the Python package, sealed to where they lie (docs/format.md §14).

use crate::error::{BadSignature, ConfigError, raised};
use crate::plain::Plain;
use crate::value::{MAX_DEPTH, from_python};
use bytes::Bytes;
use lacre::interchange::requests_cache::{self, JoinedBuffer, Place, keyring_of_secret};
use lacre::{ErrorKind, StoreId, StoreRegistry, Timestamp, config, keys};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes from which on other threads of Python may run meanwhile: to let them costs about a microsecond.
const WORTH_LETTING_GO: usize = 64 << 10;

/// The keys that seal. It never shows them.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Keyring {
    pub(crate) keys: Arc<lacre::Keyring>,
    /// Where stores are noted that are sealed with it.
    pub(crate) registry: Option<StoreRegistry>,
}

#[pymethods]
impl Keyring {
    /// That of the user who runs this program, the same as that of the command line; made if there is none.
    #[staticmethod]
    fn user() -> PyResult<Self> {
        let keys = keys::user(&lacre::Tracing).map_err(|error| raised(&error))?;
        Self::loaded(&keys)
    }

    /// What a reference names: `keyring:SERVICE/USER`, `env:NAME`, `file:PATH` and so on.
    #[staticmethod]
    fn load(reference: &str) -> PyResult<Self> {
        Self::loaded(&*keys::parse(reference).map_err(|error| raised(&error))?)
    }

    /// Of a secret: at least 32 random bytes in any form.
    #[staticmethod]
    fn of_secret(secret: &[u8]) -> PyResult<Self> {
        let keys = Arc::new(keyring_of_secret(secret).map_err(|error| raised(&error))?);
        Ok(Self { keys, registry: StoreRegistry::user() })
    }

    /// Of a reference, or else of the secret that the text is. What looks like a reference is never taken for a secret.
    #[staticmethod]
    fn of_text(text: &str) -> PyResult<Self> {
        if config::looks_like_reference(text) {
            return Self::load(text).map_err(|error| hinted(text, error));
        }
        Self::of_secret(text.as_bytes())
    }

    /// The path of the store that the one at `path`, of this id, is a copy of; where it is none, its place is noted.
    #[expect(clippy::needless_pass_by_value, reason = "Python hands over a path of its own")]
    fn original(&self, store: [u8; 16], path: PathBuf) -> Option<PathBuf> {
        self.registry.as_ref()?.original(StoreId::from_bytes(store), &path, true)
    }

    fn __repr__(&self) -> String {
        format!("<Keyring {}>", self.keys.primary().short())
    }
}

/// A text that no reference begins like may be a secret all the same.
fn hinted(text: &str, error: PyErr) -> PyErr {
    if keys::parse(text).is_ok() {
        return error;
    }
    ConfigError::new_err(format!("{error}; a secret that begins with a word and a colon is given as bytes"))
}

impl Keyring {
    fn loaded(source: &dyn keys::KeySource) -> PyResult<Self> {
        let keys = Arc::new(source.load().map_err(|error| raised(&error))?);
        Ok(Self { keys, registry: StoreRegistry::of(source) })
    }
}

/// Seals values of plain data, and opens them where they were sealed and nowhere else. Of several keyrings, the oldest first, the last
/// one seals, and all open.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct SealedValues(requests_cache::SealedValues);

#[pymethods]
impl SealedValues {
    #[new]
    #[expect(clippy::needless_pass_by_value, reason = "Python's arguments are values")]
    fn new(keyrings: Vec<PyRef<'_, Keyring>>) -> PyResult<Self> {
        let keyrings = keyrings.iter().map(|keyring| Arc::clone(&keyring.keys));
        Ok(Self(requests_cache::SealedValues::new(keyrings).map_err(|error| raised(&error))?))
    }

    /// What to store for a value under `key` in the table of a store; `now` in seconds since 1970.
    fn seal<'py>(
        &self,
        py: Python<'py>,
        store: [u8; 16],
        table: &str,
        key: &str,
        value: &Bound<'py, PyAny>,
        now: f64,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let value = from_python(value, MAX_DEPTH)?;
        let store = StoreId::from_bytes(store);
        let place = Place { store: &store, table, key };
        let sealed = self.0.seal(&place, &value, moment(now)).map_err(|error| raised(&error))?;
        Ok(PyBytes::new(py, &sealed))
    }

    /// Room for stored bytes that come in pieces, `length` of them together.
    fn pieces(&self, length: usize) -> Pieces {
        Pieces(Mutex::new(self.0.room(length)))
    }

    /// The value that is stored so, a dict as `Plain`. Raises BadSignature if it was not sealed there with one of the keys, or was changed since.
    fn open<'py>(
        &self,
        py: Python<'py>,
        store: [u8; 16],
        table: &str,
        key: &str,
        sealed: &Bound<'py, PyAny>,
        now: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let pieces = sealed.cast::<Pieces>().ok().map(|pieces| pieces.get().take());
        let sealed: &[u8] = match &pieces {
            Some(bytes) => bytes,
            None => sealed.extract()?,
        };
        let store = StoreId::from_bytes(store);
        let place = Place { store: &store, table, key };
        let opened = if sealed.len() < WORTH_LETTING_GO {
            self.0.open(&place, sealed, moment(now))
        } else {
            py.detach(|| self.0.open(&place, sealed, moment(now)))
        };
        let value = opened.map_err(|error| match error.kind() {
            ErrorKind::KeyUnavailable => {
                BadSignature::new_err("sealed with a key that is not here; name it in secret_key")
            }
            _ => raised(&error),
        })?;
        Plain::of(py, value)
    }
}

/// Stored bytes that come in pieces, for `SealedValues.open`, which takes them: in memory that earlier ones lay in, since to have it anew
/// costs more than to read them.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Pieces(Mutex<JoinedBuffer>);

#[pymethods]
impl Pieces {
    /// Puts a piece behind those that are there. Raises ValueError where there is no room for it.
    fn push(&self, piece: &[u8]) -> PyResult<()> {
        let mut joined = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if joined.push(piece) { Ok(()) } else { Err(PyValueError::new_err("more than was said")) }
    }
}

impl Pieces {
    fn take(&self) -> Bytes {
        let mut joined = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *joined).into_bytes()
    }
}

fn moment(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1000.0).round() as i64)
}
