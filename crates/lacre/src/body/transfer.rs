//! A transfer: a response's body that several requests read while it arrives
//! ([decision 17](../../../../docs/decisions/0017-share-in-flight-responses.md)).
//!
//! No reader is in charge. The reader that first wants bytes which have not arrived polls the
//! network, so the transfer goes on as long as anybody reads, at the speed of the fastest reader.
//! Slower readers find the bytes that they missed in the store, sealed in chunks. Only bytes that
//! are not stored yet are held in memory.
//!
//! If storing stops in the middle, because the store failed or the body is too long, the transfer
//! goes at the pace of the leader, whose request it was, as it would without a cache. A waiter that
//! is held up or left behind by this sends its own request and resumes at its position (`resume`).
//! So does a waiter whose transfer breaks off.

use super::resume::{Expected, Progress, Rest, Resume, rest};
use crate::codec::BodyHead;
use crate::storage::Storage;
use crate::storage::loaded::{CHUNK, chunk_at};
use crate::{Error, ErrorKind};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::HeaderMap;
use lacre_core::Insert;
use lacre_seal::BodyId;
use std::any::Any;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use std::time::Duration;

/// The state that all readers of a body share.
pub(crate) struct Transfer {
    storage: Storage,
    /// The entry that the response will be stored as.
    pub(crate) keep: Arc<Insert>,
    /// The length of the body, if the origin declared it.
    pub(crate) length: Option<u64>,
    readers: Arc<Readers>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The network and the recording; `None` while a reader polls them.
    source: Option<Source>,
    /// The bytes held in memory: those from `from` to `to` of the body.
    window: VecDeque<Bytes>,
    from: u64,
    to: u64,
    stored: Stored,
    /// The position of the leader, whose request this was; `None` once it went away.
    leader: Option<u64>,
    /// The number of other readers.
    waiters: usize,
    end: Option<End>,
    trailers: Option<HeaderMap>,
    /// The network's error, for the leader.
    failure: Option<Box<dyn Any + Send>>,
}

/// The part of the body that is in the store already.
#[derive(Clone, Copy, Default)]
pub(crate) struct Stored {
    pub(crate) body: Option<BodyId>,
    pub(crate) bytes: u64,
    /// Present if the rest will not be stored.
    pub(crate) stopped: Option<Stopped>,
}

#[derive(Clone, Copy)]
pub(crate) struct Stopped;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

pub(crate) type Source = Pin<Box<dyn Stream<Item = Step> + Send>>;

/// The outcome of polling the network.
pub(crate) enum Step {
    Bytes(Bytes, Stored),
    Trailers(HeaderMap),
    Failed(Box<dyn Any + Send>),
    End,
}

impl Transfer {
    /// A transfer that has not [begun](Self::begin).
    pub(crate) fn new(storage: Storage, keep: Arc<Insert>, length: Option<u64>) -> Self {
        let state = State { leader: Some(0), ..State::default() };
        Self { storage, keep, length, readers: Arc::default(), state: Mutex::new(state) }
    }

    pub(crate) fn begin(&self, source: Source) {
        self.state().source = Some(source);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under the lock, so a panic cannot leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apply(&mut self, step: Step, length: Option<u64>) {
        match step {
            Step::Bytes(bytes, stored) => {
                self.to += bytes.len() as u64;
                self.window.push_back(bytes);
                self.stored = stored;
                self.trim();
            }
            Step::Trailers(trailers) => self.trailers = Some(trailers),
            Step::Failed(error) => {
                self.failure = Some(error);
                self.end = Some(End::Broken);
            }
            Step::End => {
                let whole = length.is_none_or(|length| length == self.to);
                self.end = Some(if whole { End::Complete } else { End::Broken });
            }
        }
    }

    /// Drops bytes that can be read from the store; if nothing more is stored, bytes that the
    /// leader has read.
    fn trim(&mut self) {
        let needed = match (self.stored.stopped, self.leader) {
            (None, _) => self.stored.bytes,
            (Some(Stopped), Some(leader)) if self.waiters == 0 => leader,
            (Some(Stopped), leader) => leader.unwrap_or(self.to).saturating_sub(WAITER_SLACK),
        };
        while let Some(first) = self.window.front()
            && self.from + first.len() as u64 <= needed
        {
            self.from += first.len() as u64;
            self.window.pop_front();
        }
        if self.window.len() > MAX_PIECES {
            let mut joined = BytesMut::new();
            self.window.drain(..).for_each(|piece| joined.extend_from_slice(&piece));
            self.window.push_back(joined.freeze());
        }
    }

    /// Whether the transfer must wait for the leader.
    fn is_full(&self) -> bool {
        let ahead = |leader| self.to - leader >= CHUNK as u64;
        self.stored.stopped.is_some() && self.leader.is_some_and(ahead)
    }

    /// The rest of the piece in memory that contains byte `at`.
    fn piece(&self, at: u64) -> Option<Bytes> {
        let mut to = self.to;
        // Most readers want the last piece.
        for piece in self.window.iter().rev() {
            let from = to - piece.len() as u64;
            if (from..to).contains(&at) {
                return Some(piece.slice((at - from) as usize..));
            }
            to = from;
        }
        None
    }
}

/// How many bytes are kept for waiters that are slower than the leader, once nothing more is
/// stored.
const WAITER_SLACK: u64 = 4 * CHUNK as u64;

/// How long a waiter is held up by the leader before it sends its own request.
const MAX_HOLD_UP: Duration = Duration::from_millis(500);

/// The most pieces in memory. More are joined, since a small piece takes more memory than its
/// bytes.
const MAX_PIECES: usize = 512;

/// A reader's position in a transfer.
pub(crate) struct Reader {
    transfer: Arc<Transfer>,
    role: Role,
    at: u64,
    /// A chunk that is being read from the store.
    chunk: Option<Mutex<Chunk>>,
    /// Never locked: the mutex makes the reader `Sync`, as a response's body must be.
    fallback: Mutex<Fallback>,
    /// An error was returned, and nothing follows it.
    failed: bool,
}

/// A reader's own request, for a transfer that fails or holds it up.
enum Fallback {
    Impossible,
    Possible {
        resume: Box<dyn Resume>,
        progress: Progress,
        /// Ends after [`MAX_HOLD_UP`].
        held_up: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    },
    TeeStart(Rest),
}

type Chunk = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send>>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Leader,
    Waiter,
}

