//! The passphrase that opens another source: from the environment, or from whoever can be asked.

use super::{Asked, PASSPHRASE, PASSPHRASE_FROM, Prompt, env, reference};
use crate::{Error, ErrorKind};
use std::fmt::Display;
use std::sync::Arc;
use zeroize::Zeroizing;

#[derive(Clone, Debug)]
pub(super) struct Unlock {
    prompt: Arc<dyn Prompt>,
}

impl Unlock {
    pub(super) fn by(prompt: Arc<dyn Prompt>) -> Self {
        Self { prompt }
    }

    pub(super) fn ask(&self, what: &dyn Display) -> Result<Zeroizing<String>, Error> {
        self.answer(what, Asked::ToOpen)
    }

    pub(super) fn ask_for_new(&self, what: &dyn Display) -> Result<Zeroizing<String>, Error> {
        self.answer(what, Asked::ToChoose)
    }

    fn answer(&self, what: &dyn Display, asked: Asked) -> Result<Zeroizing<String>, Error> {
        if let Some(text) = env::variable(PASSPHRASE) {
            return Ok(text);
        }
        let Some(from) = env::variable(PASSPHRASE_FROM) else {
            return self.prompt.ask(&what.to_string(), asked);
        };
        let source = reference::parse_plain(&from)?.ok_or_else(|| {
            Error::new(ErrorKind::Config, format!("{PASSPHRASE_FROM} does not say where a passphrase is kept"))
                .with_hint("write file:PATH, env:NAME, cmd:COMMAND, systemd:NAME, keyring:SERVICE/USER or keyutils:SERVICE/USER")
        })?;
        first_line(&source.read()?).ok_or_else(|| {
            Error::new(ErrorKind::KeyUnavailable, format!("{} holds no passphrase", source.describe()))
                .with_hint("put it there, on one line")
        })
    }
}

/// One line, without its end; more than one is no passphrase.
fn first_line(text: &str) -> Option<Zeroizing<String>> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let single = !line.is_empty() && !line.contains('\n');
    single.then(|| Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_is_one_line_whatever_ends_it() {
        for text in ["a b ", "a b \n", "a b \r\n"] {
            assert_eq!(*first_line(text).unwrap(), "a b ");
        }
        for text in ["", "\n", "\r\n", "a\nb", "a\n\n"] {
            assert!(first_line(text).is_none(), "{text:?}");
        }
    }
}
