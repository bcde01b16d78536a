//! [`AccessLog`]: one line for each request, written when its response has ended.
//!
//! A line has no header. Its URL is shown by [`sanitize::url`], without secrets.

use crate::error::Error;
use crate::metrics::Outcome;
use crate::request_error::RequestError;
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use lacre::{Policy, sanitize};
use pin_project_lite::pin_project;
use serde_json::json;
use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::time::Instant;

/// The bytes of a method that are shown at most.
const MAX_METHOD: usize = 32;

/// A log with one line for each request. The default writes nothing. Clones write to the same log.
#[derive(Clone, Default)]
pub struct AccessLog(Option<Arc<Destination>>);

/// The format of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// A JSON object with the schema `lacre/access/v1`.
    Json,
}

struct Destination {
    format: LogFormat,
    /// Knows the secret parts of a URL.
    policy: Policy,
    output: Output,
}

enum Output {
    Writer(Mutex<Box<dyn Write + Send>>),
    File { path: PathBuf, file: Mutex<File> },
}

impl AccessLog {
    /// A log that writes to `writer`, such as standard error. `policy` is that of the cache.
    #[must_use]
    pub fn to_writer(writer: impl Write + Send + 'static, format: LogFormat, policy: Policy) -> Self {
        Self::new(Output::Writer(Mutex::new(Box::new(writer))), format, policy)
    }

    /// A log that appends to the file at `path`, which is created with mode 0600 if it is missing.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn to_file(path: &Path, format: LogFormat, policy: Policy) -> Result<Self, Error> {
        let file = Mutex::new(open(path)?);
        Ok(Self::new(Output::File { path: path.to_owned(), file }, format, policy))
    }

    fn new(output: Output, format: LogFormat, policy: Policy) -> Self {
        Self(Some(Arc::new(Destination { format, policy, output })))
    }

    /// Reopens the file after it was moved away. If that fails, the old file stays in use.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn reopen(&self) -> Result<(), Error> {
        if let Some(Output::File { path, file }) = self.0.as_deref().map(|to| &to.output) {
            let reopened = open(path)?;
            *file.lock().unwrap_or_else(PoisonError::into_inner) = reopened;
        }
        Ok(())
    }

    /// Begins the line of a request.
    pub(crate) fn line<B>(&self, request: &Request<B>, peer: IpAddr) -> Line {
        let Some(destination) = &self.0 else { return Line(None) };
        Line(Some(Box::new(Record {
            destination: Arc::clone(destination),
            begun: Instant::now(),
            peer,
            method: request.method().clone(),
            url: request.uri().clone(),
            version: request.version(),
            status: None,
            outcome: "gone",
            bytes: 0,
            fault: None,
        })))
    }

    /// Begins the line of a request whose head could not be parsed.
    pub(crate) fn line_of_unparsed(&self, peer: IpAddr) -> Line {
        let mut request = Request::new(());
        // Other servers write `-` for an unknown value, too. It is a valid method.
        *request.method_mut() = Method::from_bytes(b"-").unwrap_or_default();
        *request.uri_mut() = Uri::from_static("*");
        self.line(&request, peer)
    }
}

impl fmt::Debug for AccessLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessLog").field(&self.0.as_ref().map(|to| to.format)).finish()
    }
}

fn open(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| Error::AccessLog { path: path.to_owned(), source })
}

impl Destination {
    /// Writes a line with one call, so that lines of several processes do not mix. A log that
    /// cannot be written does not stop the proxy.
    fn write(&self, line: &[u8]) {
        let _: io::Result<()> = match &self.output {
            Output::Writer(writer) => writer.lock().unwrap_or_else(PoisonError::into_inner).write_all(line),
            Output::File { file, .. } => file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line),
        };
    }
}

/// The line of one request. It is written when it is dropped.
pub(crate) struct Line(Option<Box<Record>>);

struct Record {
    destination: Arc<Destination>,
    begun: Instant,
    peer: IpAddr,
    method: Method,
    url: Uri,
    version: Version,
    status: Option<StatusCode>,
    /// How the request was answered. `gone` if the client left before.
    outcome: &'static str,
    bytes: u64,
    /// The error, if there was one.
    fault: Option<&'static str>,
}

impl Line {
    pub(crate) fn answered(&mut self, status: StatusCode, outcome: Outcome) {
        if let Some(record) = &mut self.0 {
            (record.status, record.outcome) = (Some(status), outcome.as_str());
        }
    }

    fn sent(&mut self, bytes: usize) {
        if let Some(record) = &mut self.0 {
            record.bytes += bytes as u64;
        }
    }

    /// Records that the response of the origin broke off.
    fn broke_off(&mut self) {
        if let Some(record) = &mut self.0 {
            record.fault = Some("the origin cut its response short");
        }
    }

    pub(crate) fn failed(&mut self, error: RequestError) {
        if let Some(record) = &mut self.0 {
            record.fault = Some(error.text());
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            let mut line = record.text();
            line.push('\n');
            record.destination.write(line.as_bytes());
        }
    }
}

impl Record {
    fn text(&self) -> String {
        let now = jiff::Timestamp::now();
        let millis = self.begun.elapsed().as_secs_f64() * 1000.0;
        let url = sanitize::url(&self.destination.policy, &self.url.to_string());
        let method = shortened(self.method.as_str());
        let status = self.status.map_or(0, |status| status.as_u16());
        if self.destination.format == LogFormat::Json {
            let line = json!({
                "schema": "lacre/access/v1", "time": now.to_string(), "peer": self.peer, "method": method,
                "url": url, "version": format!("{:?}", self.version), "status": status, "bytes": self.bytes,
                "ms": millis, "cache": self.outcome, "fault": self.fault,
            });
            return sanitize::json(&line).unwrap_or_default();
        }
        let mut line = String::with_capacity(128);
        // Writing to a string does not fail.
        let _ = write!(
            line,
            "{now:.3} {} {} {url} {:?} {status} {}B {millis:.2}ms {}",
            self.peer, method, self.version, self.bytes, self.outcome
        );
        if let Some(fault) = self.fault {
            line.extend([": ", fault]);
        }
        line
    }
}

/// A method as it is shown. It is a token (RFC 9110 §5.6.2), so that only its length is a danger.
fn shortened(method: &str) -> Cow<'_, str> {
    match method.get(..MAX_METHOD) {
        Some(beginning) if method.len() > MAX_METHOD => format!("{beginning}…").into(),
        _ => method.into(),
    }
}

pin_project! {
    /// The body of a response, which records its bytes and its end in the line of the request.
    pub(crate) struct LoggedBody<B> {
        #[pin]
        body: B,
        line: Line,
    }
}

impl<B> LoggedBody<B> {
    pub(crate) fn new(body: B, line: Line) -> Self {
        Self { body, line }
    }
}

impl<B: Body<Data = Bytes>> Body for LoggedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let polled = this.body.poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => this.line.sent(frame.data_ref().map_or(0, Bytes::len)),
            Poll::Ready(Some(Err(_))) => this.line.broke_off(),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
