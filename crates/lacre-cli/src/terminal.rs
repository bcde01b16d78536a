//! Asking people: for a passphrase, which is never echoed, and for their confirmation. Nobody is asked but at a terminal.

use crate::exit::{Exit, Failure};
use lacre::keys::{Prompt, PromptPurpose};
use std::io::{self, IsTerminal, Write};
use zeroize::Zeroizing;

/// Whoever sits at the terminal.
#[derive(Debug)]
pub(crate) struct Terminal;

impl Terminal {
    /// Whether somebody does.
    fn is_interactive() -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }
}

impl Prompt for Terminal {
    fn ask(&self, what: &str, asked: PromptPurpose) -> io::Result<Option<Zeroizing<String>>> {
        if !Self::is_interactive() {
            return Ok(None);
        }
        let hidden = |prompt: String| rpassword::prompt_password(prompt).map(Zeroizing::new);
        let said = match asked {
            PromptPurpose::Unlock => hidden(format!("passphrase of {what}: "))?,
            PromptPurpose::Choose => {
                let chosen = hidden(format!("new passphrase of {what}: "))?;
                if chosen != hidden("once more: ".into())? {
                    return Err(io::Error::other("the two differ"));
                }
                chosen
            }
        };
        Ok(Some(said))
    }
}

/// How a command that takes something away gets leave to.
#[derive(Debug, clap::Args)]
pub(crate) struct Confirmation {
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    /// Only show what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
}

impl Confirmation {
    /// Asks whether to do `what`, which has been shown.
    pub(crate) fn ask(&self, what: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !Terminal::is_interactive() {
            return Err(Failure::new(Exit::NeedsYes, format!("nobody can be asked whether to {what}"))
                .with_hint("--yes does it without asking, --dry-run only shows what it would do"));
        }
        let mut answer = String::new();
        write!(anstream::stderr(), "{what}? [y/N] ")?;
        io::stdin().read_line(&mut answer)?;
        match answer.trim() {
            "y" | "Y" | "yes" => Ok(()),
            _ => Err(Failure::new(Exit::Failed, "nothing was changed")),
        }
    }
}
