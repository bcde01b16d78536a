//! Writing records: sealed to their place, recorded by the rollback guard, dropped from the memory
//! cache.

use super::loaded::{BodyContent, BodyHandle};
use super::rollback_guard::Version;
use super::times::{seal_time, store_time};
use super::vault::{Chunk, Vault};
use crate::Error;
use crate::codec::BodyHead;
use crate::store::Record;
use lacre_core::{Entry, Key, Pointer, Sensitivity, Slot, Timestamp, Touch};
use lacre_seal::{BodyId, Lifetime, Purpose, Sealer};
use std::borrow::Cow;
use std::task::{Context, Waker};

impl Vault {
    /// Writes an entry with its whole body, which is no longer than
    /// [`CHUNK`](super::loaded::CHUNK). Returns the size of the sealed record.
    pub(crate) async fn put_inline(
        &self,
        key: &Key,
        sensitivity: Sensitivity,
        entry: Entry<()>,
        body: &[u8],
        retain_until: Timestamp,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let (head, staged) = self.apply_stages(BodyId::generate()?, body)?;
        let entry = Slot::Entry(Box::new(entry.with_body(head.clone())));
        let sealed = self.seal_slot(key, sensitivity, &entry, &staged, retain_until, now)?;
        self.put(key, record(&head, &sealed, retain_until, now)).await?;
        Ok(sealed.len())
    }

    /// Writes the head of an entry whose chunks were [staged](Self::stage_chunk) before. Returns
    /// the size of the sealed record.
    pub(crate) async fn put_head(
        &self,
        key: &Key,
        sensitivity: Sensitivity,
        entry: Entry<BodyHead>,
        retain_until: Timestamp,
        now: Timestamp,
    ) -> Result<usize, Error> {
        let head = entry.body.clone();
        let sealed =
            self.seal_slot(key, sensitivity, &Slot::Entry(Box::new(entry)), &[], retain_until, now)?;
        self.put(key, record(&head, &sealed, retain_until, now)).await?;
        Ok(sealed.len())
    }

    /// Writes new headers of an entry over the same body. Does nothing if the body was replaced
    /// meanwhile.
    pub(crate) async fn touch(&self, touch: Touch<BodyHandle>, now: Timestamp) -> Result<(), Error> {
        let Touch { key, entry, sensitivity, retain_until } = touch;
        let sensitivity = sensitivity.max(entry.body.sensitivity);
        let BodyHandle { head, content, .. } = entry.body.clone();
        let (head, staged) = match &content {
            BodyContent::Whole(bytes) if head.chunks == 0 => self.apply_stages(head.id, bytes)?,
            _ => (head, Cow::default()),
        };
        let slot = Slot::Entry(Box::new(entry.with_body(head.clone())));
        let sealed = self.seal_slot(&key, sensitivity, &slot, &staged, retain_until, now)?;
        self.replace(&key, Some(head.id), record(&head, &sealed, retain_until, now)).await?;
        Ok(())
    }

    /// Writes a record that leads to an entry. It lives as long as that entry.
    pub(crate) async fn put_pointer(
        &self,
        key: &Key,
        pointer: Pointer,
        retain_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), Error> {
        let sealed = self.seal_slot(key, Sensitivity::Public, &pointer.into(), &[], retain_until, now)?;
        let record = Record { body: None, chunks: 0, expires: retain_until, written: now, sealed: &sealed };
        self.put(key, record).await
    }

    /// Seals one chunk of a body and stages it in the store. The seal has no end of its own: a
    /// chunk is reachable only while an entry names its body.
    pub(crate) async fn stage_chunk(
        &self,
        key: &Key,
        sensitivity: Sensitivity,
        chunk: Chunk,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<(), Error> {
        let Chunk { body, index, position } = chunk;
        let context = self.context(key, Purpose::Chunk { body, index, position });
        let staged = self.stages.forward(bytes)?;
        let life = Lifetime::unbounded(seal_time(now));
        let sealed = self.sealer_for(sensitivity).seal(&context, life, &[], &staged)?;
        self.store.stage(body, index, &sealed, now).await
    }

    /// Removes the staged chunks of a body that no entry will name. A store that does not do this
    /// at once leaves it to the next sweep.
    pub(crate) fn unstage(&self, body: BodyId, chunks: u32) {
        let mut unstaged = self.store.unstage(body, chunks);
        let _ = unstaged.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }

    /// Applies the stages to a body, and returns its head.
    fn apply_stages<'a>(&self, id: BodyId, body: &'a [u8]) -> Result<(BodyHead, Cow<'a, [u8]>), Error> {
        let head = BodyHead { id, length: body.len() as u64, stages: self.stages.ids(), chunks: 0 };
        Ok((head, self.stages.forward(body)?))
    }

    fn seal_slot(
        &self,
        key: &Key,
        sensitivity: Sensitivity,
        slot: &Slot<BodyHead>,
        inline: &[u8],
        retain_until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<u8>, Error> {
        let mut head = Vec::with_capacity(512);
        self.formats.encode(slot, &mut head)?;
        let life = Lifetime { created: seal_time(now), not_after: seal_time(retain_until) };
        Ok(self.sealer_for(sensitivity).seal(&self.context(key, Purpose::Slot), life, &head, inline)?)
    }

    pub(crate) fn sealer_for(&self, sensitivity: Sensitivity) -> &Sealer {
        match sensitivity {
            Sensitivity::Public => &self.sealer,
            Sensitivity::Sensitive => &self.sensitive_sealer,
        }
    }

    /// Puts a record that was just sealed.
    pub(crate) async fn put(&self, key: &Key, record: Record<'_>) -> Result<(), Error> {
        if !self.namespace.is_empty() {
            Box::pin(self.list_namespace(record.written)).await;
        }
        let _guard = self.begin_invalidation(key);
        let history = self.rollback_guard.history(key);
        self.store.put(key, record).await?;
        self.rollback_guard.record_write(key, history, Version::of(record.sealed, seal_time(record.written)));
        self.pending_removals.settle(key);
        // The store accepts writes again: retry removals that it refused.
        for pending in self.pending_removals.next_batch() {
            let _ = self.remove(&pending, store_time(seal_time(record.written))).await;
        }
        Ok(())
    }

    /// Puts a record if the record that is there still names `body`. Returns whether it did.
    pub(crate) async fn replace(
        &self,
        key: &Key,
        body: Option<BodyId>,
        record: Record<'_>,
    ) -> Result<bool, Error> {
        let _guard = self.begin_invalidation(key);
        let history = self.rollback_guard.history(key);
        let replaced = self.store.touch(key, body, record).await?;
        if replaced {
            let version = Version::of(record.sealed, seal_time(record.written));
            self.rollback_guard.record_write(key, history, version);
        }
        Ok(replaced)
    }

    /// Removes the record under `key`. Returns whether there was one.
    pub(crate) async fn remove(&self, key: &Key, now: Timestamp) -> Result<bool, Error> {
        let _guard = self.begin_invalidation(key);
        let history = self.rollback_guard.history(key);
        let removed = self.store.remove(key).await?;
        self.rollback_guard.record_removal(key, history, seal_time(now));
        self.pending_removals.settle(key);
        Ok(removed)
    }
}

fn record<'a>(head: &BodyHead, sealed: &'a [u8], retain_until: Timestamp, now: Timestamp) -> Record<'a> {
    Record { body: Some(head.id), chunks: head.chunks, expires: retain_until, written: now, sealed }
}
