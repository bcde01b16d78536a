//! What can be said on the command line.

use crate::commands::{anchor, audit, completions, explain, get, key, ls, migrate, reseal, rm, show, verify};
use crate::demo;
use crate::exit::{Exit, Failure};
use crate::global_options::GlobalOptions;
use crate::output::Output;
use crate::request;
use crate::runtime::interruptible;
use crate::serve;
use clap::{CommandFactory, Parser, Subcommand};

/// An HTTP cache that seals what it stores: a byte changed on disk is refused instead of served.
#[derive(Debug, Parser)]
#[command(name = "lacre", version, after_help = Exit::table(), infer_subcommands = false, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Does what was asked.
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let global = &self.global;
        match &self.command {
            Command::Get(args) => get::run(args, global, output),
            Command::Ls(args) => ls::run(args, global, output),
            Command::Show(args) => show::run(args, global, output),
            Command::Rm(args) => rm::run(args, global, output),
            Command::Verify(args) => verify::run(args, global, output),
            Command::Reseal(args) => reseal::run(args, global, output),
            Command::Anchor(command) => anchor::run(command, global, output),
            Command::Audit(args) => audit::run(args, global, output),
            Command::Key(command) => key::run(command, global, output),
            Command::Explain(args) => explain::run(args, global, output),
            Command::Migrate(args) => migrate::run(args, global, output),
            Command::Serve(args) => serve::run(args, global, output),
            Command::Demo => interruptible(demo::run(output)),
            Command::Completions(args) => completions::run(args, Self::command()),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch a URL through the cache: body to stdout, one line about the cache to stderr
    Get(get::Args),
    /// List what is stored
    Ls(ls::Args),
    /// Show one stored response
    Show(show::Args),
    /// Remove entries
    Rm(rm::Args),
    /// Check every seal; exit 10 if any is bad
    Verify(verify::Args),
    /// Seal everything anew with the key and suite in use, in place; can be ended and begun again
    Reseal(reseal::Args),
    /// Write down what is stored, for `verify --anchor`
    #[command(subcommand)]
    Anchor(anchor::Command),
    /// Look for what looks like a secret; exit 1 if there is any
    ///
    /// URLs, headers and the first MiB of text bodies are searched for tokens and keys of well-known shapes, for values under the names of
    /// secrets, and for what is random under a name that says that it matters. The secrets are not shown: each has a fingerprint, which is
    /// the same wherever it turns up in this store.
    Audit(audit::Args),
    /// Make, look at, copy, rotate and revoke keys
    #[command(subcommand)]
    Key(key::Command),
    /// Say why a request would hit or miss, without sending it
    Explain(request::Args),
    /// Seal what requests-cache stored: an SQLite file, a directory or a dump of Redis
    Migrate(migrate::Args),
    Serve(Box<serve::Args>),
    /// See sealing at work in two seconds, without a network
    Demo,
    /// Print completions for a shell
    Completions(completions::Args),
}
