//! Kills a writing process many times. The store opens each time, its responses verify, and no
//! orphan chunk survives a sweep.

use crate::work::{Worker, cache};
use crate::{Failure, Length, pages};
use lacre::{Clock, ManualClock, SystemClock, wait};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

const PAGES: u64 = 40;
const MAX_LENGTH: usize = 3 << 20;
/// After this time, a sweep removes staged chunks: no writer can still be using them.
const STAGING_EXPIRY: Duration = Duration::from_secs(7 * 24 * 60 * 60);

pub(crate) fn run(length: Length) -> Result<(), Failure> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().to_str().ok_or("the path of a temporary directory is not UTF-8")?;
    let (mut served, mut swept) = (0, 0);
    for kill in 0..length.kills {
        let mut worker = Worker::start("kills", &[path])?;
        worker.line()?;
        // Kills it at a different moment of its work each time.
        thread::sleep(Duration::from_micros(u64::from(kill) * 7919 % 150_000));
        worker.kill()?;
        let (builder, failures) = cache(directory.path())?;
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let cache = builder.clock(Arc::clone(&clock)).build()?;
        for page in 0..PAGES {
            served += u64::from(pages::read(&cache, &url(page), MAX_LENGTH)?.is_some());
        }
        let mut invalid = 0;
        wait(cache.verify(&mut |row| invalid += u64::from(row.slot.is_err())))?;
        clock.advance(STAGING_EXPIRY);
        swept += wait(cache.sweep())?.chunks;
        let left = orphans(directory.path())?;
        if invalid > 0 || left > 0 || failures.count() > 0 {
            return Err(format!(
                "kill {kill}: {invalid} rows do not verify, {left} chunks are orphans, {} failures",
                failures.count()
            )
            .into());
        }
    }
    println!(
        "kills: {} times, {served} pages served and verified in between, {swept} chunks swept, no orphan left",
        length.kills
    );
    if served == 0 { Err("nothing was ever stored".into()) } else { Ok(()) }
}

fn url(page: u64) -> String {
    format!("http://example.com/{page}")
}

/// The number of chunks that belong to no entry, read from the file itself.
fn orphans(directory: &Path) -> Result<i64, Failure> {
    const COUNT: &str =
        "SELECT count(*) FROM chunk WHERE body NOT IN (SELECT body FROM slot WHERE body IS NOT NULL)";
    let file = rusqlite::Connection::open(directory.join("store/cache.sqlite"))?;
    Ok(file.query_row(COUNT, [], |row| row.get(0))?)
}

/// Writes until it is killed.
pub(crate) fn work(arguments: &[&str]) -> Result<(), Failure> {
    let [directory] = arguments else { return Err("a worker got the wrong arguments".into()) };
    let cache = cache(Path::new(directory))?.0.build()?;
    let first = u64::from(std::process::id());
    for version in first.. {
        pages::write(&cache, &url(version % PAGES), version, MAX_LENGTH)?;
        if version == first {
            println!("something is stored");
        }
    }
    Ok(())
}
