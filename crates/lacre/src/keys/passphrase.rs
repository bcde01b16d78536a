//! The passphrase of another source: from the environment, or from a prompt.

use super::{PASSPHRASE, PASSPHRASE_FROM, Prompt, PromptPurpose, env, plain_reference};
use crate::{Error, ErrorKind};
use std::fmt::Display;
use std::sync::Arc;
use zeroize::Zeroizing;

#[derive(Clone, Debug)]
pub(super) struct PassphraseSource {
    prompt: Arc<dyn Prompt>,
}

impl PassphraseSource {
    pub(super) fn new(prompt: Arc<dyn Prompt>) -> Self {
        Self { prompt }
    }

    pub(super) fn ask(&self, what: &dyn Display, purpose: PromptPurpose) -> Result<Zeroizing<String>, Error> {
        if let Some(text) = env::variable(PASSPHRASE) {
            return Ok(text);
        }
        if let Some(reference) = env::variable(PASSPHRASE_FROM) {
            return read_from(&reference);
        }
        let unknown = || {
            Error::new(ErrorKind::KeyUnavailable, format!("no passphrase for {what} is available"))
                .with_hint(format!("set {PASSPHRASE}, or {PASSPHRASE_FROM} to a reference to it"))
        };
        let answer =
            self.prompt.ask(&what.to_string(), purpose).map_err(|error| unknown().with_source(error))?;
        answer.ok_or_else(unknown)
    }
}

fn read_from(reference: &str) -> Result<Zeroizing<String>, Error> {
    let source = plain_reference::parse(reference)?.ok_or_else(|| {
        Error::new(ErrorKind::Config, format!("{PASSPHRASE_FROM} is not a reference to a passphrase"))
            .with_hint("write file:PATH, env:NAME, cmd:COMMAND, systemd:NAME, keyring:SERVICE/USER or keyutils:SERVICE/USER")
    })?;
    single_line(&source.read()?).ok_or_else(|| {
        Error::new(ErrorKind::KeyUnavailable, format!("{} holds no passphrase", source.describe()))
            .with_hint("write the passphrase there, on one line")
    })
}

/// The single line of a text, without its line end; `None`: it has more than one line, or none.
fn single_line(text: &str) -> Option<Zeroizing<String>> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    let single = !line.is_empty() && !line.contains('\n');
    single.then(|| Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::NoPrompt;

    #[test]
    fn without_a_prompt_the_error_names_the_remedy() {
        let error =
            PassphraseSource::new(Arc::new(NoPrompt)).ask(&"some/path", PromptPurpose::Unlock).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::KeyUnavailable);
        assert!(error.to_string().contains("some/path"));
        assert!(error.hint().unwrap().contains(PASSPHRASE));
    }

    #[test]
    fn passphrase_is_not_read_from_a_source_that_needs_one() {
        for reference in ["passphrase:x", "kdbx:x#y", "x", "file:"] {
            assert_eq!(read_from(reference).unwrap_err().kind(), ErrorKind::Config, "{reference}");
        }
    }

    #[test]
    fn passphrase_is_one_line_with_any_line_end() {
        for text in ["a b ", "a b \n", "a b \r\n"] {
            assert_eq!(*single_line(text).unwrap(), "a b ");
        }
        for text in ["", "\n", "\r\n", "a\nb", "a\n\n"] {
            assert!(single_line(text).is_none(), "{text:?}");
        }
    }
}
