//! Soak tests of lacre: long runs, many processes, and processes that are killed.
//!
//! `cargo xtask soak PART` runs one part for minutes; `--short` runs it for seconds, as a test.
//! Each part starts workers, which are further processes of this program, on one store. It prints
//! what it measures and fails if a guarantee is broken.
//!
//! Parts: `processes`, `kills`, `body`, `coalescing`, `disk` and `serve`, each a module. `work`
//! starts workers and opens their cache; `pages` makes bodies whose content can be checked.

mod body;
mod coalescing;
mod disk;
mod kills;
mod pages;
mod processes;
mod serve;
mod work;

use std::process::ExitCode;
use std::time::Duration;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const HELP: &str = "\
cargo xtask soak PART

  processes   four processes write and read one SQLite file for a minute: no error and no lost
              write; prints the longest stall
  kills       a writing process is killed 200 times: the store opens, its responses verify, and no
              orphan survives a sweep
  body        each client stores and serves a body of 1 GB: prints peak memory over the base and
              speed compared to no cache; killed halfway, nothing is served
  coalescing  four processes send 25 identical requests each: one reaches the origin; with its
              process killed, all others are answered
  disk        a full disk and a read-only one: every request is answered
  serve       `lacre serve` with thousands of idle connections: prints how long a new one waits;
              killed 20 times under load: no wrong response
  all         all of them, in this order
";

/// How long the parts run.
#[derive(Clone, Copy, Debug)]
struct Length {
    time: Duration,
    kills: u32,
    body: u64,
    /// The required speed of a body that is stored while it comes over a gigabit line, in percent
    /// of the speed without a cache. Short runs measure none.
    min_speed: Option<u64>,
}

const LONG: Length = Length { time: Duration::from_secs(60), kills: 200, body: 1 << 30, min_speed: Some(80) };
const SHORT: Length = Length { time: Duration::from_secs(2), kills: 5, body: 40 << 20, min_speed: None };

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (part, length) = match arguments.as_slice() {
        ["worker", role, rest @ ..] => return end(worker(role, rest)),
        [part] => (*part, LONG),
        [part, "--short"] => (*part, SHORT),
        _ => ("help", LONG),
    };
    end(match part {
        "processes" => processes::run(length),
        "kills" => kills::run(length),
        "body" => body::run(length),
        "coalescing" => coalescing::run(),
        "disk" => disk::run(),
        "serve" => serve::run(length),
        "all" => processes::run(length)
            .and_then(|()| kills::run(length))
            .and_then(|()| body::run(length))
            .and_then(|()| coalescing::run())
            .and_then(|()| disk::run())
            .and_then(|()| serve::run(length)),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    })
}

fn worker(role: &str, arguments: &[&str]) -> Result<(), Failure> {
    match role {
        "processes" => processes::work(arguments),
        "kills" => kills::work(arguments),
        "body" => body::work(arguments),
        "coalescing" => coalescing::work(arguments),
        "disk" => disk::work(arguments),
        "serve" => serve::work(arguments),
        _ => Err(format!("unknown worker: {role}").into()),
    }
}

fn end(outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}
