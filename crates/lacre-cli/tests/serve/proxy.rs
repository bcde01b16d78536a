//! A running `lacre serve`, and a client that exchanges raw bytes.

pub(crate) use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The time that any step may take before the test fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// A running `lacre serve`. It is killed when it is dropped.
pub(crate) struct Proxy {
    child: Child,
    address: SocketAddr,
    admin: Option<SocketAddr>,
    log: Arc<Mutex<Vec<String>>>,
    logging: Option<JoinHandle<()>>,
    home: TempDir,
}

impl Proxy {
    /// A proxy for `upstream`, with its store in memory.
    pub(crate) fn to(upstream: &str, flags: &[&str]) -> Self {
        Self::start(&[&["--upstream", upstream], flags].concat())
    }

    /// A proxy with these flags, which logs JSON and listens on a free port.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::with_home(tempfile::tempdir().unwrap(), flags)
    }

    /// A proxy with these flags that listens on this address.
    pub(crate) fn start_at(listen: &str, flags: &[&str]) -> Self {
        Self::start(&[&["--listen", listen], flags].concat())
    }

    /// A proxy with these flags and this home directory.
    pub(crate) fn with_home(home: TempDir, flags: &[&str]) -> Self {
        let usual = [("--store", "memory:"), ("--listen", "127.0.0.1:0"), ("--workers", "2")];
        let usual = usual.iter().filter(|(name, _)| !flags.contains(name));
        let mut child = Command::new(env!("CARGO_BIN_EXE_lacre"))
            .args(["serve", "--json"])
            .args(usual.flat_map(|(name, value)| [name, value]))
            .args(flags)
            .env_clear()
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let announced = announcement(&mut stderr);
        let address = |name: &str| announced[name].as_str().map(|address| address.parse().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&log);
        let logging = thread::spawn(move || {
            for line in stderr.lines() {
                record.lock().unwrap().push(line.unwrap());
            }
        });
        Self {
            child,
            address: address("listen").unwrap(),
            admin: address("admin"),
            log,
            logging: Some(logging),
            home,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends `request`, and returns everything received until the connection ends.
    pub(crate) fn send(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        rest(&mut stream)
    }

    /// Sends these bytes, and returns everything received until the connection ends.
    pub(crate) fn send_bytes(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        rest_of(&mut stream)
    }

    /// Sends these bytes, closes its half of the connection, and returns everything received.
    pub(crate) fn send_and_end(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        rest_of(&mut stream)
    }

    /// Sends a GET with these header lines, and returns the response.
    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: front.test\r\nconnection: close\r\n{headers}\r\n"))
    }

    /// The metrics as Prometheus reads them.
    pub(crate) fn metrics(&self) -> String {
        let mut stream = connect(self.admin.unwrap());
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin.test\r\n\r\n").unwrap();
        rest(&mut stream)
    }

    /// The peak of its memory, in kilobytes. `None` if the system does not report it.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        peak.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Asks it to shut down.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has logged a line for which `matches` is true.
    pub(crate) fn wait_for_log(&self, matches: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        let logged =
            || self.log.lock().unwrap().iter().any(|line| matches(&serde_json::from_str(line).unwrap()));
        while !logged() {
            assert!(begun.elapsed() < TIMEOUT, "{:?}", self.log.lock().unwrap());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The address that shows the metrics.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.unwrap()
    }

    /// Its home directory, which is removed with it.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Waits until it ends, and returns its exit code and all that it logged.
    pub(crate) fn wait(mut self) -> (Option<i32>, Vec<Value>) {
        let code = self.child.wait().unwrap().code();
        self.logging.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap();
        (code, log.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The log line with the addresses. Lines before it are notes.
fn announcement(stderr: &mut BufReader<ChildStderr>) -> Value {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "the proxy ended before it listened");
        let said: Value = serde_json::from_str(&line).unwrap();
        if said["schema"] == "lacre/serve/v1" {
            return said;
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream
}

/// Everything received until the connection ends or is reset. Waiting longer than the timeout
/// fails.
pub(crate) fn rest(stream: &mut TcpStream) -> String {
    String::from_utf8(rest_of(stream)).unwrap()
}

/// The same, as bytes.
pub(crate) fn rest_of(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "after {bytes:?}");
                break;
            }
        }
    }
    bytes
}

/// The value of a header in a response, as text.
pub(crate) fn header<'a>(response: &'a str, name: &str) -> Option<&'a str> {
    let (head, _) = response.split_once("\r\n\r\n")?;
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}
