//! The options that every command accepts.

use crate::output::{Color, Format};
use crate::suite_option::SuiteOption;
use lacre::Suite;

#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
pub(crate) struct GlobalOptions {
    /// Where entries are kept: `sqlite:PATH`, `dir:PATH` (a file for each entry) or `memory:` [env: LACRE_STORE] [default: cache.sqlite in
    /// your cache directory]
    #[arg(long, global = true)]
    pub(crate) store: Option<String>,
    /// Where the key is kept, never the key itself: `file:PATH`, `env:NAME` … (`lacre key list` shows every form) [env: LACRE_KEY]
    /// [default: one of your own, made on first use]
    #[arg(long, global = true)]
    pub(crate) key: Option<String>,
    /// The name of this application, bound into every seal; give each a store of its own
    #[arg(long, global = true, value_name = "NAME", default_value = "", hide_default_value = true)]
    pub(crate) namespace: String,
    /// How entries are sealed [default: encrypted]; what is sealed otherwise is not used, and is told from what was tampered with
    #[arg(long, global = true, env = "LACRE_SUITE", hide_env = true)]
    suite: Option<SuiteOption>,
    /// Speak JSON: lists as one object a line, errors too
    #[arg(long, global = true)]
    json: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_default_value = true)]
    pub(crate) color: Color,
}

impl GlobalOptions {
    /// How entries are sealed.
    pub(crate) fn suite(&self) -> Suite {
        self.suite.unwrap_or(SuiteOption::Encrypted).into()
    }

    /// The same, where somebody said.
    pub(crate) fn named_suite(&self) -> Option<Suite> {
        self.suite.map(Suite::from)
    }

    pub(crate) const fn format(&self) -> Format {
        if self.json { Format::Json } else { Format::Human }
    }
}
