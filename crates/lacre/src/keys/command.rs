//! A keyring that a command prints, such as a password manager's. No shell is involved, what it prints is bounded in size and
//! time, and what it says on its error stream is never shown: some print secrets there.

use super::{KeySource, as_text};
use crate::{Error, ErrorKind};
use lacre_seal::Keyring;
use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a command may take to print the key: long enough to type a password or touch a token.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take to end after that.
const FAREWELL: Duration = Duration::from_secs(5);

/// A command that prints a keyring, or one bare key, on its standard output.
#[derive(Clone)]
pub struct KeyCommand {
    program: String,
    arguments: Vec<String>,
    patience: Duration,
}

impl KeyCommand {
    /// The program, by path or to be found in `PATH`, and its arguments, each as it is.
    pub fn new(program: impl Into<String>, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program: program.into(), arguments, patience: PATIENCE }
    }

    /// Words are separated by spaces and quoted as in a shell; nothing else that a shell knows means anything.
    /// `None`: there is no word, or a quote is left open.
    pub(super) fn parse(line: &str) -> Option<Self> {
        let mut words = shlex::split(line)?.into_iter();
        let program = words.next().filter(|program| !program.is_empty())?;
        Some(Self::new(program, words))
    }

    fn refused(&self, why: &str) -> Error {
        Error::new(ErrorKind::KeyUnavailable, format!("the command {} {why}", self.program)).with_hint(
            "run it by itself to see what it says; it must print the key, and nothing else, on its output",
        )
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
        // Ends with the pipe: nobody waits for it any more once the patience has.
        thread::spawn(move || sender.send(read_bounded(output)));
        let printed = receiver.recv_timeout(self.patience);
        let status = if printed.is_ok() { end(&mut child) } else { None };
        if status.is_none() {
            // What is still running gets no second chance; what has ended already needs none.
            let _ = child.kill().and_then(|()| child.wait());
        }
        match (printed, status) {
            (Err(_), _) => Err(self.refused("printed no key in time")),
            (Ok(_), None) => Err(self.refused("does not end")),
            (Ok(Err(error)), _) => Err(self.refused("cannot be read").with_source(error)),
            (Ok(_), Some(status)) if !status.success() => Err(self.refused(&format!("failed ({status})"))),
            (Ok(Ok(None)), _) => Err(self.refused("prints more than a keyring can hold")),
            (Ok(Ok(Some(bytes))), _) => {
                as_text(bytes).ok_or_else(|| self.refused("prints something that is not text"))
            }
        }
    }

    /// The program alone: an argument may be nobody's business.
    fn describe(&self) -> String {
        let more = if self.arguments.is_empty() { "" } else { " …" };
        format!("cmd:{}{more}", self.program)
    }
}

/// Shows no argument.
impl std::fmt::Debug for KeyCommand {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyCommand({})", self.describe())
    }
}

/// `None`: there is more.
fn read_bounded(output: ChildStdout) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    const MOST: usize = Keyring::MAX_TEXT_LEN;
    // As long as it will ever be: growing would leave parts of the keys in freed memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST + 1));
    output.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() <= MOST).then_some(bytes))
}

fn end(child: &mut Child) -> Option<ExitStatus> {
    const STEP: Duration = Duration::from_millis(10);
    for _ in 0..FAREWELL.as_millis() / STEP.as_millis() {
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
    fn what_a_command_prints_is_the_key() {
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
    fn a_command_that_fails_is_refused_and_what_it_says_is_never_shown() {
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
    fn a_command_that_takes_too_long_is_ended() {
        let directory = tempfile::tempdir().unwrap();
        let marker = directory.path().join("still-running");
        let patience = Duration::from_millis(100);
        let script = format!("sleep 1; touch {}", marker.display());
        let error = KeyCommand { patience, ..shell(&script) }.load().unwrap_err();
        assert!(error.to_string().contains("in time"));
        thread::sleep(Duration::from_millis(1500));
        assert!(!marker.exists(), "it went on");
    }
}
