//! A pool of plaintext buffers, to avoid page faults and re-zeroing. Without it, an allocator
//! returns a large buffer to the system after each hit and gets it back as zeroed pages, which
//! takes longer than the decryption (decision 12).

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// The maximum number of bytes in idle buffers.
const MAX_POOLED_BYTES: usize = 16 << 20;
/// Smaller buffers come from the allocator directly.
const MIN_POOLED_BYTES: usize = 32 << 10;

/// Idle buffers. The most recently returned one is last.
#[derive(Debug, Default)]
pub(crate) struct BufferPool(Mutex<Vec<Vec<u8>>>);

/// A buffer of a fixed length with arbitrary content. The user fills it and then calls
/// [`freeze`](Self::freeze), so old content is never visible.
#[derive(Default)]
pub(crate) struct PooledBuffer {
    /// Completely initialized; may be longer than `length`.
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

    /// Takes the most recently returned buffer of at least `length` bytes and at most an eighth
    /// more. Frozen bytes may be kept for long, and a memory budget counts them by their length.
    fn take(&self, length: usize) -> Option<Vec<u8>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |buffer: &Vec<u8>| (length..=length + length / 8).contains(&buffer.len());
        waiting.iter().rposition(fits).map(|index| waiting.remove(index))
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

    /// Returns the content. The buffer goes back to the pool when the last clone is dropped.
    pub(crate) fn freeze(mut self) -> Bytes {
        if self.pool.is_some() { Bytes::from_owner(self) } else { std::mem::take(&mut self.bytes).into() }
    }
}

/// The contents of several envelopes in one buffer. The default has no capacity.
#[derive(Default)]
pub struct JoinedBuffer {
    buffer: PooledBuffer,
    filled: usize,
}

impl JoinedBuffer {
    pub(crate) fn new(buffer: PooledBuffer) -> Self {
        Self { buffer, filled: 0 }
    }

    /// The next `length` bytes to fill, before [`advance`](Self::advance). `None` if the capacity
    /// is exceeded.
    pub(crate) fn unfilled(&mut self, length: usize) -> Option<&mut [u8]> {
        self.buffer.bytes()[self.filled..].get_mut(..length)
    }

    /// Marks the next `length` bytes as filled.
    pub(crate) fn advance(&mut self, length: usize) {
        self.filled += length;
    }

    /// Appends bytes. Returns `false`, and appends nothing, if the capacity is exceeded.
    #[must_use]
    pub fn push(&mut self, bytes: &[u8]) -> bool {
        let Some(rest) = self.unfilled(bytes.len()) else { return false };
        rest.copy_from_slice(bytes);
        self.advance(bytes.len());
        true
    }

    /// The number of filled bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.filled
    }

    /// Whether no bytes are filled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// Returns the filled bytes.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.buffer.freeze().split_to(self.filled)
    }
}

/// Shows the length only. Contents stay out of logs.
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
    fn buffer_is_reused_after_its_last_clone_is_dropped() {
        let pool = Arc::new(BufferPool::default());
        let first = filled(&pool, 100_000, 1);
        let part = first.slice(10..20);
        let address = first.as_ptr();
        drop(first);
        assert!(waiting(&pool).is_empty(), "a part is still held");
        assert_eq!(part, vec![1; 10]);
        drop(part);
        let second = filled(&pool, 99_000, 2);
        assert_eq!((second.as_ptr(), second.len()), (address, 99_000));
        assert!(second.iter().all(|byte| *byte == 2));
    }

    #[test]
    fn joined_buffer_contains_exactly_the_pushed_bytes() {
        let pool = Arc::new(BufferPool::default());
        drop(filled(&pool, 100_000, 9));
        let mut joined = JoinedBuffer::new(pool.buffer(100_000));
        assert!(joined.push(b"ab") && joined.push(b"") && joined.push(b"c"));
        assert!(!joined.push(&[1; 100_000]), "over the capacity");
        assert_eq!((joined.len(), joined.is_empty()), (3, false));
        assert_eq!(joined.into_bytes(), "abc");
    }

    #[test]
    fn unfrozen_buffer_returns_to_the_pool() {
        let pool = Arc::new(BufferPool::default());
        drop(pool.buffer(100_000));
        assert_eq!(waiting(&pool), [100_000]);
    }

    #[test]
    fn much_larger_buffer_is_not_reused() {
        let pool = Arc::new(BufferPool::default());
        drop(pool.buffer(200_000));
        let small = filled(&pool, 100_000, 1);
        assert_eq!((small.len(), waiting(&pool)), (100_000, vec![200_000]));
    }

    #[test]
    fn small_and_oversized_buffers_are_not_pooled() {
        let pool = Arc::new(BufferPool::default());
        drop((
            filled(&pool, MIN_POOLED_BYTES - 1, 1),
            filled(&pool, MAX_POOLED_BYTES + 1, 1),
            filled(&pool, 0, 1),
        ));
        assert!(waiting(&pool).is_empty());
    }

    #[test]
    fn oldest_idle_buffers_are_dropped_over_the_limit() {
        let pool = Arc::new(BufferPool::default());
        let all: Vec<_> = (0..6).map(|n| filled(&pool, MAX_POOLED_BYTES / 4 - n, 1)).collect();
        drop(all);
        assert_eq!(waiting(&pool), (2..6).map(|n| MAX_POOLED_BYTES / 4 - n).collect::<Vec<_>>());
    }
}
