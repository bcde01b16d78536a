//! One line on stderr for each request, when its answer has ended. Never the values of a query, nor any header.

use crate::output::Output;
use crate::serve::failure::Fault;
use crate::serve::metrics::Outcome;
use http::{Method, Request, StatusCode, Uri, Version};
use serde_json::json;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::IpAddr;
use tokio::time::Instant;

/// Whether requests are written down.
#[derive(Clone, Copy)]
pub(crate) enum AccessLog {
    To(Output),
    Off,
}

/// What is known of a request so far. It is written when it is dropped.
pub(crate) struct Line(Option<Box<Record>>);

struct Record {
    output: Output,
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
    /// Begins the line of a request.
    pub(crate) fn line<B>(self, request: &Request<B>, peer: IpAddr) -> Line {
        let Self::To(output) = self else { return Line(None) };
        Line(Some(Box::new(Record {
            output,
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
            // In one piece, so that lines do not mix; a log that nobody can read is no reason to stop serving.
            let _ = io::stderr().lock().write_all(line.as_bytes());
        }
    }
}

impl Record {
    fn text(&self) -> String {
        let now = jiff::Timestamp::now();
        let millis = self.begun.elapsed().as_secs_f64() * 1000.0;
        let url = without_query_values(&self.url);
        let status = self.status.map_or(0, |status| status.as_u16());
        if self.output.is_json() {
            return json!({
                "schema": "lacre/access/v1", "time": now.to_string(), "peer": self.peer, "method": self.method.as_str(),
                "url": url, "version": format!("{:?}", self.version), "status": status, "bytes": self.bytes,
                "ms": millis, "cache": self.outcome, "fault": self.fault,
            })
            .to_string();
        }
        let mut line = String::with_capacity(128);
        // Writing to a string does not fail.
        let _ = write!(
            line,
            "{now:.3} {} {} {url} {:?} {status} {}B {millis:.2}ms {}",
            self.peer, self.method, self.version, self.bytes, self.outcome
        );
        if let Some(fault) = self.fault {
            line.extend([": ", fault]);
        }
        line
    }
}

/// A URL with the names in its query only: values may be secrets.
fn without_query_values(url: &Uri) -> String {
    let mut text = match (url.scheme_str(), url.authority()) {
        (Some(scheme), Some(authority)) => format!("{scheme}://{}", without_user(authority.as_str())),
        _ => String::new(),
    };
    text.push_str(url.path());
    let names = url.query().into_iter().flat_map(|query| query.split('&'));
    for (index, parameter) in names.enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((name, _)) => text.extend([name, "="]),
            // Without a name, it may be a value.
            None => text.push('…'),
        }
    }
    text
}

fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_of_a_query_and_no_user_is_written_down() {
        for (url, shown) in [
            ("/p?token=secret&q=1", "/p?token=&q="),
            ("/p?secret", "/p?…"),
            ("http://user:secret@a.test/p", "http://a.test/p"),
            ("/p", "/p"),
        ] {
            assert_eq!(without_query_values(&Uri::from_static(url)), shown);
        }
    }
}
