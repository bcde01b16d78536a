//! Removes expired records, orphans, ended leases and temporary files, and evicts old records from
//! a full store.

use super::bodies::body_in;
use super::error::ResultExt;
use super::records::{key_in, keys};
use super::state::{Change, disk_space};
use super::text::{self, Head};
use super::{Fs, line_of};
use crate::Error;
use crate::store::eviction::EvictionCandidate;
use crate::store::locks::Purpose;
use crate::store::on_disk::record_too_large;
use crate::store::{ORPHAN_AGE, Swept, lease_end};
use lacre_core::{Key, Timestamp};

/// The number of records removed at a time, so that other writers get their turn.
const BATCH: usize = 100;

/// The number of records in a sample. At most one in four of them is evicted.
const SAMPLE: usize = 64;

impl Fs {
    pub(super) async fn sweep_now(&self, now: Timestamp) -> Result<Swept, Error> {
        self.must_be_writable()?;
        let mut swept = Swept::default();
        for shard in 0..=u8::MAX {
            swept += self.sweep_records(shard, now).await?;
            let drop_orphans = |change: &mut Change| self.drop_orphans(shard, now, change);
            swept.chunks += self.change(Purpose::Upkeep, drop_orphans).await?;
        }
        self.sweep_leases(now).await?;
        self.sweep_temp(now)?;
        let before = self.state.bytes()?;
        let counted = self.count_bytes()?;
        let recount = |change: &mut Change| {
            change.recount(before, counted);
            Ok(())
        };
        self.change(Purpose::Upkeep, recount).await?;
        Ok(swept)
    }

