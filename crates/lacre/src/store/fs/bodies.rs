//! Chunks of large bodies: a directory for each body, a file for each chunk, and a file that names
//! the record of the body.

use super::error::ResultExt;
use super::folder::Folder;
use super::records::{read_all, readable};
use super::state::{Change, disk_space};
use super::{Fs, line_of, text};
use crate::Error;
use crate::store::locks::Purpose;
use crate::store::on_disk::malformed_record;
use crate::store::{ORPHAN_AGE, OnChunk, unstaged};
use lacre_core::{Key, Timestamp};
use lacre_seal::BodyId;

/// The file in the directory of a body that holds the key of its record.
pub(super) const OWNER: &str = "slot";

impl Fs {
    pub(super) async fn stage_now(
        &self,
        body: BodyId,
        index: u32,
        sealed: &[u8],
        now: Timestamp,
    ) -> Result<(), Error> {
        let line = text::chunk_line(now);
        readable(&line, sealed)?;
        let written = self.write(&[line.as_bytes(), sealed])?;
        self.change(Purpose::Write, |change| {
            self.evict_for_file(written.length, None, now, change)?;
            let name = body.to_string();
            let shard = self.tree.bodies.make_folder(text::shard(&name)).or_store_error()?;
            let folder = shard.make_folder(&name).or_store_error()?;
            let old = folder.length(&index.to_string()).or_store_error()?;
            written.place(&folder, &index.to_string())?;
            change.add(written.length);
            change.take(old.unwrap_or(0));
            Ok(())
        })
        .await
    }

    pub(super) fn chunk_now(&self, body: BodyId, index: u32, visit: OnChunk<'_>) -> Result<bool, Error> {
        let Some(folder) = self.body(body)? else { return Ok(false) };
        let Some(file) = folder.file(&index.to_string()).or_store_error()? else { return Ok(false) };
        let bytes = read_all(file)?;
        let sealed = text::split(&bytes).filter(|(line, _)| text::parse_chunk(line).is_some());
        visit(sealed.ok_or_else(|| malformed_record("has a chunk of an unexpected form"))?.1);
        Ok(true)
    }

    /// Removes the first `count` chunks of `body`. Returns how many there were.
    pub(super) fn delete_chunks(&self, body: BodyId, count: u32, change: &mut Change) -> Result<u64, Error> {
        self.delete_chunks_if(body, change, |_, index| Ok(index < count))
    }

    /// Removes the chunks of `body` that were written before `old`.
    fn delete_old_chunks(&self, body: BodyId, old: Timestamp, change: &mut Change) -> Result<u64, Error> {
        self.delete_chunks_if(body, change, |folder, index| {
            let line = line_of(folder, &index.to_string()).ok().flatten();
            Ok(line.as_deref().and_then(text::parse_chunk).is_none_or(|written| written < old))
        })
    }

    fn delete_chunks_if(
        &self,
        body: BodyId,
        change: &mut Change,
        mut wanted: impl FnMut(&Folder, u32) -> Result<bool, Error>,
    ) -> Result<u64, Error> {
        let Some(folder) = self.body(body)? else { return Ok(0) };
        let (mut deleted, mut left) = (0, false);
        for name in folder.names().or_store_error()? {
            let name = name.or_store_error()?.text;
            match text::index(&name) {
                Some(index) if wanted(&folder, index)? => {
                    let found = folder.length(&name).or_store_error()?;
                    change.take(found.unwrap_or(0));
                    deleted += u64::from(folder.remove(&name).or_store_error()?);
                }
                _ => left |= name != OWNER,
            }
        }
        if !left {
            let name = body.to_string();
            folder.remove(OWNER).or_store_error()?;
            if let Some(shard) = self.tree.bodies.folder(text::shard(&name)).or_store_error()? {
                shard.remove_empty(&name).or_store_error()?;
            }
        }
        Ok(deleted)
    }

    /// Assigns the chunks of `body` to the record under `key`. Fails if one is missing.
    pub(super) fn claim(&self, body: BodyId, chunks: u32, key: &Key) -> Result<(), Error> {
        if chunks == 0 {
            return Ok(());
        }
        let folder = self.body(body)?.ok_or_else(unstaged)?;
        let mut there = 0_u32;
        for name in folder.names().or_store_error()? {
            there += u32::from(text::index(&name.or_store_error()?.text).is_some_and(|index| index < chunks));
        }
        if there < chunks {
            return Err(unstaged());
        }
        if self.owner(&folder)? == Some(*key) {
            return Ok(());
        }
        self.write(&[format!("{key}\n").as_bytes()])?.place(&folder, OWNER)
    }

    /// Removes old chunks of a shard that no record refers to.
    pub(super) fn drop_orphans(&self, shard: u8, now: Timestamp, change: &mut Change) -> Result<u64, Error> {
        let mut dropped = 0;
        let Some(folder) = self.tree.bodies.folder(&format!("{shard:02x}")).or_store_error()? else {
            return Ok(0);
        };
        for name in folder.names().or_store_error()? {
            if let Some(body) = body_in(shard, &name.or_store_error()?.text)
                && !self.is_referenced(body)?
            {
                dropped += self.delete_old_chunks(body, now.minus(ORPHAN_AGE), change)?;
            }
        }
        Ok(dropped)
    }

    /// The disk space of the chunks of `body`.
    pub(super) fn count_chunks(&self, body: BodyId) -> Result<u64, Error> {
        let mut bytes = 0;
        let Some(folder) = self.body(body)? else { return Ok(0) };
        for name in folder.names().or_store_error()? {
            let name = name.or_store_error()?.text;
            if text::index(&name).is_some() {
                bytes += folder.length(&name).or_store_error()?.map_or(0, disk_space);
            }
        }
        Ok(bytes)
    }

    /// Whether a record refers to `body`.
    fn is_referenced(&self, body: BodyId) -> Result<bool, Error> {
        let Some(folder) = self.body(body)? else { return Ok(false) };
        let Some(key) = self.owner(&folder)? else { return Ok(false) };
        let head = self.there(&key)?.and_then(|there| there.head);
        Ok(head.is_some_and(|head| head.body == Some(body) && head.chunks > 0))
    }

    fn owner(&self, folder: &Folder) -> Result<Option<Key>, Error> {
        let line = line_of(folder, OWNER).ok().flatten();
        Ok(line.as_deref().and_then(|line| text::key(line.trim_end_matches('\n'))))
    }

    fn body(&self, body: BodyId) -> Result<Option<Folder>, Error> {
        let name = body.to_string();
        let Some(shard) = self.tree.bodies.folder(text::shard(&name)).or_store_error()? else {
            return Ok(None);
        };
        shard.folder(&name).or_store_error()
    }
}

/// The body that a name in this shard stands for.
pub(super) fn body_in(shard: u8, name: &str) -> Option<BodyId> {
    text::body(name).filter(|body| body.as_bytes()[0] == shard)
}
