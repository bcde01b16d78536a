//! The built program as a proxy, and a client in raw bytes.

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

/// How long anything may take before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A running `lacre serve`, killed when it is dropped.
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

    /// A proxy with these flags, in JSON, on a free port.
    pub(crate) fn start(flags: &[&str]) -> Self {
        Self::at_home(tempfile::tempdir().unwrap(), flags)
    }

    /// The same, listening on this address.
    pub(crate) fn start_at(listen: &str, flags: &[&str]) -> Self {
        Self::start(&[&["--listen", listen], flags].concat())
    }

    /// The same with this folder as its home.
    pub(crate) fn at_home(home: TempDir, flags: &[&str]) -> Self {
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
        let said = announcement(&mut stderr);
        let address = |name: &str| said[name].as_str().map(|address| address.parse().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&log);
        let logging = thread::spawn(move || {
            for line in stderr.lines() {
                noted.lock().unwrap().push(line.unwrap());
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

    /// What comes back for `request` until the connection ends.
    pub(crate) fn send(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        rest(&mut stream)
    }

    /// What comes back for these bytes, after which nothing more is sent.
    pub(crate) fn send_bytes(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        rest_of(&mut stream)
    }

    /// The same, where the client says that nothing more will come.
    pub(crate) fn send_and_end(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.connect();
        stream.write_all(request).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        rest_of(&mut stream)
    }

    /// What comes back for a GET with these header lines.
    pub(crate) fn get(&self, path: &str, headers: &str) -> String {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: front.test\r\nconnection: close\r\n{headers}\r\n"))
    }

    /// What Prometheus would read.
    pub(crate) fn metrics(&self) -> String {
        let mut stream = connect(self.admin.unwrap());
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: admin.test\r\n\r\n").unwrap();
        rest(&mut stream)
    }

    /// The most memory it ever had, in kilobytes; `None` where the system does not say.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        peak.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Asks it to end.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has logged a line of which `holds` is true.
    pub(crate) fn logs(&self, holds: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        let logged =
            || self.log.lock().unwrap().iter().any(|line| holds(&serde_json::from_str(line).unwrap()));
        while !logged() {
            assert!(begun.elapsed() < PATIENCE, "{:?}", self.log.lock().unwrap());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Where the metrics are.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.admin.unwrap()
    }

    /// A folder that lasts as long as it.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// How it ended, and all that it logged.
    pub(crate) fn ended(mut self) -> (Option<i32>, Vec<Value>) {
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

/// The line with the addresses; what comes before it are notes.
fn announcement(stderr: &mut BufReader<ChildStderr>) -> Value {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended before it listened");
        let said: Value = serde_json::from_str(&line).unwrap();
        if said["schema"] == "lacre/serve/v1" {
            return said;
        }
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Everything until the connection ends, well or not; waiting for longer than the patience is a failure.
pub(crate) fn rest(stream: &mut TcpStream) -> String {
    String::from_utf8(rest_of(stream)).unwrap()
}

/// The same as bytes.
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
