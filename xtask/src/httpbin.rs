//! Runs httpbin under gunicorn as an origin for tests, in a virtual environment under `target/`
//! with the versions pinned in `xtask/httpbin-requirements.txt`.
//!
//! Tests find its URL in `LACRE_HTTPBIN`. It listens on the loopback only and never outlives this
//! process: it ends when its standard input, a pipe, closes (`xtask/gunicorn.conf.py`).

use crate::{Failure, python};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

/// The limit for the server's first response, and for its end.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A running httpbin; it stops when this is dropped.
pub(crate) struct Httpbin {
    server: Child,
    /// Kept open: the server dies if it writes to a closed pipe.
    _output: BufReader<ChildStdout>,
    url: String,
}

/// Runs the server until standard input ends.
///
/// # Errors
/// As [`start`].
pub(crate) fn serve(root: &Path) -> Result<(), Failure> {
    let origin = start(root)?;
    println!("export LACRE_HTTPBIN={}", origin.url());
    io::copy(&mut io::stdin(), &mut io::sink())?;
    Ok(())
}

/// Installs missing packages, starts the server and waits until it answers.
///
/// # Errors
/// Python or PyPI is missing, or the server did not answer; the message names the remedy.
pub(crate) fn start(root: &Path) -> Result<Httpbin, Failure> {
    let environment = python::environment(root, "httpbin")?;
    let mut server = Command::new(environment.join("bin/gunicorn"))
        .arg("--config")
        .arg(root.join("xtask/gunicorn.conf.py"))
        .arg("httpbin:app")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("gunicorn did not start ({error}); remove {}", environment.display()))?;
    let output = server.stdout.take().ok_or("gunicorn has no output")?;
    let mut origin = Httpbin { server, _output: BufReader::new(output), url: String::new() };
    origin._output.read_line(&mut origin.url)?;
    origin.url.truncate(origin.url.trim_end().len());
    origin.expect_answer()?;
    Ok(origin)
}

impl Httpbin {
    /// `http://127.0.0.1:PORT`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    fn expect_answer(&self) -> Result<(), Failure> {
        let address =
            self.url.strip_prefix("http://").ok_or("gunicorn ended before it listened; see above")?;
        let mut connection = TcpStream::connect(address)?;
        connection.set_read_timeout(Some(TIMEOUT))?;
        write!(connection, "GET /status/204 HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        let status = answer.lines().next().unwrap_or_default();
        if status.contains(" 204 ") { Ok(()) } else { Err(format!("httpbin answered {status:?}").into()) }
    }
}

impl Drop for Httpbin {
    fn drop(&mut self) {
        drop(self.server.stdin.take());
        for _ in 0..TIMEOUT.as_millis() / 50 {
            match self.server.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(50)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        // Only our child process, by its handle; gunicorn's workers end with their master.
        let _ = self.server.kill().and_then(|()| self.server.wait());
    }
}
