//! The command line: global options and one subcommand.

#[cfg(not(all(feature = "get", feature = "serve")))]
use crate::commands::unavailable;
use crate::commands::{anchor, audit, completions, key, ls, migrate, reseal, rm, show, verify};
#[cfg(feature = "get")]
use crate::commands::{explain, get};
#[cfg(feature = "get")]
use crate::demo;
use crate::exit::{Exit, Failure};
use crate::global_options::GlobalOptions;
use crate::output::Output;
#[cfg(feature = "get")]
use crate::request;
#[cfg(feature = "get")]
use crate::runtime::interruptible;
#[cfg(feature = "serve")]
use crate::serve;
use clap::{CommandFactory, Parser, Subcommand};

/// An HTTP cache that seals what it stores: a byte changed on disk is refused instead of served.
#[derive(Debug, Parser)]
#[command(name = "lacre", version, after_help = after_help(), infer_subcommands = false, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: GlobalOptions,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Args {
    /// Runs the command.
    pub(crate) fn run(&self, output: Output) -> Result<(), Failure> {
        let global = &self.global;
        match &self.command {
            #[cfg(feature = "get")]
            Command::Get(args) => get::run(args, global, output),
            #[cfg(not(feature = "get"))]
            Command::Get(_) => Err(unavailable::failure("get")),
            Command::Ls(args) => ls::run(args, global, output),
            Command::Show(args) => show::run(args, global, output),
            Command::Rm(args) => rm::run(args, global, output),
            Command::Verify(args) => verify::run(args, global, output),
            Command::Reseal(args) => reseal::run(args, global, output),
            Command::Anchor(command) => anchor::run(command, global, output),
            Command::Audit(args) => audit::run(args, global, output),
            Command::Key(command) => key::run(command, global, output),
            #[cfg(feature = "get")]
            Command::Explain(args) => explain::run(args, global, output),
            #[cfg(not(feature = "get"))]
            Command::Explain(_) => Err(unavailable::failure("explain")),
            Command::Migrate(args) => migrate::run(args, global, output),
            #[cfg(feature = "serve")]
            Command::Serve(args) => serve::run(args, global, output),
            #[cfg(not(feature = "serve"))]
            Command::Serve(_) => Err(unavailable::failure("serve")),
            #[cfg(feature = "get")]
            Command::Demo => interruptible(demo::run(output)),
            #[cfg(not(feature = "get"))]
            Command::Demo(_) => Err(unavailable::failure("demo")),
            Command::Completions(args) => completions::run(args, Self::command()),
        }
    }
}

/// The end of `--help`: the exit codes, and the commands that this build does not have.
fn after_help() -> String {
    #[cfg(not(all(feature = "get", feature = "serve")))]
    return format!("{}\n\n{}", unavailable::note(), Exit::table());
    #[cfg(all(feature = "get", feature = "serve"))]
    Exit::table()
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch a URL through the cache: body to stdout, one status line to stderr
    #[cfg(feature = "get")]
    Get(get::Args),
    #[cfg(not(feature = "get"))]
    #[command(hide = true, disable_help_flag = true)]
    Get(unavailable::Args),
    /// List stored responses
    Ls(ls::Args),
    /// Show one stored response
    Show(show::Args),
    /// Remove entries
    Rm(rm::Args),
    /// Check every seal; exit 10 if any is bad
    Verify(verify::Args),
    /// Reseal every entry in place with the current key; safe to interrupt and run again
    Reseal(reseal::Args),
    /// Record the current state of the store, for `verify --anchor`
    #[command(subcommand)]
    Anchor(anchor::Command),
    /// Search stored responses for likely secrets; exit 1 if any is found
    ///
    /// Searches URLs, headers and the first MiB of text bodies for tokens and keys in well-known
    /// formats, for values under the names of secrets, and for random values under names that
    /// suggest a secret. No secret is printed. Each has a fingerprint, which is the same wherever
    /// the secret occurs in this store.
    Audit(audit::Args),
    /// Create, show, copy, rotate and revoke keys
    #[command(subcommand)]
    Key(key::Command),
    /// Explain why a request would hit or miss, without sending it
    #[cfg(feature = "get")]
    Explain(request::Args),
    #[cfg(not(feature = "get"))]
    #[command(hide = true, disable_help_flag = true)]
    Explain(unavailable::Args),
    /// Import a cache of requests-cache: an SQLite file, a directory or a Redis dump
    Migrate(migrate::Args),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Args>),
    #[cfg(not(feature = "serve"))]
    #[command(hide = true, disable_help_flag = true)]
    Serve(unavailable::Args),
    /// Show what sealing does, in two seconds and without a network
    #[cfg(feature = "get")]
    Demo,
    #[cfg(not(feature = "get"))]
    #[command(hide = true, disable_help_flag = true)]
    Demo(unavailable::Args),
    /// Print shell completions
    Completions(completions::Args),
}
