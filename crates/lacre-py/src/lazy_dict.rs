//! `LazyDict`: a stored dict whose values become Python objects one at a time.

use crate::value::to_python;
use lacre::interchange::requests_cache::Value;
use pyo3::prelude::*;

/// A stored response as a dict of plain data, converted to Python field by field on access.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct LazyDict(Vec<(String, Value)>);

#[pymethods]
impl LazyDict {
    /// Returns the value of a field, or None if the field is absent.
    ///
    /// Args:
    ///     name: The name of the field.
    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        field(&self.0, name).map(|value| to_python(py, value)).transpose()
    }

    fn __contains__(&self, name: &str) -> bool {
        field(&self.0, name).is_some()
    }

    /// Returns the value of a response header, or None if it is absent.
    ///
    /// Args:
    ///     name: The name of the header, in any case.
    fn header(&self, name: &str) -> Option<&str> {
        header(&self.0, name)
    }

    /// Returns the value of a header of the request that was answered, or None if it is absent.
    ///
    /// Args:
    ///     name: The name of the header, in any case.
    fn request_header(&self, name: &str) -> Option<&str> {
        match field(&self.0, "request")? {
            Value::Dict(request) => header(request, name),
            _ => None,
        }
    }
}

impl LazyDict {
    /// The value for Python: a dict as a `LazyDict`, any other value converted at once.
    pub(crate) fn of(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
        match value {
            Value::Dict(fields) => Ok(Bound::new(py, Self(fields))?.into_any()),
            other => to_python(py, &other),
        }
    }
}

fn field<'a>(fields: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    fields.iter().find(|(found, _)| found == name).map(|(_, value)| value)
}

fn header<'a>(fields: &'a [(String, Value)], name: &str) -> Option<&'a str> {
    let Value::Dict(headers) = field(fields, "headers")? else { return None };
    headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).and_then(|(_, value)| match value {
        Value::Str(text) => Some(text.as_str()),
        _ => None,
    })
}
