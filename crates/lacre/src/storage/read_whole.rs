//! Reading a body in chunks into one piece of memory. All of it is verified before any of it is
//! used ([decision 12](../../../../docs/decisions/0012-read-medium-bodies-whole.md)).

use super::loaded::{BodyContent, BodyHandle, CHUNK, LoadedEntry, ReadPlan};
use super::times::seal_time;
use super::vault::{Vault, chunk_purpose, wrong_length};
use crate::Error;
use crate::codec::BodyHead;
use bytes::Bytes;
use lacre_core::{Entry, Key, Slot, Timestamp};
use std::future::poll_fn;
use std::task::Poll;

impl Vault {
    /// Like [`load`](Self::load), and reads the rest of a body whose first chunk was read if the
    /// body fits into `cacheable` bytes, or is wanted whole and no longer than `read_whole`.
    pub(crate) async fn load_whole(
        &self,
        key: &Key,
        plan: impl Fn(&Entry<BodyHead>) -> ReadPlan,
        cacheable: usize,
        now: Timestamp,
    ) -> Result<Option<LoadedEntry>, Error> {
        loop {
            let mut loaded = self.load(key, &plan, now).await?;
            let Some(LoadedEntry { slot: Slot::Entry(entry), .. }) = &mut loaded else { return Ok(loaded) };
            let BodyHandle { head, content: BodyContent::Chunks { first: Some((0, first)), all }, .. } =
                &entry.body
            else {
                return Ok(loaded);
            };
            let limit = if *all { cacheable.max(self.read_whole) } else { cacheable };
            if head.length > limit as u64 {
                return Ok(loaded);
            }
            match self.join_chunks(key, head, first, now).await? {
                Some(whole) => {
                    entry.body.content = BodyContent::Whole(whole);
                    return Ok(loaded);
                }
                None => self.check_replaced(key, head.id, now).await?,
            }
        }
    }

    /// Joins all chunks of a body, of which the first was read. `None`: the store lacks one of
    /// them.
    async fn join_chunks(
        &self,
        key: &Key,
        head: &BodyHead,
        first: &[u8],
        now: Timestamp,
    ) -> Result<Option<Bytes>, Error> {
        let mut joined = self.sealer.joined_buffer(usize::try_from(head.length).map_err(|_| wrong_length())?);
        let mut fits = joined.push(first);
        for index in 1..head.chunks {
            let found = if head.stages.is_empty() {
                let context = self.context(key, chunk_purpose(head, index));
                let mut opened = None;
                let mut open = |sealed: &[u8]| {
                    opened = Some(self.sealer.open_append(&context, sealed, seal_time(now), &mut joined));
                };
                self.store.chunk(head.id, index, &mut open).await?;
                opened.transpose()?.is_some()
            } else {
                let chunk = self.chunk(key, head, index, now).await?;
                fits &= chunk.as_ref().is_none_or(|(bytes, _)| joined.push(bytes));
                chunk.is_some()
            };
            if !found {
                return Ok(None);
            }
            let end = (u64::from(index) + 1).saturating_mul(CHUNK as u64).min(head.length);
            if !fits || joined.len() as u64 != end {
                return Err(wrong_length());
            }
            yield_now().await;
        }
        if joined.len() as u64 == head.length { Ok(Some(joined.into_bytes())) } else { Err(wrong_length()) }
    }
}

/// Lets other tasks of the thread run.
async fn yield_now() {
    let mut yielded = false;
    poll_fn(|context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
