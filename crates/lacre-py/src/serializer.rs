//! `Serializer`: what requests-cache's serializers do, without ever running a pickle.

use crate::error::raised;
use crate::response::PlainResponse;
use lacre::interchange::requests_cache::{self, Format};
use lacre::itsdangerous::Signer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

/// Reads and writes stored responses as requests-cache does.
///
/// `format` is "pickle", "json" or "yaml"; without one, every format is read and pickle is written. With `secrets`, the oldest first,
/// what is written is signed with the last of them, and what is read must be signed with one.
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
            let signer = signer.map_err(|fault| PyValueError::new_err(fault.to_string()))?;
            requests_cache::Serializer::signed_by(signer)
        };
        Ok(Self(match format {
            None => serializer,
            Some("pickle") => serializer.format(Format::Pickle),
            Some("json") => serializer.format(Format::Json),
            Some("yaml") => serializer.format(Format::Yaml),
            Some(_) => return Err(PyValueError::new_err("format is none of: pickle, json, yaml")),
        }))
    }

    /// The response in `data`, as a dict. Raises BadSignature where it is not signed as it must be, and BrokenData where it is no
    /// response, or one that only running code could read.
    fn loads<'py>(&self, py: Python<'py>, data: &[u8]) -> PyResult<PlainResponse<'py>> {
        let response = self.0.decode(data).map_err(|error| raised(&error))?;
        Ok(PlainResponse::of(py, response))
    }

    /// The bytes of a response that is given as a dict.
    fn dumps(&self, response: PlainResponse<'_>) -> PyResult<Vec<u8>> {
        Ok(self.0.encode(&response.into_response()?))
    }
}
