//! The names in the top directory of a store (docs/format.md §12).

use super::folder::Name;
use super::state::State;

/// The file that holds the store's id. Its presence makes a directory a store.
pub(super) const IDENTITY: &str = "lacre-store";

/// The directories of records, chunks, leases and unfinished files.
pub(super) const FOLDERS: [&str; 4] = ["slot", "body", "lease", "temp"];

/// Files that mark any directory as a cache.
const CACHE_MARKERS: [&str; 2] = ["CACHEDIR.TAG", ".gitignore"];

/// Whether lacre puts an entry of this name into the top directory.
pub(super) fn is_known(name: &Name) -> bool {
    let text = name.text.as_str();
    if name.is_folder() && FOLDERS.contains(&text) {
        return true;
    }
    name.is_file() && (text == IDENTITY || text == State::NAME || CACHE_MARKERS.contains(&text))
}
