//! Lifetimes, and what is wished for a single request, as Python says them.

use lacre::{Expire, Mode, RequestOptions, Timestamp, Transport};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyInt, PyString};
use std::time::Duration;

/// Numbers that requests-cache and the drop-in have a name for.
const NEVER_EXPIRE: f64 = -1.0;
const DO_NOT_CACHE: f64 = 0x000D_0E02_0002_0704_u64 as f64;

/// A lifetime: seconds, a `timedelta`, a moment, or a text such as "1h30m", "never" or "do-not-store".
pub(super) struct Lifetime(pub(super) Expire);

impl<'py> FromPyObject<'_, 'py> for Lifetime {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok(text) = value.cast::<PyString>() {
            let text = text.to_str()?;
            return text.parse().map(Self).map_err(|error| PyValueError::new_err(format!("{error}")));
        }
        if let Some(seconds) = number(&value)? {
            return of_seconds(seconds).map(Self);
        }
        if let Ok(duration) = value.extract::<Duration>() {
            return Ok(Self(duration.into()));
        }
        match moment(&value) {
            Some(moment) => Ok(Self(Expire::At(moment))),
            None => Err(PyTypeError::new_err(
                "a lifetime is seconds, a timedelta that is not negative, an aware datetime or a text",
            )),
        }
    }
}

/// A number of any size; `None` for what is none.
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
    number(value)?.ok_or_else(|| PyTypeError::new_err("a time in seconds is a number"))
}

/// A moment in any year that a datetime can have; `None` for what is none, or in no time zone.
fn moment(value: &Bound<'_, PyAny>) -> Option<Timestamp> {
    if value.getattr("tzinfo").ok()?.is_none() {
        return None;
    }
    let seconds: f64 = value.call_method0("timestamp").ok()?.extract().ok()?;
    Some(Timestamp::from_millis((seconds * 1000.0).round() as i64))
}

fn of_seconds(seconds: f64) -> PyResult<Expire> {
    if seconds == NEVER_EXPIRE || seconds == f64::INFINITY {
        return Ok(Expire::Never);
    }
    if seconds == DO_NOT_CACHE {
        return Ok(Expire::DoNotStore);
    }
    Ok(span(seconds)?.into())
}

/// Seconds that are too many to count are as many as can be counted.
pub(super) fn span(seconds: f64) -> PyResult<Duration> {
    if seconds.is_nan() || seconds < 0.0 {
        return Err(PyValueError::new_err(format!("{seconds} is no time in seconds; it is 0 or more")));
    }
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// What a dict wishes for one request, and the name that it gives its `transport`. A name that means nothing is an error: it may have meant that
/// nothing is stored.
pub(super) fn read(
    wishes: &Bound<'_, PyDict>,
    transport: &mut Option<Transport>,
) -> PyResult<RequestOptions> {
    let mut options = RequestOptions::new();
    let mut modes = Vec::new();
    for (name, value) in wishes {
        let name: String = name.extract()?;
        let mut wish = |mode| {
            if value.is_truthy()? {
                modes.push(mode);
            }
            Ok::<_, PyErr>(())
        };
        match name.as_str() {
            "refresh" => wish(Mode::Refresh)?,
            "force_refresh" => wish(Mode::ForceRefresh)?,
            "only_if_cached" => wish(Mode::OnlyIfCached)?,
            "no_store" => wish(Mode::Bypass)?,
            "expire_after" => options = options.ttl(value.extract::<Lifetime>()?.0),
            "max_stale" => options = options.max_stale(span(seconds(&value)?)?),
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
            _ => return Err(PyTypeError::new_err(format!("{name} is no option of a request; {OPTIONS}"))),
        }
    }
    match *modes.as_slice() {
        [] => Ok(options),
        [mode] => Ok(options.mode(mode)),
        _ => Err(PyValueError::new_err(
            "refresh, force_refresh, only_if_cached and no_store exclude each other",
        )),
    }
}

const OPTIONS: &str = "there are expire_after, force_refresh, max_stale, no_store, only_if_cached, partition, \
                       refresh, tags and transport";
