//! Lifetimes, and what is wished for a single request, as Python says them.

use lacre::{Expire, Mode, RequestOptions};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::time::{Duration, SystemTime};

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
        if let Ok(seconds) = value.extract::<f64>() {
            return of_seconds(seconds).map(Self);
        }
        if let Ok(duration) = value.extract::<Duration>() {
            return Ok(Self(duration.into()));
        }
        match value.extract::<SystemTime>() {
            Ok(moment) => Ok(Self(Expire::At(moment.into()))),
            Err(_) => Err(PyTypeError::new_err(
                "a lifetime is seconds, a timedelta that is not negative, an aware datetime or a text",
            )),
        }
    }
}

fn of_seconds(seconds: f64) -> PyResult<Expire> {
    if seconds == NEVER_EXPIRE {
        return Ok(Expire::Never);
    }
    if seconds == DO_NOT_CACHE {
        return Ok(Expire::DoNotStore);
    }
    Ok(span(seconds)?.into())
}

pub(super) fn span(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .map_err(|_| PyValueError::new_err("a time in seconds is not negative and not endless"))
}

/// What a dict wishes for one request. A name that means nothing is an error: it may have meant that nothing is stored.
pub(super) fn read(wishes: &Bound<'_, PyDict>) -> PyResult<RequestOptions> {
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
            "max_stale" => options = options.max_stale(span(value.extract()?)?),
            "partition" => options = options.partition(value.extract::<String>()?),
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
                       refresh and tags";
