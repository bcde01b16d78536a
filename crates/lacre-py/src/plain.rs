//! `Plain`: a stored dict, of which Python gets the parts that it asks for.

use crate::value::to_python;
use lacre::interchange::requests_cache::Value;
use pyo3::prelude::*;

/// A response as a dict of plain values, which become objects of Python when they are asked for.
#[pyclass(frozen, module = "lacre._lacre")]
pub(crate) struct Plain(Vec<(String, Value)>);

#[pymethods]
impl Plain {
    /// The value of a field; None if there is none.
    fn get<'py>(&self, py: Python<'py>, name: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
        member(&self.0, name).map(|value| to_python(py, value)).transpose()
    }

    fn __contains__(&self, name: &str) -> bool {
        member(&self.0, name).is_some()
    }

    /// A header of the response; names are compared without case.
    fn header(&self, name: &str) -> Option<&str> {
        header(&self.0, name)
    }

    /// A header of the request that it answers.
    fn request_header(&self, name: &str) -> Option<&str> {
        match member(&self.0, "request")? {
            Value::Dict(request) => header(request, name),
            _ => None,
        }
    }
}

impl Plain {
    /// The value as Python sees it: a dict in this form, anything else as what it is.
    pub(crate) fn of(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
        match value {
            Value::Dict(fields) => Ok(Bound::new(py, Self(fields))?.into_any()),
            other => to_python(py, &other),
        }
    }
}

fn member<'a>(fields: &'a [(String, Value)], name: &str) -> Option<&'a Value> {
    fields.iter().find(|(there, _)| there == name).map(|(_, value)| value)
}

fn header<'a>(fields: &'a [(String, Value)], name: &str) -> Option<&'a str> {
    let Value::Dict(headers) = member(fields, "headers")? else { return None };
    headers.iter().find(|(there, _)| there.eq_ignore_ascii_case(name)).and_then(|(_, value)| match value {
        Value::Str(text) => Some(text.as_str()),
        _ => None,
    })
}
