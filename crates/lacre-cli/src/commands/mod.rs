//! One module for each command: its arguments, and what it does.

pub(crate) mod anchor;
pub(crate) mod audit;
pub(crate) mod completions;
pub(crate) mod explain;
pub(crate) mod get;
pub(crate) mod key;
pub(crate) mod ls;
pub(crate) mod migrate;
pub(crate) mod reseal;
pub(crate) mod rm;
pub(crate) mod show;
pub(crate) mod verify;

use crate::args::{Args, Command};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use lacre::{Clock, SystemClock, Timestamp};

/// Does what was asked.
pub(crate) fn run(args: &Args, output: Output) -> Result<(), Failure> {
    let global = &args.global;
    match &args.command {
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
        Command::Serve(args) => crate::serve::run(args, global, output),
        Command::Demo => interruptible(crate::demo::run(output)),
        Command::Completions(args) => completions::run(args),
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

/// Runs what needs sockets and timers, until it ends or the user interrupts it.
fn interruptible<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => Err(Failure::quiet(Exit::Interrupted)),
        }
    })
}
