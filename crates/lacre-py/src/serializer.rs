//! `Serializer`: the formats of requests-cache, read without running a pickle.

use crate::error::raised;
use crate::response_dict::ResponseDict;
use lacre::interchange::requests_cache::{self, Format};
use lacre::itsdangerous::Signer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Reads and writes stored responses as requests-cache does.
///
/// Args:
///     format: "pickle", "json" or "yaml". By default it reads every format and writes pickle.
///     secrets: Secrets for signatures, the oldest first. The last one signs; any of them verifies.
///         Without secrets, data is neither signed nor verified.
///     salt: The salt of itsdangerous; `b"requests-cache"` by default.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Serializer(requests_cache::Serializer);

#[pymethods]
impl Serializer {
    #[new]
    #[pyo3(signature = (format=None, *, secrets=Vec::new(), salt=None))]
    fn new(format: Option<&str>, secrets: Vec<Vec<u8>>, salt: Option<Vec<u8>>) -> PyResult<Self> {
        let serializer = if secrets.is_empty() {
            requests_cache::Serializer::danger_unsigned()
        } else {
            let salt = salt.unwrap_or_else(|| b"requests-cache".to_vec());
            let signer = Signer::builder().secrets(secrets).salt(salt).build();
            let signer = signer.map_err(|error| PyValueError::new_err(error.to_string()))?;
            requests_cache::Serializer::signed_by(signer)
        };
        Ok(Self(match format {
            None => serializer,
            Some("pickle") => serializer.format(Format::Pickle),
            Some("json") => serializer.format(Format::Json),
            Some("yaml") => serializer.format(Format::Yaml),
            Some(_) => return Err(PyValueError::new_err("format must be one of: pickle, json, yaml")),
        }))
    }

    /// Reads a response and returns it as a dict.
    ///
    /// Args:
    ///     data: The stored bytes.
    ///
    /// Raises:
    ///     BadSignature: The signature is missing or wrong.
    ///     BrokenData: The data is no response, or a pickle that only running code could read.
    fn loads<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<ResponseDict<'py>> {
        let response = self.0.decode(data).map_err(|error| raised(&error))?;
        Ok(ResponseDict::of(py, response))
    }

    /// Writes a response and returns its bytes.
    ///
    /// Args:
    ///     response: The response, as a dict.
    fn dumps(&self, response: ResponseDict<'_>) -> PyResult<Vec<u8>> {
        Ok(self.0.encode(&response.into_response()?))
    }
}
