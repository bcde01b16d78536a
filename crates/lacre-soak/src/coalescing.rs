//! Four processes send the same request at once, 25 times each: the origin gets one request.
//!
//! If the process that sent it is killed, all others still get their responses.

use crate::Failure;
use crate::work::{Worker, cache};
use lacre::Driver;
use lacre_drivers::{Origin, fresh, wait_until};
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
        "coalescing: {WORKERS} processes times {THREADS} threads, {} request, all answered after {} ms",
        origin.request_count(),
        took.as_millis()
    );
    if origin.request_count() != 1 {
        return Err("more than one request was sent".into());
    }
    let origin = Origin::start(|_| fresh(vec![b'x'; 100_000]));
    let took = ask(&origin, true)?;
    println!(
        "coalescing: the sending process killed, {} requests, all others answered after {} ms",
        origin.request_count(),
        took.as_millis()
    );
    // One process takes over. On a busy machine its lease may be seen too late, and each other
    // process sends a request.
    if origin.request_count() > WORKERS {
        return Err("a process sent more than one request".into());
    }
    Ok(())
}

/// Starts one process that sends a request, then the others, which wait for it. Returns the time
/// from the origin's first response until all processes that were not killed have theirs.
fn ask(origin: &Origin, kill_first: bool) -> Result<Duration, Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_str().ok_or("the path of a temporary directory is not UTF-8")?;
    let url = origin.url("/");
    // Creates the store and its key before the workers start.
    cache(directory.path())?.0.build()?;
    origin.hold();
    let mut first = Worker::start("coalescing", &[path, &url])?;
    first.line()?;
    wait_until(|| origin.request_count() == 1);
    let mut others = Vec::new();
    for _ in 1..WORKERS {
        let mut other = Worker::start("coalescing", &[path, &url])?;
        other.line()?;
        others.push(other);
    }
    // Gives the others time to send. One that is late finds the response stored.
    thread::sleep(Duration::from_millis(300));
    let start = Instant::now();
    if kill_first {
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
    Ok(start.elapsed())
}

/// Sends the request from all threads at once, and prints how many got the right response.
pub(crate) fn work(arguments: &[&str]) -> Result<(), Failure> {
    let [directory, url] = arguments else { return Err("a worker got the wrong arguments".into()) };
    let cache = cache(Path::new(directory))?.0.build()?;
    let driver = Driver::new(cache).across_processes().coalesce_timeout(Duration::from_secs(5));
    let agent = AgentBuilder::new(driver).build();
    println!("ready");
    let answered = thread::scope(|scope| {
        let fetch =
            || agent.get(*url).call().ok().and_then(|response| response.into_body().read_to_vec().ok());
        let asking: Vec<_> = (0..THREADS).map(|_| scope.spawn(fetch)).collect();
        let bodies = asking.into_iter().filter_map(|asking| asking.join().ok().flatten());
        bodies.filter(|body| body.len() == 100_000).count()
    });
    println!("{answered}");
    Ok(())
}
