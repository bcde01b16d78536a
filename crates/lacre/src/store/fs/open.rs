//! Opens a store: first the directory, then the store in it.

use super::error::{self, ResultExt};
use super::folder::Folder;
use super::inspect;
use super::layout::{FOLDERS, IDENTITY};
use super::state::State;
use super::{Access, Fs, Options, Tree, Written, line_of, text};
use crate::files::{self, Creation, Refusal};
use crate::store::eviction::{OrphanSearch, RecentReads};
use crate::store::locks::Locks;
use crate::store::on_disk::store_missing;
use crate::{Error, ErrorKind, Event, StoreErrorKind, config};
use lacre_seal::StoreId;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Mutex;

pub(super) fn open(path: &Path, options: Options) -> Result<Fs, Error> {
    let opened = start(path, options).map_err(|error| match error.kind() {
        ErrorKind::Broken => {
            error::unusable("a part of the store was replaced by something else").with_source(error)
        }
        _ => error,
    });
    opened.map_err(|error| error.at(path))
}

fn start(path: &Path, options: Options) -> Result<Fs, Error> {
    let real = match options.access {
        Access::ReadOnly => {
            files::existing_directory(path).map_err(Refusal::into_store_error)?.ok_or_else(store_missing)?
        }
        Access::ReadWrite => {
            let (real, made) = files::private_directory(path).map_err(Refusal::into_store_error)?;
            if made == Creation::Created {
                config::mark_cache_directory(&real);
            }
            real
        }
    };
    let top = Folder::open(&real).or_store_error()?;
    let id = match identify(&top)? {
        Some(id) => id,
        None if options.access == Access::ReadOnly => return Err(store_missing()),
        None => create(&top)?,
    };
    for finding in inspect::in_top(&top)? {
        options.observer.on_event(Event::ForeignContent { finding: &finding });
    }
    let (state, access) = open_state(&top, options.access)?;
    let [slots, bodies, leases, temp] = FOLDERS.map(|name| top.folder(name));
    let must = |folder: io::Result<Option<Folder>>| {
        folder.or_store_error()?.ok_or_else(|| error::unusable("a directory of the store is missing"))
    };
    let tree =
        Tree { slots: must(slots)?, bodies: must(bodies)?, leases: must(leases)?, temp: must(temp)?, top };
    Ok(Fs {
        id: Mutex::new(id),
        path: real,
        options,
        access,
        tree,
        state: State::of(state),
        recent: RecentReads::new(),
        searched: OrphanSearch::never(),
        locks: Locks::default(),
    })
}

/// The id of the store in this directory; `None`: the directory is empty, but for files that lacre
/// leaves in any cache directory.
fn identify(top: &Folder) -> Result<Option<StoreId>, Error> {
    if let Some(line) = line_of(top, IDENTITY)? {
        return match text::parse_store(&line) {
            Some(Ok(id)) => Ok(Some(id)),
            Some(Err(version)) => Err(Error::store(
                StoreErrorKind::TooNew,
                format!("the store has format {version}, this lacre knows up to 1"),
            )
            .with_hint("use the newer lacre that made it, or choose another store")),
            None => Err(error::unusable("the store's id is missing or altered")),
        };
    }
    if top.length(IDENTITY).or_store_error()?.is_some() {
        return Err(error::unusable("the store's id is missing or altered"));
    }
    match inspect::in_top(top)?.first() {
        Some(finding) => {
            Err(Error::store(StoreErrorKind::Unusable, format!("the directory holds {finding}"))
                .with_hint("name an empty directory, or one that does not exist yet"))
        }
        None => Ok(None),
    }
}

/// Creates a store. Several processes that do so at once agree on one id.
fn create(top: &Folder) -> Result<StoreId, Error> {
    for name in FOLDERS {
        top.make_folder(name).or_store_error()?;
    }
    match top.create(State::NAME) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error::store_error(error)),
        _ => {}
    }
    let id = StoreId::generate()?;
    let temp = top.make_folder("temp").or_store_error()?;
    let written = Written::new(&temp, &[text::store_line(id).as_bytes()])?;
    match temp.link(&written.name, top, IDENTITY) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error::store_error(error)),
        _ => identify(top)?.ok_or_else(|| error::unusable("the store's id is missing or altered")),
    }
}

/// Opens the file that writers lock, and tells whether this user may write.
fn open_state(top: &Folder, wanted: Access) -> Result<(File, Access), Error> {
    let state_missing = || error::unusable("the store's state is missing");
    if wanted == Access::ReadWrite {
        match top.file_to_write(State::NAME) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) => {}
            file => return Ok((file.or_store_error()?.ok_or_else(state_missing)?, Access::ReadWrite)),
        }
    }
    Ok((top.file(State::NAME).or_store_error()?.ok_or_else(state_missing)?, Access::ReadOnly))
}
