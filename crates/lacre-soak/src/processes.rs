//! Four processes write and read one SQLite file: no error and no lost write. Prints the longest
//! stall.

use crate::work::{Worker, cache};
use crate::{Failure, Length, pages};
use lacre::wait;
use std::path::Path;
use std::time::{Duration, Instant};

const WORKERS: u64 = 4;
const PAGES: u64 = 300;
/// The longest body, in bytes. Longer ones would measure the speed of the disk.
const MAX_LENGTH: usize = 60_000;

pub(crate) fn run(length: Length) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_str().ok_or("the path of a temporary directory is not UTF-8")?;
    let (builder, _) = cache(directory.path())?;
    let cache = builder.build()?;
    let seconds = length.time.as_secs().to_string();
    let mut workers = Vec::new();
    for number in 0..WORKERS {
        workers.push(Worker::start("processes", &[path, &number.to_string(), &seconds])?);
    }
    let (mut all_writes, mut all_reads, mut longest) = (0, 0, 0);
    for mut worker in workers {
        let [writes, reads, stall] = worker.figures()?;
        worker.finish()?;
        (all_writes, all_reads, longest) = (all_writes + writes, all_reads + reads, longest.max(stall));
    }
    let mut invalid = 0;
    let mut rows = 0;
    wait(cache.verify(&mut |row| {
        rows += 1;
        invalid += u64::from(row.slot.is_err());
    }))?;
    println!(
        "processes: {WORKERS} for {seconds} s, bodies up to {} KB, {all_writes} writes and {all_reads} reads without an error or a lost write; \
         longest stall {longest} ms; {rows} rows verify",
        MAX_LENGTH / 1000
    );
    if invalid > 0 { Err(format!("{invalid} rows do not verify").into()) } else { Ok(()) }
}

/// Writes pages of its own, reads each at once and those of the others in turn. Prints the number
/// of writes and of reads, and the longest stall in milliseconds.
pub(crate) fn work(arguments: &[&str]) -> Result<(), Failure> {
    let [directory, number, seconds] = arguments else {
        return Err("a worker got the wrong arguments".into());
    };
    let (builder, failures) = cache(Path::new(directory))?;
    let cache = builder.build()?;
    let (number, seconds): (u64, u64) = (number.parse()?, seconds.parse()?);
    let url = |of: u64, page: u64| format!("http://worker-{of}.example/{page}");
    let mut longest = Duration::ZERO;
    let mut timed = |work: &mut dyn FnMut() -> Result<Option<u64>, Failure>| {
        let start = Instant::now();
        let outcome = work();
        longest = longest.max(start.elapsed());
        outcome
    };
    let (start, mut writes, mut reads) = (Instant::now(), 0, 0);
    while start.elapsed() < Duration::from_secs(seconds) {
        let mine = url(number, writes % PAGES);
        timed(&mut || pages::write(&cache, &mine, writes, MAX_LENGTH).map(|()| None))?;
        if timed(&mut || pages::read(&cache, &mine, MAX_LENGTH))? != Some(writes) {
            return Err(format!("write {writes} of worker {number} is lost").into());
        }
        for of in (0..WORKERS).filter(|of| *of != number) {
            let theirs = url(of, writes % PAGES);
            timed(&mut || pages::read(&cache, &theirs, MAX_LENGTH))?;
        }
        (writes, reads) = (writes + 1, reads + WORKERS);
    }
    for last in writes.saturating_sub(PAGES)..writes {
        if pages::read(&cache, &url(number, last % PAGES), MAX_LENGTH)? != Some(last) {
            return Err(format!("write {last} of worker {number} is lost in the end").into());
        }
    }
    println!("{writes} {reads} {}", longest.as_millis());
    match failures.count() {
        0 => Ok(()),
        count => Err(format!("the store failed {count} times").into()),
    }
}
