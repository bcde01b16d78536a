//! A full disk and a read-only one: the client still gets every response, and the cache reports the
//! failures.

use crate::Failure;
use crate::work::{Worker, without_store};
use lacre::store::{Fs, Sqlite};
use lacre_drivers::{Origin, fresh};
use lacre_ureq::AgentBuilder;
use std::path::Path;

const PAGES: u64 = 40;
/// The length of a body, in bytes.
const BODY_LENGTH: usize = 50_000;
/// Each store, and the limit of its files in the units of `ulimit -f` (512 or 1024 bytes). The file
/// of SQLite holds a part of the pages; a file per page is too short for any.
const STORES: [(&str, &str); 2] = [("sqlite", "512"), ("fs", "40")];
/// Makes a write beyond the limit an error. By default it ends the process.
const WITH_LIMIT: &str = "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"";

pub(crate) fn run() -> Result<(), Failure> {
    let origin = Origin::start(|_| fresh(vec![b'x'; BODY_LENGTH]));
    for (store, limit) in STORES {
        let (full, filled) = (tempfile::tempdir()?, tempfile::tempdir()?);
        let run_worker = |launcher: &[&str], access: &str, directory: &Path| -> Result<[u64; 3], Failure> {
            let directory = directory.to_str().ok_or("the path of a temporary directory is not UTF-8")?;
            let mut worker =
                Worker::start_with(launcher, "disk", &[store, access, directory, &origin.url("/")])?;
            let figures = worker.figures()?;
            worker.finish()?;
            Ok(figures)
        };
        let [when_full, _, failures] = run_worker(&["sh", "-c", WITH_LIMIT, limit], "writes", full.path())?;
        run_worker(&[], "writes", filled.path())?;
        let [read_only, hits, _] = run_worker(&[], "reads", filled.path())?;
        println!(
            "disk: {store}, full: {when_full} responses, {failures} failures reported; \
             read only: {read_only} responses, {hits} from the store"
        );
        if [when_full, read_only, hits] != [2 * PAGES; 3] || failures == 0 {
            return Err(format!("{store}: unexpected numbers").into());
        }
    }
    Ok(())
}

/// Requests every page twice. Prints the number of right responses, of hits, and of failures that
/// the cache reported.
pub(crate) fn work(arguments: &[&str]) -> Result<(), Failure> {
    let [store, access, directory, url] = arguments else {
        return Err("a worker got the wrong arguments".into());
    };
    let directory = Path::new(directory);
    let (builder, failures) = without_store(directory)?;
    let builder = match (*store, *access) {
        ("sqlite", "writes") => builder.store(Sqlite::open(directory.join("sqlite/cache"))?),
        ("sqlite", _) => builder.store(Sqlite::options().read_only().open(directory.join("sqlite/cache"))?),
        (_, "writes") => builder.store(Fs::open(directory.join("fs"))?),
        _ => builder.store(Fs::options().read_only().open(directory.join("fs"))?),
    };
    let agent = AgentBuilder::new(builder.build()?).build();
    let (mut responses, mut hits) = (0, 0);
    for _ in 0..2 {
        for page in 0..PAGES {
            let response = agent.get(format!("{url}{page}")).call()?;
            let info = response.extensions().get::<lacre::CacheInfo>().copied();
            hits += u64::from(info.is_some_and(|info| info.status.forward.is_none()));
            responses += u64::from(response.into_body().read_to_vec()?.len() == BODY_LENGTH);
        }
    }
    println!("{responses} {hits} {}", failures.count());
    Ok(())
}
