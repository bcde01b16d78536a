//! The access log: one line for each request, when its answer has ended. URLs are shown as `sanitize::url` does: without secrets. No line
//! has a header.

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::sanitize;
use crate::serve::failure::Fault;
use crate::serve::metrics::Outcome;
use http::{Method, Request, StatusCode, Uri, Version};
use lacre::Policy;
use serde_json::json;
use std::borrow::Cow;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// The longest method that is shown, in bytes.
const MAX_METHOD: usize = 32;

/// Where requests are written down, if they are. Clones are the same log.
#[derive(Clone)]
pub(crate) struct AccessLog(Option<Arc<Journal>>);

struct Journal {
    output: Output,
    /// Knows what is secret in a URL.
    policy: Policy,
    to: To,
}

enum To {
    Stderr,
    File { path: PathBuf, file: Mutex<File> },
}

/// What is known of a request so far. It is written when it is dropped.
pub(crate) struct Line(Option<Box<Record>>);

struct Record {
    journal: Arc<Journal>,
    begun: Instant,
    peer: IpAddr,
    method: Method,
    url: Uri,
    version: Version,
    status: Option<StatusCode>,
    outcome: &'static str,
    bytes: u64,
    /// What went wrong.
    fault: Option<&'static str>,
}

impl AccessLog {
    /// No log.
    pub(crate) const OFF: Self = Self(None);

    /// A log on stderr, or in the file at `path`, which is appended to.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn new(output: Output, policy: Policy, path: Option<&Path>) -> Result<Self, Failure> {
        let to = match path {
            None => To::Stderr,
            Some(path) => To::File { path: path.to_owned(), file: Mutex::new(open(path)?) },
        };
        Ok(Self(Some(Arc::new(Journal { output, policy, to }))))
    }

    /// Opens the file anew, for it may have been moved away. The old one stays in use where that fails.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub(crate) fn reopen(&self) -> Result<(), Failure> {
        if let Some(To::File { path, file }) = self.0.as_deref().map(|journal| &journal.to) {
            let reopened = open(path)?;
            *file.lock().unwrap_or_else(PoisonError::into_inner) = reopened;
        }
        Ok(())
    }

    /// Begins the line of a request.
    pub(crate) fn line<B>(&self, request: &Request<B>, peer: IpAddr) -> Line {
        let Some(journal) = &self.0 else { return Line(None) };
        Line(Some(Box::new(Record {
            journal: Arc::clone(journal),
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

    /// The line of a request of which nothing is known, because its head could not be read.
    pub(crate) fn unreadable(&self, peer: IpAddr) -> Line {
        let mut request = Request::new(());
        // As other servers write what is not there; `-` is a method by its form.
        *request.method_mut() = Method::from_bytes(b"-").unwrap_or_default();
        *request.uri_mut() = Uri::from_static("*");
        self.line(&request, peer)
    }
}

fn open(path: &Path) -> Result<File, Failure> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|error| {
        Failure::new(Exit::Usage, format!("cannot open the access log {}: {error}", path.display()))
            .with_hint("--access-log takes a file in a folder that exists and that lacre may write to")
    })
}

impl Journal {
    /// Writes a line in one piece, so that lines do not mix. A log that cannot be written is no reason to stop serving.
    fn write(&self, line: &[u8]) {
        let _ = match &self.to {
            To::Stderr => io::stderr().lock().write_all(line),
            To::File { file, .. } => file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line),
        };
    }
}

impl Line {
    pub(crate) fn answered(&mut self, status: StatusCode, outcome: Outcome) {
        if let Some(record) = &mut self.0 {
            (record.status, record.outcome) = (Some(status), outcome.as_str());
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(record) = &mut self.0 {
            record.bytes += bytes as u64;
        }
    }

    /// The origin's answer broke off.
    pub(crate) fn broke(&mut self) {
        if let Some(record) = &mut self.0 {
            record.fault = Some("the origin cut its answer");
        }
    }

    /// There is no answer but what went wrong.
    pub(crate) fn failed(&mut self, fault: Fault) {
        if let Some(record) = &mut self.0 {
            record.fault = Some(fault.text());
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if let Some(record) = self.0.take() {
            let mut line = record.text();
            line.push('\n');
            record.journal.write(line.as_bytes());
        }
    }
}

impl Record {
    fn text(&self) -> String {
        let now = jiff::Timestamp::now();
        let millis = self.begun.elapsed().as_secs_f64() * 1000.0;
        let url = sanitize::url(&self.journal.policy, &self.url.to_string());
        let method = method(self.method.as_str());
        let status = self.status.map_or(0, |status| status.as_u16());
        if self.journal.output.is_json() {
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

/// A method as far as it is shown: it is a token (RFC 9110 §5.6.2), so only its length can do harm.
fn method(method: &str) -> Cow<'_, str> {
    match method.get(..MAX_METHOD) {
        Some(beginning) if method.len() > MAX_METHOD => format!("{beginning}…").into(),
        _ => method.into(),
    }
}
