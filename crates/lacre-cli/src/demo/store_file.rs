//! An attacker's view of the store's file, with write access and without a key: it finds sealed
//! records by their first bytes and changes them (docs/format.md §1). The store must be closed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The start of an envelope: magic and version.
const START: &[u8] = b"\x89LAC\x01";

/// The length of an envelope's header, which is not encrypted.
const HEADER: usize = 112;

/// The bytes of a file, to change and write back.
pub(super) struct StoreFile {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl StoreFile {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), bytes: fs::read(path)? })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn contains(&self, wanted: &str) -> bool {
        self.bytes.windows(wanted.len()).any(|window| window == wanted.as_bytes())
    }

    /// The offsets of all envelopes.
    pub(super) fn envelopes(&self) -> Vec<usize> {
        let windows = self.bytes.windows(START.len()).enumerate();
        windows.filter(|(_, window)| *window == START).map(|(offset, _)| offset).collect()
    }

    /// Flips the first encrypted byte of the envelope at `offset`, and returns the offset of that
    /// byte.
    pub(super) fn flip(mut self, offset: usize) -> io::Result<usize> {
        let at = offset + HEADER;
        *self.bytes.get_mut(at).ok_or(io::ErrorKind::UnexpectedEof)? ^= 0xFF;
        self.write()?;
        Ok(at)
    }

    /// Swaps two envelopes of `length` bytes.
    pub(super) fn exchange(mut self, one: usize, other: usize, length: usize) -> io::Result<()> {
        let (low, high) = (one.min(other), one.max(other));
        if high - low < length || self.bytes.len() - high < length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (before, after) = self.bytes.split_at_mut(high);
        before[low..low + length].swap_with_slice(&mut after[..length]);
        self.write()
    }

    fn write(&self) -> io::Result<()> {
        fs::write(&self.path, &self.bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two envelopes of 120 bytes, one after the other.
    fn image() -> (tempfile::TempDir, StoreFile) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let envelope = |content: u8| [START, &[0; HEADER - START.len()][..], &[content; 8][..]].concat();
        fs::write(&path, [b"page".to_vec(), envelope(1), envelope(2)].concat()).unwrap();
        let image = StoreFile::read(&path).unwrap();
        (directory, image)
    }

    #[test]
    fn envelopes_and_texts_are_found() {
        let (_directory, image) = image();
        assert_eq!(image.envelopes(), [4, 124]);
        assert!(image.contains("page") && image.contains("LAC") && !image.contains("pages"));
    }

    #[test]
    fn flip_changes_exactly_one_byte() {
        let (_directory, image) = image();
        let (path, before) = (image.path.clone(), image.bytes.clone());
        let at = image.flip(4).unwrap();
        let after = fs::read(path).unwrap();
        let changed: Vec<usize> = (0..before.len()).filter(|place| before[*place] != after[*place]).collect();
        assert_eq!(changed, [at]);
        assert_eq!(at, 4 + HEADER);
    }

    #[test]
    fn exchange_swaps_whole_envelopes() {
        let (_directory, image) = image();
        let (path, before) = (image.path.clone(), image.bytes.clone());
        image.exchange(124, 4, 120).unwrap();
        let after = fs::read(path).unwrap();
        assert_eq!([&after[..4], &after[124..], &after[4..124]].concat(), before);
    }

    #[test]
    fn overlapping_or_truncated_envelopes_are_refused_unchanged() {
        for (one, other, length) in [(4, 123, 120), (4, 125, 120), (4, 4, 1)] {
            let (_directory, image) = image();
            let (path, before) = (image.path.clone(), image.bytes.clone());
            assert!(image.exchange(one, other, length).is_err());
            assert_eq!(fs::read(path).unwrap(), before);
        }
    }
}
