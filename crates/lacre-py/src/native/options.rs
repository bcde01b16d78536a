//! Lifetimes and the options of a single request, from their Python values.

use lacre::{Expire, Mode, RequestOptions, Timestamp, Transport};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};
use std::time::Duration;

/// The numbers behind the constants of the same names in requests-cache.
const NEVER_EXPIRE: f64 = -1.0;
const DO_NOT_CACHE: f64 = 0x000D_0E02_0002_0704_u64 as f64;

/// A lifetime: seconds, a `timedelta`, a `datetime`, or a text such as "1h30m", "never" or
/// "do-not-store".
pub(super) struct Lifetime(pub(super) Expire);

impl<'py> FromPyObject<'_, 'py> for Lifetime {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            let text = text.to_str()?;
            return text.parse().map(Self).map_err(|error| PyValueError::new_err(format!("{error}")));
        }
        if let Some(seconds) = number(&value)? {
            return lifetime_of_seconds(seconds).map(Self);
        }
        if let Ok(duration) = value.extract::<Duration>() {
            return Ok(Self(duration.into()));
        }
        match timestamp(&value) {
            Some(time) => Ok(Self(Expire::At(time))),
            None => Err(PyTypeError::new_err(
                "a lifetime must be seconds, a non-negative timedelta, an aware datetime or a text such as \"1h30m\"",
            )),
        }
    }
}

/// The value as a number, infinite if it is too large; `None` if it is no number.
fn number(value: &Bound<'_, PyAny>) -> PyResult<Option<f64>> {
    match value.extract::<f64>() {
        Ok(number) => Ok(Some(number)),
        Err(_) if value.cast::<PyInt>().is_ok() => {
            Ok(Some(if value.lt(0)? { f64::NEG_INFINITY } else { f64::INFINITY }))
        }
        Err(_) => Ok(None),
    }
}

fn seconds(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    number(value)?.ok_or_else(|| PyTypeError::new_err("expected seconds as a number"))
}

/// The time of an aware `datetime`; `None` for any other value.
fn timestamp(value: &Bound<'_, PyAny>) -> Option<Timestamp> {
    if value.getattr("tzinfo").ok()?.is_none() {
        return None;
    }
    let seconds: f64 = value.call_method0("timestamp").ok()?.extract().ok()?;
    Some(Timestamp::from_millis((seconds * 1000.0).round() as i64))
}

fn lifetime_of_seconds(seconds: f64) -> PyResult<Expire> {
    if seconds == NEVER_EXPIRE || seconds == f64::INFINITY {
        return Ok(Expire::Never);
    }
    if seconds == DO_NOT_CACHE {
        return Ok(Expire::DoNotStore);
    }
    Ok(duration(seconds)?.into())
}

/// The duration of a number of seconds, at most [`Duration::MAX`].
pub(super) fn duration(seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!(
            "invalid number of seconds: {seconds}; it must be 0 or more"
        )));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// The options of one request from a dict, and the name of its `transport`.
///
/// An unknown option is an error: it may be a misspelt `no_store`.
pub(super) fn request_options(
    given: &Bound<'_, PyDict>,
    transport: &mut Option<Transport>,
) -> PyResult<RequestOptions> {
    let mut options = RequestOptions::new();
    let mut modes = Vec::new();
    for (name, value) in given {
        let name: String = name.extract()?;
        let mut set_mode = |mode| {
            if value.is_truthy()? {
                modes.push(mode);
            }
            Ok::<_, PyErr>(())
        };
        match name.as_str() {
            "refresh" => set_mode(Mode::Refresh)?,
            "force_refresh" => set_mode(Mode::ForceRefresh)?,
            "only_if_cached" => set_mode(Mode::OnlyIfCached)?,
            "no_store" => set_mode(Mode::Bypass)?,
            "expire_after" => options = options.ttl(value.extract::<Lifetime>()?.0),
            "max_stale" => options = options.max_stale(duration(seconds(&value)?)?),
            "partition" => options = options.partition(value.extract::<String>()?),
            "transport" => {
                let name = value.extract::<String>()?;
                *transport = Some(transport.take().unwrap_or_default().named(name));
            }
            "tags" => {
                for tag in value.try_iter()? {
                    options = options.tag(tag?.extract::<String>()?);
                }
            }
            _ => return Err(PyTypeError::new_err(format!("unknown request option {name}; {OPTIONS}"))),
        }
    }
    match *modes.as_slice() {
        [] => Ok(options),
        [mode] => Ok(options.mode(mode)),
        _ => Err(PyValueError::new_err(
            "refresh, force_refresh, only_if_cached and no_store are mutually exclusive",
        )),
    }
}

const OPTIONS: &str = "the options are expire_after, force_refresh, max_stale, no_store, only_if_cached, \
                       partition, refresh, tags and transport";
