//! Questions on the terminal: for a passphrase, which is not echoed, and for confirmation.

use crate::exit::{Exit, Failure};
use lacre::keys::{Prompt, PromptPurpose};
use std::io::{self, IsTerminal, Write};
use zeroize::Zeroizing;

/// The terminal of this process.
#[derive(Debug)]
pub(crate) struct Terminal;

impl Terminal {
    /// Whether a person can answer: stdin and stderr are terminals.
    fn is_interactive() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }
}

impl Prompt for Terminal {
    fn ask(&self, what: &str, purpose: PromptPurpose) -> io::Result<Option<Zeroizing<String>>> {
        if !Self::is_interactive() {
            return Ok(None);
        }
        let hidden = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new);
        let passphrase = match purpose {
            PromptPurpose::Unlock => hidden(format!("passphrase for {what}: "))?,
            PromptPurpose::Choose => {
                let chosen = hidden(format!("new passphrase for {what}: "))?;
                if chosen != hidden("repeat it: ".into())? {
                    return Err(io::Error::other("the two passphrases differ"));
                }
                chosen
            }
        };
        Ok(Some(passphrase))
    }
}

/// The options of commands that ask for confirmation.
#[derive(Debug, clap::Args)]
pub(crate) struct Confirmation {
    /// Do not ask for confirmation
    #[arg(long, short)]
    yes: bool,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Confirmation {
    /// Asks whether to `action`. The command has shown what that affects.
    pub(crate) fn ask(&self, action: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !Terminal::is_interactive() {
            return Err(Failure::new(
                Exit::NeedsYes,
                format!("cannot {action} without confirmation, and there is no terminal to ask on"),
            )
            .with_hint("--yes skips the question, --dry-run only shows what would be done"));
        }
        let mut answer = String::new();
        write!(anstream::stderr(), "{action}? [y/N] ")?;
        io::stdin().read_line(&mut answer)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::new(Exit::Failed, "nothing was changed")),
        }
    }
}
