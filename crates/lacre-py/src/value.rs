//! Pickles of plain data, for serializer pipelines that users build.

use crate::error::raised;
use bytes::Bytes;
use lacre::interchange::requests_cache::Value;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString, PyTuple};

/// The nesting limit of lists and dicts, the same as when reading.
pub(crate) const MAX_DEPTH: usize = 128;

/// Reads a pickle of plain data. Nothing in it is ever run.
///
/// Args:
///     data: The pickle.
///
/// Raises:
///     BrokenData: The pickle holds anything but plain data.
#[pyfunction]
pub(crate) fn pickle_loads<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyAny>> {
    let value = Value::from_pickle(data.to_vec()).map_err(|error| raised(&error))?;
    to_python(py, &value)
}

/// Writes a pickle of plain data.
///
/// Args:
///     value: None, a bool, number, text, bytes, or lists, tuples and dicts of these.
///
/// Raises:
///     TypeError: The value is anything else.
#[pyfunction]
pub(crate) fn pickle_dumps<'py>(py: Python<'py>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    Ok(PyBytes::new(py, &from_python(value, MAX_DEPTH)?.to_pickle()))
}

/// The Python object for `value`. Recursion is bounded: the reader limits the depth of values.
pub(crate) fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::None => py.None().into_bound(py),
        Value::Bool(truth) => PyBool::new(py, *truth).to_owned().into_any(),
        Value::Int(number) => number.into_pyobject(py)?.into_any(),
        Value::Float(number) => PyFloat::new(py, *number).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::Str(text) => PyString::new(py, text).into_any(),
        Value::List(members) => {
            let members: Vec<_> =
                members.iter().map(|member| to_python(py, member)).collect::<PyResult<_>>()?;
            PyList::new(py, members)?.into_any()
        }
        Value::Dict(entries) => {
            let dict = PyDict::new(py);
            for (key, value) in entries {
                dict.set_item(key, to_python(py, value)?)?;
            }
            dict.into_any()
        }
    })
}

pub(crate) fn from_python(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    let depth = depth
        .checked_sub(1)
        .ok_or_else(|| PyValueError::new_err("the value is nested too deeply: at most 128 levels"))?;
    if value.is_none() {
        return Ok(Value::None);
    }
    if let Ok(truth) = value.cast::<PyBool>() {
        return Ok(Value::Bool(truth.is_true()));
    }
    if let Ok(number) = value.cast::<PyInt>() {
        return Ok(Value::Int(number.extract()?));
    }
    if let Ok(number) = value.cast::<PyFloat>() {
        return Ok(Value::Float(number.value()));
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(Value::Bytes(Bytes::from_owner(PyBackedBytes::from(bytes.clone()))));
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(Value::Str(text.to_str()?.to_owned()));
    }
    if value.is_instance_of::<PyList>() || value.is_instance_of::<PyTuple>() {
        let members = value.try_iter()?.map(|member| from_python(&member?, depth));
        return Ok(Value::List(members.collect::<PyResult<_>>()?));
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let entries = dict.iter().map(|(key, value)| Ok((key.extract()?, from_python(&value, depth)?)));
        return Ok(Value::Dict(entries.collect::<PyResult<_>>()?));
    }
    let kind = value.get_type().qualname()?;
    Err(PyTypeError::new_err(format!("cannot pickle {kind}: only plain data is pickled")))
}