    async fn sweep_records(&self, shard: u8, now: Timestamp) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let expired = |head: Option<&Head>| head.is_some_and(|head| head.expires < now);
        let keys: Vec<Key> = match self.tree.slots.folder(&format!("{shard:02x}")).or_store_error()? {
            Some(folder) => keys(&folder, shard, None, usize::MAX)?.into_iter().collect(),
            None => return Ok(swept),
        };
        for keys in keys.chunks(BATCH) {
            let mut due = Vec::new();
            for key in keys {
                if expired(self.there(key)?.and_then(|there| there.head).as_ref()) {
                    due.push(key);
                }
            }
            if due.is_empty() {
                continue;
            }
            let delete = |change: &mut Change| {
                let mut swept = Swept::default();
                for key in &due {
                    // It may have been replaced meanwhile.
                    if let Some(chunks) = self.delete(key, expired, change)? {
                        swept += Swept { records: 1, chunks };
                    }
                }
                Ok(swept)
            };
            swept += self.change(Purpose::Upkeep, delete).await?;
        }
        Ok(swept)
    }

    async fn sweep_leases(&self, now: Timestamp) -> Result<(), Error> {
        self.locked(Purpose::Upkeep, || {
            for name in self.tree.leases.names().or_store_error()? {
                let name = name.or_store_error()?.text;
                let line = line_of(&self.tree.leases, &name).ok().flatten();
                let held = line
                    .as_deref()
                    .and_then(text::parse_lease)
                    .is_some_and(|(_, until)| until > now && until <= lease_end(Timestamp::MAX, now));
                if !held && text::key(&name).is_some() {
                    self.tree.leases.remove(&name).or_store_error()?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Removes temporary files of killed writers.
    fn sweep_temp(&self, now: Timestamp) -> Result<(), Error> {
        for name in self.tree.temp.names().or_store_error()? {
            let name = name.or_store_error()?.text;
            // Foreign files are left for `inspect` to report.
            let written = self.tree.temp.written(&name).ok().flatten();
            if text::body(&name).is_some() && written.is_some_and(|written| written < now.minus(ORPHAN_AGE)) {
                self.tree.temp.remove(&name).or_store_error()?;
            }
        }
        Ok(())
    }

    pub(super) async fn trim_now(&self, max_bytes: u64, now: Timestamp) -> Result<Swept, Error> {
        let mut trimmed = Swept::default();
        loop {
            let evict = |change: &mut Change| {
                let orphans = self.drop_all_orphans(max_bytes, now, change)?;
                let mut batch = self.evict(max_bytes, None, now, BATCH, change)?;
                batch.chunks += orphans;
                Ok(batch)
            };
            let batch = self.change(Purpose::Upkeep, evict).await?;
            if batch == Swept::default() {
                return Ok(trimmed);
            }
            trimmed += batch;
        }
    }

    /// Evicts records until a file of `length` bytes fits. `kept` stays.
    pub(super) fn evict_for_file(
        &self,
        length: u64,
        kept: Option<&Key>,
        now: Timestamp,
        change: &mut Change,
    ) -> Result<(), Error> {
        let max_bytes = self.options.max_bytes;
        let Some(left) = max_bytes.checked_sub(disk_space(length)) else { return Err(record_too_large()) };
        if change.bytes() <= left {
            return Ok(());
        }
        self.drop_all_orphans(left, now, change)?;
        // A little more than needed, so that not every write has to sample.
        self.evict(left.saturating_sub(max_bytes / 256), kept, now, usize::MAX, change)?;
        if change.bytes() > left {
            // Files may have been removed by hand.
            let before = change.bytes();
            change.recount(before, self.count_bytes()?);
        }
        if change.bytes() <= left { Ok(()) } else { Err(record_too_large()) }
    }

    /// Removes every orphan while the store holds more than `max_bytes`, unless a recent search
    /// found none.
    fn drop_all_orphans(&self, max_bytes: u64, now: Timestamp, change: &mut Change) -> Result<u64, Error> {
        let mut dropped = 0;
        if change.bytes() > max_bytes && !self.searched.is_too_early(now) {
            for shard in 0..=u8::MAX {
                dropped += self.drop_orphans(shard, now, change)?;
            }
            self.searched.note_no_orphans(now);
        }
        Ok(dropped)
    }

    /// Removes about `limit` records at most, until the store holds no more than `max_bytes`.
    fn evict(
        &self,
        max_bytes: u64,
        kept: Option<&Key>,
        now: Timestamp,
        limit: usize,
        change: &mut Change,
    ) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        while change.bytes() > max_bytes && swept.records < limit as u64 {
            let sample = self.sample(kept, now)?;
            let victims = self.recent.victims(&sample);
            if victims.is_empty() {
                break;
            }
            for key in victims.iter().take(sample.len().div_ceil(4)) {
                if change.bytes() <= max_bytes {
                    break;
                }
                if let Some(chunks) = self.delete(key, |_| true, change)? {
                    swept += Swept { records: 1, chunks };
                }
            }
        }
        Ok(swept)
    }

    /// Records from a random place on, the best candidates first. Keys are digests, so neighbours
    /// are a fair sample.
    fn sample(&self, kept: Option<&Key>, now: Timestamp) -> Result<Vec<EvictionCandidate>, Error> {
        let mut sample = Vec::new();
        let first = crate::store::on_disk::random()? as u8;
        for shard in (0..=u8::MAX).map(|shard| first.wrapping_add(shard)) {
            let Some(folder) = self.tree.slots.folder(&format!("{shard:02x}")).or_store_error()? else {
                continue;
            };
            for key in keys(&folder, shard, None, usize::MAX)? {
                let Some(there) = self.there(&key)?.filter(|_| Some(&key) != kept) else { continue };
                // A malformed record is of no use.
                let expired = there.head.is_none_or(|head| head.expires < now);
                let written = there.head.map(|head| head.written);
                sample.push((written, EvictionCandidate { key, expired }));
            }
            if sample.len() >= SAMPLE {
                break;
            }
        }
        sample.sort_by_key(|(written, old)| (!old.expired, *written));
        Ok(sample.into_iter().map(|(_, old)| old).collect())
    }

    /// The disk space of all files.
    fn count_bytes(&self) -> Result<u64, Error> {
        let mut bytes = 0;
        for shard in 0..=u8::MAX {
            let name = format!("{shard:02x}");
            if let Some(folder) = self.tree.slots.folder(&name).or_store_error()? {
                for name in folder.names().or_store_error()? {
                    let name = name.or_store_error()?;
                    if key_in(shard, &name).is_some() {
                        bytes += folder.length(&name.text).or_store_error()?.map_or(0, disk_space);
                    }
                }
            }
            let Some(folder) = self.tree.bodies.folder(&name).or_store_error()? else { continue };
            for name in folder.names().or_store_error()? {
                if let Some(body) = body_in(shard, &name.or_store_error()?.text) {
                    bytes += self.count_chunks(body)?;
                }
            }
        }
        Ok(bytes)
    }

    pub(super) async fn clear_now(&self) -> Result<(), Error> {
        for shard in 0..=u8::MAX {
            let delete = |change: &mut Change| {
                let name = format!("{shard:02x}");
                if let Some(folder) = self.tree.slots.folder(&name).or_store_error()? {
                    for key in keys(&folder, shard, None, usize::MAX)? {
                        self.delete(&key, |_| true, change)?;
                    }
                }
                self.drop_orphans(shard, Timestamp::MAX, change).map(drop)
            };
            self.change(Purpose::Upkeep, delete).await?;
        }
        self.sweep_leases(Timestamp::MAX).await?;
        self.sweep_temp(Timestamp::MAX)
    }
}
