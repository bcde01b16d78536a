//! `lacre anchor`: records the state of the store, for `lacre verify --anchor`.

use crate::exit::{Exit, Failure};
use crate::format::{entries, records};
use crate::global_options::GlobalOptions;
use crate::output::{GOOD, Output};
use crate::store_options;
use clap::Subcommand;
use lacre::AnchorWritten;
use serde_json::json;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write an anchor file, in place of an older one
    Write {
        /// The anchor file. Keep it where a writer of the store cannot change it
        file: PathBuf,
    },
}

pub(crate) fn run(command: &Command, global: &GlobalOptions, output: Output) -> Result<(), Failure> {
    let Command::Write { file } = command;
    store_options::ensure_anchor_apart(global, file)?;
    let Some(builder) = store_options::open_to_read(global, output)? else {
        return Err(Failure::new(Exit::NotCached, "there is no store to anchor")
            .with_hint("`lacre get URL` stores a response; --store names another store"));
    };
    let cache = builder.build()?;
    let unwritable = |error| {
        Failure::new(Exit::Failed, format!("cannot write the anchor {}: {error}", file.display()))
            .with_hint("name a file in a directory that exists and that you can write to")
    };
    // A temporary file in the same directory replaces the old anchor once it is complete.
    let new = NamedTempFile::new_in(directory_of(file)).map_err(unwritable)?;
    // The umask may have removed the owner's rights.
    #[cfg(unix)]
    new.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(unwritable)?;
    let written = lacre::wait(cache.write_anchor(&mut BufWriter::new(&new)))?;
    if written.unopened > 0 && written.entries + written.index_records == 0 {
        return Err(Failure::new(Exit::KeyUnavailable, "no record opens, so no anchor was written")
            .with_hint("`lacre verify` says which key or flag is missing"));
    }
    if written.unopened > 0 {
        let left = records(usize::try_from(written.unopened).unwrap_or(usize::MAX));
        output.warn(format_args!("{left} did not open and are not in the anchor; `lacre verify` says why"));
    }
    new.as_file().sync_all().map_err(unwritable)?;
    new.persist(file).map_err(|error| unwritable(error.error))?;
    if output.is_json() {
        let AnchorWritten { entries, index_records, unopened, .. } = written;
        let summary = json!({ "entries": entries, "index_records": index_records, "unopened": unopened });
        return output.print_objects("lacre/anchor/v1", [summary]);
    }
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let beside = match count(written.index_records) {
        0 => String::new(),
        1 => ", and 1 index record".to_owned(),
        some => format!(", and {some} index records"),
    };
    output.print(format_args!("{GOOD}anchored{GOOD:#}: {}{beside}", entries(count(written.entries))))
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
