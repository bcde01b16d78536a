//! The options that every command accepts.

use crate::output::{Color, Format};
use crate::suite_option::SuiteOption;
use lacre::Suite;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalOptions {
    /// The store: `sqlite:PATH`, `dir:PATH` (one file per entry) or `memory:` [env: LACRE_STORE]
    /// [default: cache.sqlite in your cache directory]
    #[arg(long, global = true)]
    pub(crate) store: Option<String>,
    /// Where the key is kept, never the key itself: `file:PATH`, `env:NAME` and others (`lacre key
    /// list` shows every form) [env: LACRE_KEY] [default: your own keyring, created on first use]
    #[arg(long, global = true)]
    pub(crate) key: Option<String>,
    /// The name of the application, bound into every seal. Give each application its own store
    #[arg(long, global = true, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) namespace: String,
    /// How new entries are sealed [default: encrypted]. Entries sealed with another suite are not
    /// used; that does not count as tampering
    #[arg(long, global = true, env = "LACRE_SUITE", hide_env = true)]
    suite: Option<SuiteOption>,
    /// Print JSON: lists as one object per line, and errors as objects
    #[arg(long, global = true)]
    json: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub(crate) color: Color,
}

impl GlobalOptions {
    /// The suite for new entries.
    pub(crate) fn suite(&self) -> Suite {
        self.suite.unwrap_or(SuiteOption::Encrypted).into()
    }

    /// The suite, if the user named one.
    pub(crate) fn named_suite(&self) -> Option<Suite> {
        self.suite.map(Suite::from)
    }

    pub(crate) const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Human }
    }
}
