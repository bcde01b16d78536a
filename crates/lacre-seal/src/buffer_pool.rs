//! Memory that opened bodies lay in, used again for the next ones. To have as much anew for each costs more than to decrypt into it: an
//! allocator gives it back to the system between two hits, which hands it out page by page, emptied, and it is filled with zeros once more.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// How many bytes wait for their next use at most.
const MAX_POOLED_BYTES: usize = 16 << 20;
/// What is smaller comes from the allocator at once.
const MIN_POOLED_BYTES: usize = 32 << 10;

/// BufferPool that wait for their next use, the one that was left last at the end.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Mutex<Vec<Vec<u8>>>);

/// Memory of a certain length, with anything in it. Whoever fills it shows it by [`freeze`](Self::freeze); otherwise nobody sees what is in it.
#[derive(Default)]
pub(crate) struct PooledBuffer {
    /// All of it initialized, and at times more than is used.
    bytes: Vec<u8>,
    length: usize,
    pool: Option<Arc<BufferPool>>,
}

impl BufferPool {
    pub(crate) fn buffer(self: &Arc<Self>, length: usize) -> PooledBuffer {
        let pool = (MIN_POOLED_BYTES..=MAX_POOLED_BYTES).contains(&length).then(|| Arc::clone(self));
        let bytes = pool.as_ref().and_then(|pool| pool.take(length)).unwrap_or_else(|| vec![0; length]);
        PooledBuffer { bytes, length, pool }
    }

    /// The one that was left last of those that hold `length` bytes and hardly more: what is shown may be kept for long, and is then
    /// counted by its length.
    fn take(&self, length: usize) -> Option<Vec<u8>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Vec<u8>| (length..=length + length / 8).contains(&buffer.len());
        waiting.iter().rposition(fits).map(|place| waiting.remove(place))
    }

    fn put_back(&self, buffer: Vec<u8>) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.push(buffer);
        let mut bytes: usize = waiting.iter().map(Vec::len).sum();
        let gone = waiting.iter().take_while(|buffer| {
            let too_many = bytes > MAX_POOLED_BYTES;
            bytes -= buffer.len();
            too_many
        });
        let gone = gone.count();
        waiting.drain(..gone);
    }
}

impl PooledBuffer {
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }

    /// What is in it now, for as long as anybody holds it.
    pub(crate) fn freeze(mut self) -> Bytes {
        if self.pool.is_some() { Bytes::from_owner(self) } else { std::mem::take(&mut self.bytes).into() }
    }
}

/// The content of several envelopes, in one piece of memory. The default has buffer for nothing.
#[derive(Default)]
pub struct JoinedBuffer {
    buffer: PooledBuffer,
    filled: usize,
}

impl JoinedBuffer {
    pub(crate) fn new(buffer: PooledBuffer) -> Self {
        Self { buffer, filled: 0 }
    }

    /// The next `length` bytes, to be filled and [taken](Self::advance); `None`: there is no buffer for them.
    pub(crate) fn unfilled(&mut self, length: usize) -> Option<&mut [u8]> {
        self.buffer.bytes()[self.filled..].get_mut(..length)
    }

    /// The next `length` bytes were filled.
    pub(crate) fn advance(&mut self, length: usize) {
        self.filled += length;
    }

    /// Puts `bytes` behind what is there. `false`: there is no buffer for them, and nothing was put there.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(rest) = self.unfilled(bytes.len()) else { return false };
        rest.copy_from_slice(bytes);
        self.advance(bytes.len());
        true
    }

    /// How many bytes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// The bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.buffer.freeze().split_to(self.filled)
    }
}

/// Shows the length only: contents stay out of logs.
impl fmt::Debug for JoinedBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinedBuffer({} bytes)", self.filled)
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            pool.put_back(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(pool: &BufferPool) -> Vec<usize> {
        pool.0.lock().unwrap().iter().map(Vec::len).collect()
    }

    fn filled(pool: &Arc<BufferPool>, length: usize, byte: u8) -> Bytes {
        let mut buffer = pool.buffer(length);
        buffer.bytes().fill(byte);
        buffer.freeze()
    }

    #[test]
    fn a_room_is_used_again_once_nobody_holds_what_was_in_it() {
        let pool = Arc::new(BufferPool::default());
        let first = filled(&pool, 100_000, 1);
        let part = first.slice(10..20);
        let place = first.as_ptr();
        drop(first);
        assert!(waiting(&pool).is_empty(), "a part is still held");
        assert_eq!(part, vec![1; 10]);
        drop(part);
        let second = filled(&pool, 99_000, 2);
        assert_eq!((second.as_ptr(), second.len()), (place, 99_000));
        assert!(second.iter().all(|byte| *byte == 2));
    }

    #[test]
    fn what_is_joined_is_what_was_pushed_and_no_more() {
        let pool = Arc::new(BufferPool::default());
        drop(filled(&pool, 100_000, 9));
        let mut joined = JoinedBuffer::new(pool.buffer(100_000));
        assert!(joined.push(b"ab") && joined.push(b"") && joined.push(b"c"));
        assert!(!joined.push(&[1; 100_000]), "there is no buffer for it");
        assert_eq!((joined.len(), joined.is_empty()), (3, false));
        assert_eq!(joined.into_bytes(), "abc");
    }

    #[test]
    fn a_room_that_was_not_shown_is_left_too() {
        let pool = Arc::new(BufferPool::default());
        drop(pool.buffer(100_000));
        assert_eq!(waiting(&pool), [100_000]);
    }

    #[test]
    fn a_room_much_larger_than_what_it_would_hold_is_not_taken() {
        let pool = Arc::new(BufferPool::default());
        drop(pool.buffer(200_000));
        let small = filled(&pool, 100_000, 1);
        assert_eq!((small.len(), waiting(&pool)), (100_000, vec![200_000]));
    }

    #[test]
    fn what_is_small_or_too_large_is_not_kept() {
        let pool = Arc::new(BufferPool::default());
        drop((
            filled(&pool, MIN_POOLED_BYTES - 1, 1),
            filled(&pool, MAX_POOLED_BYTES + 1, 1),
            filled(&pool, 0, 1),
        ));
        assert!(waiting(&pool).is_empty());
    }

    #[test]
    fn those_that_were_left_first_go_first_when_there_are_too_many() {
        let pool = Arc::new(BufferPool::default());
        let all: Vec<_> = (0..6).map(|n| filled(&pool, MAX_POOLED_BYTES / 4 - n, 1)).collect();
        drop(all);
        assert_eq!(waiting(&pool), (2..6).map(|n| MAX_POOLED_BYTES / 4 - n).collect::<Vec<_>>());
    }
}
