//! `lacre anchor`: writes down what is stored, for `lacre verify --anchor`.

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open::{self, Missing};
use crate::output::{GOOD, Output};
use crate::pretty::entries;
use clap::Subcommand;
use serde_json::json;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write what is stored down, in place of what the file held
    Write {
        /// Where: away from the store, so that whoever can write the store cannot write this
        file: PathBuf,
    },
}

pub(crate) fn run(command: &Command, global: &Global, output: Output) -> Result<(), Failure> {
    let Command::Write { file } = command;
    open::ensure_anchor_apart(global, file)?;
    let cache = open::cache(global, Missing::Fail, output)?.build()?;
    let unwritable = |error| Failure::new(Exit::Failed, format!("cannot write {}: {error}", file.display()));
    // Beside the old one, which stays until the new one is whole; readable by this user alone.
    let new = NamedTempFile::new_in(directory_of(file)).map_err(unwritable)?;
    // A umask may have taken our own rights away.
    #[cfg(unix)]
    new.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600)).map_err(unwritable)?;
    let rows = lacre::wait(cache.write_anchor(&mut BufWriter::new(&new)))?;
    new.as_file().sync_all().map_err(unwritable)?;
    new.persist(file).map_err(|error| unwritable(error.error))?;
    if output.is_json() {
        return output.objects("lacre/anchor/v1", [json!({ "rows": rows })]);
    }
    let count = entries(usize::try_from(rows).unwrap_or(usize::MAX));
    output.print(format_args!("{GOOD}written down{GOOD:#}: {count}, signposts included"))
}

fn directory_of(file: &Path) -> &Path {
    file.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
