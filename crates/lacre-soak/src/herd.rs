//! Four processes ask for the same, 25 times each, at once: one request goes to the origin. Where the one that sent it is killed, all others
//! are answered.

use crate::Failure;
use crate::work::{Worker, cache};
use lacre::Driver;
use lacre_drivers::{Origin, fresh, until};
use lacre_ureq::AgentBuilder;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const WORKERS: usize = 4;
const THREADS: usize = 25;

pub(crate) fn run() -> Result<(), Failure> {
    let origin = Origin::start(|_| fresh(vec![b'x'; 100_000]));
    let took = ask(&origin, false)?;
    println!(
        "herd: {WORKERS} processes times {THREADS} threads, {} request, all answered after {} ms",
        origin.count(),
        took.as_millis()
    );
    if origin.count() != 1 {
        return Err("more than one request was sent".into());
    }
    let origin = Origin::start(|_| fresh(vec![b'x'; 100_000]));
    let took = ask(&origin, true)?;
    println!(
        "herd: the process that asks killed, {} requests, all others answered after {} ms",
        origin.count(),
        took.as_millis()
    );
    // One takes the place of the one that was killed, unless the machine is so busy that it is not heard of in time.
    if origin.count() > WORKERS {
        return Err("a process asked more than once".into());
    }
    Ok(())
}

/// Starts one process that asks, and then all others; all are answered, but for the first where it is killed. Says how long that took after
/// the origin began to answer.
fn ask(origin: &Origin, kill_the_first: bool) -> Result<Duration, Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_str().ok_or("a temporary directory is not text")?;
    let url = origin.url("/");
    // The store and its key are there before anybody asks.
    cache(directory.path())?.0.build()?;
    origin.hold();
    let mut first = Worker::start("herd", &[path, &url])?;
    first.line()?;
    until(|| origin.count() == 1);
    let mut others = Vec::new();
    for _ in 1..WORKERS {
        let mut other = Worker::start("herd", &[path, &url])?;
        other.line()?;
        others.push(other);
    }
    thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    if kill_the_first {
        first.kill()?;
    } else {
        others.push(first);
    }
    origin.release();
    for mut other in others {
        let [answered] = other.figures()?;
        other.finish()?;
        if answered != THREADS as u64 {
            return Err(format!("{answered} of {THREADS} threads were answered").into());
        }
    }
    Ok(begun.elapsed())
}

/// Asks with all threads at once, and prints how many got the right answer.
pub(crate) fn work(arguments: &[&str]) -> Result<(), Failure> {
    let [directory, url] = arguments else { return Err("wrong arguments".into()) };
    let cache = cache(Path::new(directory))?.0.build()?;
    let driver = Driver::new(cache).across_processes().patience(Duration::from_secs(5));
    let agent = AgentBuilder::new(driver).build();
    println!("ready");
    let answered = thread::scope(|scope| {
        let ask = || agent.get(*url).call().ok().and_then(|answer| answer.into_body().read_to_vec().ok());
        let asking: Vec<_> = (0..THREADS).map(|_| scope.spawn(ask)).collect();
        let bodies = asking.into_iter().filter_map(|asking| asking.join().ok().flatten());
        bodies.filter(|body| body.len() == 100_000).count()
    });
    println!("{answered}");
    Ok(())
}
