//! What lacre must withstand for long, with many processes, and when it is killed: `cargo xtask soak PART`.
//!
//! Each part starts workers, which are this program again, on one SQLite file, and fails where a promise is not kept; what it measures, it
//! prints. `--short` does the same in seconds, as a test.

mod body;
mod disk;
mod herd;
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

  processes  four processes write and read one SQLite file for a minute: no error, no lost write; the longest stall
  kills      200 times, a writing process is killed: the store opens, what it serves verifies, no orphan survives a sweep
  body       a body of 1 GB, stored and served by each client: peak memory over the base, speed beside no cache; killed in the middle
  herd       the same question from four processes times 25: one request; with the one that asks killed, all others are answered
  disk       a disk that is full, and one that may only be read: every request is answered
  serve      `lacre serve` beside thousands of idle connections: how long a newcomer waits; killed 20 times under load: no wrong answer
  all        one after the other
";

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Length {
    time: Duration,
    kills: u32,
    body: u64,
    /// How fast a body must come over a gigabit line while it is stored, in per cent of how fast it comes without a cache. No test is
    /// timed.
    least_speed: Option<u64>,
}

const LONG: Length =
    Length { time: Duration::from_secs(60), kills: 200, body: 1 << 30, least_speed: Some(80) };
const SHORT: Length = Length { time: Duration::from_secs(2), kills: 5, body: 40 << 20, least_speed: None };

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
        "herd" => herd::run(),
        "disk" => disk::run(),
        "serve" => serve::run(length),
        "all" => processes::run(length)
            .and_then(|()| kills::run(length))
            .and_then(|()| body::run(length))
            .and_then(|()| herd::run())
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
        "herd" => herd::work(arguments),
        "disk" => disk::work(arguments),
        "serve" => serve::work(arguments),
        _ => Err(format!("no such worker: {role}").into()),
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
