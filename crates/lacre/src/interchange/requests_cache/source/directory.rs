//! Reads requests-cache's filesystem backend: one file for each response, named by its key.

use super::{Stored, absent, not_a_cache, open, read, unreadable};
use crate::Error;
use std::fs;
use std::path::{Path, PathBuf};

/// The file extensions of its serializers, in all versions. Other files, such as
/// `redirects.sqlite`, hold no responses.
const EXTENSIONS: [&str; 7] = ["bson", "dat", "json", "pickle", "pkl", "safe_pkl", "yaml"];

/// The maximum number of files. A directory with more holds something else.
const MAX_FILES: usize = 10_000_000;

#[derive(Debug)]
pub(super) struct Files(Vec<PathBuf>);

/// Before 1.3, the file of a signed response was named by its key, without an extension.
fn is_response(path: &Path) -> bool {
    match path.extension() {
        Some(extension) => EXTENSIONS.iter().any(|known| extension == *known),
        None => {
            let name = path.file_name().unwrap_or_default().as_encoded_bytes();
            name.len() >= 16 && name.iter().all(u8::is_ascii_hexdigit)
        }
    }
}

impl Files {
    pub(super) fn of(directory: &Path) -> Result<Self, Error> {
        let mut files = Vec::new();
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if is_response(&path) {
                files.push(path);
            }
            if files.len() > MAX_FILES {
                return Err(not_a_cache("there are too many files"));
            }
        }
        if files.is_empty() {
            return Err(not_a_cache("the directory has no file of a response"));
        }
        files.sort_unstable();
        Ok(Self(files))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn read(&self, index: usize) -> Stored {
        let Some(path) = self.0.get(index) else { return absent() };
        let key = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Stored { key, value: open(path).and_then(read) }
    }
}
