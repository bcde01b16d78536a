//! `Keyring` and `SealedValues`: values of the Python package, each sealed to its place in a store
//! (docs/format.md §14).

use crate::error::{BadSignature, ConfigError, raised};
use crate::lazy_dict::LazyDict;
use crate::value::{MAX_DEPTH, from_python};
use bytes::Bytes;
use lacre::interchange::requests_cache::{self, JoinedBuffer, Place, keyring_of_secret};
use lacre::{ErrorKind, StoreId, StoreRegistry, Timestamp, config, keys};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Values of at least this many bytes are opened without the GIL. Releasing it costs about 1 µs.
const RELEASE_GIL_FROM: usize = 64 << 10;

/// The keys that seal stored data. It never shows them.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Keyring {
    pub(crate) keys: Arc<lacre::Keyring>,
    /// The registry of stores that are sealed with this keyring.
    pub(crate) registry: Option<StoreRegistry>,
}

#[pymethods]
impl Keyring {
    /// Returns the keyring of the user, as the command line does. Creates it if needed.
    #[staticmethod]
    fn user() -> PyResult<Self> {
        let keys = keys::user(&lacre::Tracing).map_err(|error| raised(&error))?;
        Self::loaded(&keys)
    }

    /// Loads the keyring that a reference names.
    ///
    /// Args:
    ///     reference: `keyring:SERVICE/USER`, `env:NAME`, `file:PATH` and so on.
    #[staticmethod]
    fn load(reference: &str) -> PyResult<Self> {
        Self::loaded(&*keys::parse(reference).map_err(|error| raised(&error))?)
    }

    /// Derives a keyring from a secret.
    ///
    /// Args:
    ///     secret: At least 32 random bytes, in any encoding.
    ///
    /// Raises:
    ///     ConfigError: The secret is too weak.
    #[staticmethod]
    fn of_secret(secret: &[u8]) -> PyResult<Self> {
        let keys = Arc::new(keyring_of_secret(secret).map_err(|error| raised(&error))?);
        Ok(Self { keys, registry: StoreRegistry::user() })
    }

    /// Loads a keyring from a reference, or derives it from a secret.
    ///
    /// Args:
    ///     text: A reference if it begins with a word and a colon, otherwise a secret.
    ///
    /// Raises:
    ///     ConfigError: The reference is misspelt. It is never taken for a secret.
    #[staticmethod]
    fn of_text(text: &str) -> PyResult<Self> {
        if config::looks_like_reference(text) {
            return Self::load(text).map_err(|error| hinted(text, error));
        }
        Self::of_secret(text.as_bytes())
    }

    /// Returns the path of the original if a store is a copy, otherwise registers the store.
    ///
    /// A store is a copy if another one with its id is registered and still exists.
    ///
    /// Args:
    ///     store: The id of the store, 16 bytes.
    ///     path: The path of the store.
    #[expect(clippy::needless_pass_by_value, reason = "pyo3 extracts an owned path")]
    fn original(&self, store: [u8; 16], path: PathBuf) -> Option<PathBuf> {
        self.registry.as_ref()?.original(StoreId::from_bytes(store), &path, true)
    }

    fn __repr__(&self) -> String {
        format!("<Keyring {}>", self.keys.primary().short())
    }
}

/// Adds a hint to the error of a text that begins with a word and a colon, but may be a secret.
fn hinted(text: &str, error: PyErr) -> PyErr {
    if keys::parse(text).is_ok() {
        return error;
    }
    ConfigError::new_err(format!("{error}; pass a secret that begins with a word and a colon as bytes"))
}

impl Keyring {
    fn loaded(source: &dyn keys::KeySource) -> PyResult<Self> {
        let keys = Arc::new(source.load().map_err(|error| raised(&error))?);
        Ok(Self { keys, registry: StoreRegistry::of(source) })
    }
}

/// Seals values of plain data to a place in a store, and opens them at that place only.
///
/// Args:
///     keyrings: The keyrings, the oldest first. The last one seals; any of them opens.
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

    /// Seals a value and returns the bytes to store.
    ///
    /// Args:
    ///     store: The id of the store, 16 bytes.
    ///     table: The table of the value.
    ///     key: The key of the value.
    ///     value: Plain data.
    ///     now: Seconds since 1970.
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
        let sealed = self.0.seal(&place, &value, timestamp(now)).map_err(|error| raised(&error))?;
        Ok(PyBytes::new(py, &sealed))
    }

    /// Returns an empty buffer for stored bytes that arrive in pieces.
    ///
    /// Args:
    ///     length: The length of all pieces together.
    fn buffer(&self, length: usize) -> SealedBuffer {
        SealedBuffer(Mutex::new(self.0.room(length)))
    }

    /// Opens a sealed value; a dict comes as a `LazyDict`.
    ///
    /// Args:
    ///     store: The id of the store, 16 bytes.
    ///     table: The table of the value.
    ///     key: The key of the value.
    ///     sealed: The stored bytes, or a buffer of them, which is emptied.
    ///     now: Seconds since 1970.
    ///
    /// Raises:
    ///     BadSignature: The value was sealed with another key or to another place, or was changed.
    fn open<'py>(
        &self,
        py: Python<'py>,
        store: [u8; 16],
        table: &str,
        key: &str,
        sealed: &Bound<'py, PyAny>,
        now: f64,
    ) -> PyResult<Bound<'py, PyAny>> {
        let buffer = sealed.cast::<SealedBuffer>().ok().map(|buffer| buffer.get().take());
        let sealed: &[u8] = match &buffer {
            Some(bytes) => bytes,
            None => sealed.extract()?,
        };
        let store = StoreId::from_bytes(store);
        let place = Place { store: &store, table, key };
        let opened = if sealed.len() < RELEASE_GIL_FROM {
            self.0.open(&place, sealed, timestamp(now))
        } else {
            py.detach(|| self.0.open(&place, sealed, timestamp(now)))
        };
        let value = opened.map_err(|error| match error.kind() {
            ErrorKind::KeyUnavailable => {
                BadSignature::new_err("sealed with an unknown key; add the key to secret_key")
            }
            _ => raised(&error),
        })?;
        LazyDict::of(py, value)
    }
}

/// A pooled buffer of sealed bytes that arrive in pieces, for `SealedValues.open`.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct SealedBuffer(Mutex<JoinedBuffer>);

#[pymethods]
impl SealedBuffer {
    /// Appends a piece.
    ///
    /// Args:
    ///     piece: The next bytes.
    ///
    /// Raises:
    ///     ValueError: The pieces are longer than the length of the buffer.
    fn push(&self, piece: &[u8]) -> PyResult<()> {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buffer.push(piece) {
            Ok(())
        } else {
            Err(PyValueError::new_err("the pieces are longer than the buffer"))
        }
    }
}

impl SealedBuffer {
    fn take(&self) -> Bytes {
        let mut buffer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *buffer).into_bytes()
    }
}

fn timestamp(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1000.0).round() as i64)
}
