//! Workers, which are further processes of this program, and the cache that they share.

use crate::Failure;
use lacre::keys::{KeyFile, WritableKeySource};
use lacre::store::Sqlite;
use lacre::{Builder, Cache, Event, Keyring, Observer, Policy};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A worker process.
pub(crate) struct Worker {
    process: Child,
    output: BufReader<ChildStdout>,
}

impl Worker {
    pub(crate) fn start(role: &str, arguments: &[&str]) -> Result<Self, Failure> {
        Self::start_with(&[], role, arguments)
    }

    /// Starts a worker by another program, which runs its arguments as a command.
    pub(crate) fn start_with(launcher: &[&str], role: &str, arguments: &[&str]) -> Result<Self, Failure> {
        let this = std::env::current_exe()?;
        let mut command = match launcher {
            [] => Command::new(this),
            [program, rest @ ..] => {
                let mut command = Command::new(program);
                command.args(rest).arg(this);
                command
            }
        };
        command.args(["worker", role]).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let output = process.stdout.take().ok_or("a worker has no standard output")?;
        Ok(Self { process, output: BufReader::new(output) })
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The next line of its output.
    pub(crate) fn line(&mut self) -> Result<String, Failure> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err("a worker ended early; see above".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// The numbers on the next line of its output.
    pub(crate) fn figures<const N: usize>(&mut self) -> Result<[u64; N], Failure> {
        let line = self.line()?;
        let figures: Result<Vec<u64>, _> = line.split(' ').map(str::parse).collect();
        figures?.try_into().map_err(|_| format!("a worker printed {line:?}").into())
    }

    /// Waits for the process to end. Fails if it ends with an error.
    pub(crate) fn finish(mut self) -> Result<(), Failure> {
        let status = self.process.wait()?;
        if status.success() { Ok(()) } else { Err(format!("a worker ended with {status}").into()) }
    }

    /// Kills the process (SIGKILL).
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

/// Kills a worker that was not waited for.
impl Drop for Worker {
    fn drop(&mut self) {
        // Fails if it has ended by itself.
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// A cache in this directory, with a keyring beside it, a high limit on bodies, and a count of
/// failures.
pub(crate) fn cache(directory: &Path) -> Result<(Builder, Arc<Failures>), Failure> {
    let (builder, failures) = without_store(directory)?;
    let store = Sqlite::options().max_bytes(16 << 30).open(directory.join("store/cache.sqlite"))?;
    Ok((builder.store(store), failures))
}

/// The same without a store.
pub(crate) fn without_store(directory: &Path) -> Result<(Builder, Arc<Failures>), Failure> {
    let failures = Arc::new(Failures::default());
    let keys = KeyFile::at(directory.join("keys/keyring.toml"));
    if !keys.path().exists() {
        keys.create(&Keyring::generate()?)?;
    }
    let policy = Policy::rfc9111().max_body(8 << 30);
    let builder = Cache::builder().keys(&keys).policy(policy).observer(Arc::clone(&failures));
    Ok((builder, failures))
}

/// Counts failures that the cache reports.
#[derive(Debug, Default)]
pub(crate) struct Failures(AtomicU64);

impl Failures {
    pub(crate) fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Observer for Failures {
    fn on_event(&self, event: Event<'_>) {
        let is_failure =
            matches!(event, Event::StoreFailed { .. } | Event::Refused { .. } | Event::StoreSetAside { .. });
        // Prints only the first: the others repeat it.
        if is_failure && self.0.fetch_add(1, Ordering::Relaxed) == 0 {
            eprintln!("{event:?}");
        }
    }
}
