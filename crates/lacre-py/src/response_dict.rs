//! A stored response as a Python `dict` with the fields of [`Response`].
//!
//! Times are seconds since 1970. Headers and cookies are lists of pairs; names keep their case.

use http::StatusCode;
use lacre::Timestamp;
use lacre::interchange::requests_cache::{Request, Response};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::time::Duration;

/// A response as a `dict`.
#[derive(FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct ResponseDict<'py> {
    status_code: u16,
    reason: Option<String>,
    url: String,
    headers: Vec<(String, String)>,
    content: Bound<'py, PyBytes>,
    encoding: Option<String>,
    cookies: Vec<(String, String)>,
    elapsed: f64,
    created_at: f64,
    expires: Option<f64>,
    request: RequestDict<'py>,
    history: Vec<ResponseDict<'py>>,
    next: Option<RequestDict<'py>>,
}

/// A request as a `dict`.
#[derive(FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct RequestDict<'py> {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Bound<'py, PyBytes>,
    cookies: Vec<(String, String)>,
}

impl<'py> ResponseDict<'py> {
    pub(crate) fn of(py: Python<'py>, response: Response) -> Self {
        Self {
            status_code: response.status.as_u16(),
            reason: response.reason,
            url: response.url,
            headers: response.headers,
            content: PyBytes::new(py, &response.body),
            encoding: response.encoding,
            cookies: response.cookies,
            elapsed: response.elapsed.as_secs_f64(),
            created_at: seconds(response.created),
            expires: response.expires.map(seconds),
            request: RequestDict::of(py, response.request),
            history: response.history.into_iter().map(|hop| Self::of(py, hop)).collect(),
            next: response.next.map(|next| RequestDict::of(py, next)),
        }
    }

    pub(crate) fn into_response(self) -> PyResult<Response> {
        let value = |field: &str| PyValueError::new_err(format!("{field} is out of range"));
        Ok(Response {
            status: StatusCode::from_u16(self.status_code).map_err(|_| value("status_code"))?,
            reason: self.reason,
            url: self.url,
            headers: self.headers,
            body: self.content.as_bytes().to_vec().into(),
            encoding: self.encoding,
            cookies: self.cookies,
            elapsed: Duration::try_from_secs_f64(self.elapsed).map_err(|_| value("elapsed"))?,
            created: timestamp(self.created_at),
            expires: self.expires.map(timestamp),
            request: self.request.into_request(),
            history: self.history.into_iter().map(Self::into_response).collect::<PyResult<_>>()?,
            next: self.next.map(RequestDict::into_request),
        })
    }
}

impl<'py> RequestDict<'py> {
    fn of(py: Python<'py>, request: Request) -> Self {
        Self {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: PyBytes::new(py, &request.body),
            cookies: request.cookies,
        }
    }

    pub(crate) fn into_request(self) -> Request {
        Request {
            method: self.method,
            url: self.url,
            headers: self.headers,
            body: self.body.as_bytes().to_vec().into(),
            cookies: self.cookies,
        }
    }
}

/// Seconds since 1970. An `f64` is exact to the millisecond for every year of a `datetime`.
fn seconds(time: Timestamp) -> f64 {
    time.as_millis() as f64 / 1000.0
}

/// The timestamp of seconds since 1970. Values out of range become the first or last timestamp.
fn timestamp(seconds: f64) -> Timestamp {
    Timestamp::from_millis((seconds * 1000.0).round() as i64)
}
