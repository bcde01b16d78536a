//! Bodies that are read to their end before anybody sees the first of them: into one piece of memory, all verified.

use super::vault::{
    CHUNK, Handle, Loaded, Source, Vault, Wanted, chunk_place, missing_chunk, moment, wrong_length,
};
use crate::Error;
use crate::codec::BodyHead;
use bytes::Bytes;
use lacre_core::{Entry, Key, Slot, Timestamp};
use std::future::poll_fn;
use std::task::Poll;

impl Vault {
    /// Like [`load`](Self::load), with the rest of a body of which the first chunk was read, where it fits into `tier` bytes, or is wanted
    /// and not too long.
    pub(super) async fn load_whole(
        &self,
        key: &Key,
        wanted: impl Fn(&Entry<BodyHead>) -> Wanted,
        tier: usize,
        now: Timestamp,
    ) -> Result<Option<Loaded>, Error> {
        let mut missed = None;
        loop {
            let mut loaded = self.load(key, &wanted, now).await?;
            let Some(Loaded { slot: Slot::Entry(entry), .. }) = &mut loaded else { return Ok(loaded) };
            let Handle { head, source: Source::Chunks { first: Some((0, first)), all }, .. } = &entry.body
            else {
                return Ok(loaded);
            };
            let most = if *all { tier.max(self.read_whole) } else { tier };
            if head.length > most as u64 {
                return Ok(loaded);
            }
            match self.whole(key, head, first, now).await? {
                Some(whole) => {
                    entry.body.source = Source::Whole(whole);
                    return Ok(loaded);
                }
                // As in `load`: what was replaced meanwhile is no harm, and what replaced it is read.
                None if missed.replace(head.id) != Some(head.id) => {}
                None => return Err(missing_chunk()),
            }
        }
    }

    /// A body in one piece of which the `first` chunk was read; `None`: one of the others is not there.
    async fn whole(
        &self,
        key: &Key,
        head: &BodyHead,
        first: &[u8],
        now: Timestamp,
    ) -> Result<Option<Bytes>, Error> {
        let mut joined = self.sealer.joined_buffer(usize::try_from(head.length).map_err(|_| wrong_length())?);
        let mut fits = joined.push(first);
        for index in 1..head.chunks {
            let there = if head.stages.is_empty() {
                let at = self.place(key, chunk_place(head, index));
                let mut opened = None;
                let mut open = |sealed: &[u8]| {
                    opened = Some(self.sealer.open_append(&at, sealed, moment(now), &mut joined));
                };
                self.store.chunk(head.id, index, &mut open).await?;
                opened.transpose()?.is_some()
            } else {
                let chunk = self.chunk(key, head, index, now).await?;
                fits &= chunk.as_ref().is_none_or(|(bytes, _)| joined.push(bytes));
                chunk.is_some()
            };
            if !there {
                return Ok(None);
            }
            let end = (u64::from(index) + 1).saturating_mul(CHUNK as u64).min(head.length);
            if !fits || joined.len() as u64 != end {
                return Err(wrong_length());
            }
            give_way().await;
        }
        if joined.len() as u64 == head.length { Ok(Some(joined.into_bytes())) } else { Err(wrong_length()) }
    }
}

/// Lets others of the same thread have their turn.
async fn give_way() {
    let mut given = false;
    poll_fn(|context| {
        if std::mem::replace(&mut given, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
