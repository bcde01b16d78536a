//! What can be said on the command line.

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
    /// Does what was asked.
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
    /// Fetch a URL through the cache: body to stdout, one line about the cache to stderr
    #[cfg(feature = "get")]
    Get(get::Args),
    #[cfg(not(feature = "get"))]
    #[command(hide = true, disable_help_flag = true)]
    Get(unavailable::Args),
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
    #[cfg(feature = "get")]
    Explain(request::Args),
    #[cfg(not(feature = "get"))]
    #[command(hide = true, disable_help_flag = true)]
    Explain(unavailable::Args),
    /// Seal what requests-cache stored: an SQLite file, a directory or a dump of Redis
    Migrate(migrate::Args),
    #[cfg(feature = "serve")]
    Serve(Box<serve::Args>),
    #[cfg(not(feature = "serve"))]
    #[command(hide = true, disable_help_flag = true)]
    Serve(unavailable::Args),
    /// See sealing at work in two seconds, without a network
    #[cfg(feature = "get")]
    Demo,
    #[cfg(not(feature = "get"))]
    #[command(hide = true, disable_help_flag = true)]
    Demo(unavailable::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}
