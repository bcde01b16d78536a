//! A sandbox to run the program in, with its own home directory, and an origin that answers with
//! raw bytes.

use serde_json::Value;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use tempfile::TempDir;

/// A home directory to run the program in.
pub(crate) struct Sandbox {
    home: TempDir,
}

/// The exit code and the output of a run.
#[derive(Debug)]
pub(crate) struct RunResult {
    pub(crate) code: i32,
    pub(crate) out: Vec<u8>,
    pub(crate) err: String,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// Writes a file into the home and returns its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The default store.
    pub(crate) fn store(&self) -> PathBuf {
        self.path(".cache/lacre/cache.sqlite")
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lacre"));
        command.args(args).env_clear().env("HOME", self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> RunResult {
        self.command(args).output().unwrap().into()
    }

    /// Runs with `input` on standard input.
    pub(crate) fn run_with_input(&self, args: &[&str], input: &[u8]) -> RunResult {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Runs the program, which must succeed.
    pub(crate) fn ok(&self, args: &[&str]) -> RunResult {
        let result = self.run(args);
        assert_eq!(result.code, 0, "{args:?}: {}", result.err);
        result
    }

    /// Changes a byte of the sealed head of every envelope whose index in the store `choose`
    /// accepts.
    pub(crate) fn tamper(&self, choose: impl Fn(usize) -> bool) {
        self.change(112, choose);
    }

    /// Changes a byte of the commitment instead, which hides the envelope's namespace and store.
    pub(crate) fn tamper_header(&self, choose: impl Fn(usize) -> bool) {
        self.change(80, choose);
    }

    fn change(&self, offset: usize, choose: impl Fn(usize) -> bool) {
        let mut bytes = fs::read(self.store()).unwrap();
        let starts: Vec<usize> = bytes
            .windows(5)
            .enumerate()
            .filter(|(_, window)| *window == b"\x89LAC\x01")
            .map(|(place, _)| place)
            .collect();
        assert!(!starts.is_empty(), "nothing is stored");
        for (_, start) in starts.iter().enumerate().filter(|(place, _)| choose(*place)) {
            bytes[start + offset] ^= 1;
        }
        fs::write(self.store(), bytes).unwrap();
    }
}

impl From<Output> for RunResult {
    fn from(output: Output) -> Self {
        let err = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: output.stdout, err }
    }
}

impl RunResult {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.out).unwrap()
    }

    /// Every line of stdout as a JSON object.
    pub(crate) fn objects(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The cache's result, the first word of the last line of stderr.
    pub(crate) fn cache_result(&self) -> &str {
        let last = self.err.lines().last().unwrap_or_default();
        last.split(' ').next().unwrap()
    }
}

/// An origin on loopback. It runs until the test process ends.
pub(crate) struct Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Origin {
    /// Starts an origin. `answer` gets each request as text and returns all bytes of the response.
    pub(crate) fn start(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                // In some tests the client hangs up early.
                let Some(request) = stream.as_ref().ok().and_then(read) else { continue };
                let response = answer(&request);
                noted.lock().unwrap().push(request);
                let _ = stream.unwrap().write_all(&response);
            }
        });
        Self { address, seen }
    }

    /// Starts an origin that always answers with the same response.
    pub(crate) fn always(headers: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self::start(move |_| response("200 OK", headers, &body))
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

/// Reads the head and body of a request.
fn read(mut stream: &TcpStream) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Some(text);
            }
        }
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return None,
            Ok(read) => request.extend_from_slice(&buffer[..read]),
        }
    }
}

/// A complete response. `headers` are lines that end in `\r\n`.
pub(crate) fn response(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut bytes =
        format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n")
            .into_bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// A URL on a port where nothing listens.
pub(crate) fn unreachable_url() -> String {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    format!("http://{address}/")
}