/// The next part of a body.
pub(crate) enum Piece {
    Bytes(Bytes),
    End,
    /// The store failed, or its content was tampered with.
    Failed(Error),
    /// The network failed.
    Broken,
}

impl Reader {
    pub(crate) fn new(transfer: Arc<Transfer>, role: Role) -> Self {
        if role == Role::Waiter {
            transfer.state().waiters += 1;
        }
        let fallback = Mutex::new(Fallback::Impossible);
        Self { transfer, role, at: 0, chunk: None, fallback, failed: false }
    }

    /// Gives the reader a request to resume with if the transfer fails or holds it up.
    pub(crate) fn resume_with(&mut self, resume: Box<dyn Resume>) {
        let progress = Progress::default();
        *self.fallback() = Fallback::Possible { resume, progress, held_up: None };
    }

    fn fallback(&mut self) -> &mut Fallback {
        self.fallback.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the reader's own request, where that is possible.
    fn leave(&mut self) -> bool {
        let fallback = std::mem::replace(self.fallback(), Fallback::Impossible);
        let Fallback::Possible { resume, progress, .. } = fallback else { return false };
        let expected = Expected::of(&self.transfer.keep.entry, self.transfer.length);
        *self.fallback() = Fallback::TeeStart(rest(resume, progress, expected));
        true
    }

    /// Resumes instead of failing; `None`: it does.
    fn or_resume(&mut self, piece: Piece) -> Option<Piece> {
        if self.leave() { None } else { Some(piece) }
    }

    /// Whether the leader has held this reader up for longer than [`MAX_HOLD_UP`].
    fn is_held_up(&mut self, context: &mut Context<'_>) -> bool {
        let Fallback::Possible { resume, held_up, .. } = self.fallback() else { return false };
        let pause = held_up.get_or_insert_with(|| resume.pause(MAX_HOLD_UP));
        pause.as_mut().poll(context).is_ready()
    }

    /// The bytes still to come, if the length is known.
    pub(crate) fn left(&self) -> Option<u64> {
        self.transfer.length.map(|length| length.saturating_sub(self.at))
    }

    /// Whether the reader has read everything.
    pub(crate) fn is_done(&self) -> bool {
        let state = self.transfer.state();
        state.end == Some(End::Complete) && self.at == state.to && state.trailers.is_none()
    }

    /// Whether the body is still being stored.
    pub(crate) fn is_stored(&self) -> bool {
        self.transfer.state().stored.stopped.is_none()
    }

    /// The trailers that followed the body.
    pub(crate) fn take_trailers(&self) -> Option<HeaderMap> {
        self.transfer.state().trailers.take()
    }

    /// The network's error, for the first reader that asks.
    pub(crate) fn take_failure<E: 'static>(&self) -> Option<E> {
        let failure = self.transfer.state().failure.take()?;
        failure.downcast().ok().map(|error| *error)
    }

    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        if self.failed {
            return Poll::Ready(Piece::End);
        }
        let piece = ready!(self.poll_next(context));
        self.failed = matches!(piece, Piece::Failed(_) | Piece::Broken);
        Poll::Ready(piece)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        loop {
            if let Fallback::TeeStart(rest) = self.fallback() {
                return Poll::Ready(match ready!(rest.as_mut().poll_next(context)) {
                    Some(Ok(piece)) => self.advance(piece),
                    Some(Err(error)) => Piece::Failed(error),
                    None => Piece::End,
                });
            }
            if let Some(chunk) = &mut self.chunk {
                let chunk = chunk.get_mut().unwrap_or_else(PoisonError::into_inner);
                let read = ready!(chunk.as_mut().poll(context));
                self.chunk = None;
                match read {
                    Ok(chunk) => return Poll::Ready(self.advance(chunk.slice(chunk_at(self.at).1..))),
                    Err(error) => match self.or_resume(Piece::Failed(error)) {
                        Some(failed) => return Poll::Ready(failed),
                        None => continue,
                    },
                }
            }
            let mut state = self.transfer.state();
            if let Some(piece) = state.piece(self.at) {
                drop(state);
                return Poll::Ready(self.advance(piece));
            }
            if self.at < state.to {
                let body = state.stored.body.filter(|_| self.at < state.stored.bytes);
                drop(state);
                match body {
                    Some(body) => self.chunk = Some(Mutex::new(self.read(body))),
                    None => {
                        if let Some(failed) = self.or_resume(Piece::Failed(left_behind())) {
                            return Poll::Ready(failed);
                        }
                    }
                }
                continue;
            }
            match state.end {
                Some(End::Complete) => return Poll::Ready(Piece::End),
                Some(End::Broken) => {
                    drop(state);
                    match self.or_resume(Piece::Broken) {
                        Some(broken) => return Poll::Ready(broken),
                        None => continue,
                    }
                }
                None => {}
            }
            // The reader that polls may go away, and the others must be woken.
            self.transfer.readers.register(context.waker());
            if self.role == Role::Waiter && state.is_full() {
                drop(state);
                if self.is_held_up(context) && self.leave() {
                    continue;
                }
                return Poll::Pending;
            }
            let Some(mut source) = state.source.take() else { return Poll::Pending };
            drop(state);
            let waker = Waker::from(Arc::clone(&self.transfer.readers));
            let polled = source.as_mut().poll_next(&mut Context::from_waker(&waker));
            let mut state = self.transfer.state();
            state.source = Some(source);
            let Poll::Ready(step) = polled else { return Poll::Pending };
            state.apply(step.unwrap_or(Step::End), self.transfer.length);
            drop(state);
            self.transfer.readers.wake_others(context.waker());
        }
    }

    fn advance(&mut self, piece: Bytes) -> Piece {
        self.at += piece.len() as u64;
        if let Fallback::Possible { progress, .. } = self.fallback() {
            progress.add(&piece);
        }
        if self.role == Role::Leader {
            let mut state = self.transfer.state();
            let others_wait = state.is_full();
            state.leader = Some(self.at);
            drop(state);
            if others_wait {
                self.transfer.readers.wake_all();
            }
        }
        Piece::Bytes(piece)
    }

    /// Reads the chunk that contains the next byte. It is never the last chunk, which is staged at
    /// the end.
    fn read(&self, body: BodyId) -> Chunk {
        let transfer = Arc::clone(&self.transfer);
        let index = chunk_at(self.at).0;
        Box::pin(async move {
            let stages = transfer.storage.vault.stages.ids();
            let head = BodyHead { id: body, length: u64::MAX, stages, chunks: u32::MAX };
            transfer.storage.chunk(&transfer.keep.key, &head, index).await
        })
    }
}

/// The transfer goes on without this reader if there are others.
impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.transfer.state();
        match self.role {
            Role::Leader => state.leader = None,
            Role::Waiter => state.waiters -= 1,
        }
        drop(state);
        self.transfer.readers.wake_all();
    }
}

fn left_behind() -> Error {
    Error::new(ErrorKind::Gone, "the response could not be stored while several requests were reading it")
        .with_hint("send the request again")
}

/// The wakers of readers that wait for the network.
#[derive(Default)]
struct Readers(Mutex<Vec<Waker>>);

impl Readers {
    fn register(&self, waker: &Waker) {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !waiting.iter().any(|known| known.will_wake(waker)) {
            waiting.push(waker.clone());
        }
    }

    fn wake_all(&self) {
        self.take().into_iter().for_each(Waker::wake);
    }

    /// Wakes all readers but the one that is running.
    fn wake_others(&self, awake: &Waker) {
        self.take().into_iter().filter(|waiting| !waiting.will_wake(awake)).for_each(Waker::wake);
    }

    fn take(&self) -> Vec<Waker> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Wake for Readers {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }
}
