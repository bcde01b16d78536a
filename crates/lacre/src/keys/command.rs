//! A keyring printed by a command, such as a password manager. No shell is involved. The output is
//! limited in size and time, and the error stream is never shown, since some commands print secrets
//! there.

use super::{KeySource, as_text};
use crate::{Error, ErrorKind};
use lacre_seal::Keyring;
use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest wait for the key: long enough to type a password or touch a token.
const KEY_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest wait for the command to end after that.
const EXIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A command that prints a keyring, or one bare key, on its standard output.
#[derive(Clone)]
pub struct KeyCommand {
    program: String,
    arguments: Vec<String>,
    timeout: Duration,
}

impl KeyCommand {
    /// The program, a path or a name in `PATH`, and its arguments, passed unchanged.
    pub fn new(program: impl Into<String>, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, timeout: KEY_TIMEOUT }
    }

    /// Splits a line into words by spaces and shell quotes; no other shell syntax applies. `None`:
    /// there is no word, or a quote is not closed.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = shlex::split(line)?.into_iter();
        let program = words.next().filter(|program| !program.is_empty())?;
        Some(Self::new(program, words))
    }

    fn refused(&self, problem: &str) -> Error {
        Error::new(ErrorKind::KeyUnavailable, format!("the command {} {problem}", self.program))
            .with_hint("run it by itself to see its messages; it must print only the key on standard output")
    }
}

impl KeySource for KeyCommand {
    fn read(&self) -> Result<Zeroizing<String>, Error> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| self.refused("did not start").with_source(error))?;
        let Some(output) = child.stdout.take() else { return Err(self.refused("has no output")) };
        let (sender, receiver) = mpsc::channel();
        // The thread ends with the pipe; after the timeout, nothing waits for it.
        thread::spawn(move || sender.send(read_bounded(output)));
        let printed = receiver.recv_timeout(self.timeout);
        let status = if printed.is_ok() { end(&mut child) } else { None };
        if status.is_none() {
            // An error means that the command has ended already.
            let _ = child.kill().and_then(|()| child.wait());
        }
        match (printed, status) {
            (Err(_), _) => Err(self.refused("printed no key in time")),
            (Ok(_), None) => Err(self.refused("does not end")),
            (Ok(Err(error)), _) => Err(self.refused("cannot be read").with_source(error)),
            (Ok(_), Some(status)) if !status.success() => Err(self.refused(&format!("failed ({status})"))),
            (Ok(Ok(None)), _) => Err(self.refused("prints more than a keyring can hold")),
            (Ok(Ok(Some(bytes))), _) => {
                as_text(bytes).ok_or_else(|| self.refused("prints output that is not text"))
            }
        }
    }

    /// The program without its arguments, which may be private.
    fn describe(&self) -> String {
        let more = if self.arguments.is_empty() { "" } else { " …" };
        format!("cmd:{}{more}", self.program)
    }
}

/// Leaves the arguments out.
impl std::fmt::Debug for KeyCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyCommand({})", self.describe())
    }
}

/// Reads the output; `None`: it is longer than a keyring can be.
fn read_bounded(output: ChildStdout) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    const MAX: usize = Keyring::MAX_TEXT_LEN;
    // Allocated once: growing would leave parts of the keys in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX + 1));
    output.take(MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MAX).then_some(bytes))
}

fn end(child: &mut Child) -> Option<ExitStatus> {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..EXIT_TIMEOUT.as_millis() / STEP.as_millis() {
        match child.try_wait() {
            Ok(None) => thread::sleep(STEP),
            ended => return ended.ok().flatten(),
        }
    }
    None
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

    fn shell(script: &str) -> KeyCommand {
        KeyCommand::new("/bin/sh", ["-c", script])
    }

    #[test]
    fn output_of_a_command_is_the_key() {
        let ring = shell(&format!("echo {KEY}")).load().unwrap();
        assert_eq!(ring.primary(), shell(&format!("printf {KEY}")).load().unwrap().primary());
    }

    #[test]
    fn words_are_quoted_and_nothing_reaches_a_shell() {
        let parsed = KeyCommand::parse(r"printf %s 'a b' $(touch x) ; echo").unwrap();
        assert_eq!(parsed.program, "printf");
        assert_eq!(parsed.arguments, ["%s", "a b", "$(touch", "x)", ";", "echo"]);
        for line in ["", "  ", "''", "pass 'show"] {
            assert!(KeyCommand::parse(line).is_none(), "{line:?}");
        }
    }

    #[test]
    fn failing_command_is_refused_and_its_messages_are_never_shown() {
        let failing = [
            format!("echo {KEY}; echo hunter2 >&2; exit 3"),
            "echo hunter2".to_owned(),
            "printf '\\377'".to_owned(),
            "true".to_owned(),
            "kill -9 $$".to_owned(),
            "while :; do echo hunter2; done".to_owned(),
        ];
        for script in failing {
            let error = shell(&script).load().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::KeyUnavailable, "{script}");
            assert!(!format!("{error:?} {error}").contains("hunter2"), "{error:?}");
        }
        let missing = KeyCommand::new("/nowhere/at-all", ["hunter2"]);
        assert!(missing.load().unwrap_err().to_string().contains("did not start"));
        assert!(!format!("{missing:?}").contains("hunter2"));
    }

    #[test]
    fn slow_command_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let marker = directory.path().join("still-running");
        let timeout = Duration::from_millis(100);
        let script = format!("sleep 1; touch {}", marker.display());
        let error = KeyCommand { timeout, ..shell(&script) }.load().unwrap_err();
        assert!(error.to_string().contains("in time"));
        thread::sleep(Duration::from_millis(1500));
        assert!(!marker.exists(), "it went on");
    }
}
