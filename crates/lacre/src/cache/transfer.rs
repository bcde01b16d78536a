//! A response's body that several read while it comes in.
//!
//! Nobody is in charge of the transfer: whichever reader wants bytes that have not come yet asks the network for them, so it goes on as
//! long as one of them reads, at the speed of the fastest. Slower ones find what they missed in the store, where it lies sealed in chunks.
//! Only what is not stored yet is held in memory. Where storing stops in the middle (the store fails, or the body is too long), the transfer
//! goes at the pace of the reader whose request it was, as it would without a cache. A follower that this holds up, or that is left behind,
//! sends its own request and goes on where it was (`resume`); so does one whose transfer breaks off.

use super::Cache;
use super::body::place;
use super::resume::{Like, Progress, Rest, Resume, rest};
use super::vault::CHUNK;
use crate::codec::BodyHead;
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

/// What all readers of a body share.
pub(super) struct Transfer {
    cache: Cache,
    /// What it will be stored as.
    pub(super) keep: Insert,
    /// How long it is, where that is known.
    pub(super) length: Option<u64>,
    readers: Arc<Readers>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where the rest comes from, and what is kept until the last reader is done; absent while somebody asks it.
    source: Option<Source>,
    /// What came, from byte `from` to byte `to` of the body.
    window: VecDeque<Bytes>,
    from: u64,
    to: u64,
    stored: Stored,
    /// How far the reader has come whose request this was; absent when it went away.
    leader: Option<u64>,
    /// How many read besides it.
    followers: usize,
    end: Option<End>,
    trailers: Option<HeaderMap>,
    /// The network's error, for the reader whose request this was.
    failure: Option<Box<dyn Any + Send>>,
}

/// What lies in the store already.
#[derive(Clone, Copy, Default)]
pub(super) struct Stored {
    pub(super) body: Option<BodyId>,
    pub(super) bytes: u64,
    /// Present where the rest will not follow.
    pub(super) stopped: Option<Stopped>,
}

#[derive(Clone, Copy)]
pub(super) struct Stopped;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Complete,
    Broken,
}

pub(super) type Source = Pin<Box<dyn Stream<Item = Step> + Send>>;

/// What asking the network led to.
pub(super) enum Step {
    Bytes(Bytes, Stored),
    Trailers(HeaderMap),
    Failed(Box<dyn Any + Send>),
    End,
}

impl Transfer {
    /// One that is yet to [begin](Self::begin).
    pub(super) fn new(cache: Cache, keep: Insert, length: Option<u64>) -> Self {
        let state = State { leader: Some(0), ..State::default() };
        Self { cache, keep, length, readers: Arc::default(), state: Mutex::new(state) }
    }

    pub(super) fn begin(&self, source: Source) {
        self.state().source = Some(source);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing foreign runs under the lock, so a panic cannot leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_in(&mut self, step: Step, length: Option<u64>) {
        match step {
            Step::Bytes(bytes, stored) => {
                self.to += bytes.len() as u64;
                self.window.push_back(bytes);
                self.stored = stored;
                self.forget();
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

    /// Lets go of what can be read from the store, or, where nothing more is stored, of what the leader has read.
    fn forget(&mut self) {
        let needed = match (self.stored.stopped, self.leader) {
            (None, _) => self.stored.bytes,
            (Some(Stopped), Some(leader)) if self.followers == 0 => leader,
            (Some(Stopped), leader) => leader.unwrap_or(self.to).saturating_sub(SLACK),
        };
        while let Some(first) = self.window.front()
            && self.from + first.len() as u64 <= needed
        {
            self.from += first.len() as u64;
            self.window.pop_front();
        }
        if self.window.len() > MOST_PIECES {
            let mut joined = BytesMut::new();
            self.window.drain(..).for_each(|piece| joined.extend_from_slice(&piece));
            self.window.push_back(joined.freeze());
        }
    }

    /// Whether the transfer is to wait for the leader.
    fn is_full(&self) -> bool {
        let ahead = |leader| self.to - leader >= CHUNK as u64;
        self.stored.stopped.is_some() && self.leader.is_some_and(ahead)
    }

    /// The rest of the piece in which byte `at` lies, of those in memory.
    fn piece(&self, at: u64) -> Option<Bytes> {
        let mut to = self.to;
        // Most readers want the last.
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

/// How many bytes are kept for followers that are a little slower than the leader, where nothing is stored any more.
const SLACK: u64 = 4 * CHUNK as u64;

/// How long a follower is held up by the leader before it sends its own request.
const HELD_UP: Duration = Duration::from_millis(500);

/// More small pieces than this are joined: each takes more memory than its bytes.
const MOST_PIECES: usize = 512;

/// One reader's place in a body under way.
pub(super) struct Reader {
    transfer: Arc<Transfer>,
    role: Role,
    at: u64,
    /// A chunk on its way from the store.
    chunk: Option<Mutex<Chunk>>,
    /// Nobody ever locks it: a response's body must be `Sync`.
    alone: Mutex<Alone>,
    /// Nothing comes after an error.
    failed: bool,
}

/// Whether a reader can go on by itself.
enum Alone {
    Impossible,
    Possible {
        resume: Box<dyn Resume>,
        progress: Progress,
        /// Ends when the leader has held it up for long enough.
        held_up: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    },
    Begun(Rest),
}

type Chunk = Pin<Box<dyn Future<Output = Result<Bytes, Error>> + Send>>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Leads,
    Follows,
}

/// What a reader gets.
pub(super) enum Piece {
    Bytes(Bytes),
    End,
    /// The store failed, or what it holds was changed.
    Failed(Error),
    /// The network failed.
    Broken,
}

impl Reader {
    pub(super) fn new(transfer: Arc<Transfer>, role: Role) -> Self {
        if role == Role::Follows {
            transfer.state().followers += 1;
        }
        let alone = Mutex::new(Alone::Impossible);
        Self { transfer, role, at: 0, chunk: None, alone, failed: false }
    }

    /// Where the transfer fails it, or holds it up, this reader goes on by itself.
    pub(super) fn go_on_with(&mut self, resume: Box<dyn Resume>) {
        let progress = Progress::default();
        *self.alone() = Alone::Possible { resume, progress, held_up: None };
    }

    fn alone(&mut self) -> &mut Alone {
        self.alone.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends the reader's own request, where that is possible.
    fn leave(&mut self) -> bool {
        let alone = std::mem::replace(self.alone(), Alone::Impossible);
        let Alone::Possible { resume, progress, .. } = alone else { return false };
        let like = Like::of(&self.transfer.keep.entry, self.transfer.length);
        *self.alone() = Alone::Begun(rest(resume, progress, like));
        true
    }

    /// What comes instead of a failure of the transfer.
    fn failed_by(&mut self, piece: Piece) -> Option<Piece> {
        if self.leave() { None } else { Some(piece) }
    }

    /// Whether the leader has held this reader up for too long.
    fn is_held_up(&mut self, context: &mut Context<'_>) -> bool {
        let Alone::Possible { resume, held_up, .. } = self.alone() else { return false };
        let pause = held_up.get_or_insert_with(|| resume.pause(HELD_UP));
        pause.as_mut().poll(context).is_ready()
    }

    /// How many bytes are still to come, where that is known.
    pub(super) fn left(&self) -> Option<u64> {
        self.transfer.length.map(|length| length.saturating_sub(self.at))
    }

    /// Whether it has read everything, and knows it.
    pub(super) fn is_done(&self) -> bool {
        let state = self.transfer.state();
        state.end == Some(End::Complete) && self.at == state.to && state.trailers.is_none()
    }

    /// Whether what comes is being stored.
    pub(super) fn is_stored(&self) -> bool {
        self.transfer.state().stored.stopped.is_none()
    }

    /// What came after the body.
    pub(super) fn take_trailers(&self) -> Option<HeaderMap> {
        self.transfer.state().trailers.take()
    }

    /// The network's error, for whoever comes first.
    pub(super) fn take_failure<E: 'static>(&self) -> Option<E> {
        let failure = self.transfer.state().failure.take()?;
        failure.downcast().ok().map(|error| *error)
    }

    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        if self.failed {
            return Poll::Ready(Piece::End);
        }
        let piece = ready!(self.poll_next(context));
        self.failed = matches!(piece, Piece::Failed(_) | Piece::Broken);
        Poll::Ready(piece)
    }

    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Piece> {
        loop {
            if let Alone::Begun(rest) = self.alone() {
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
                    Ok(chunk) => return Poll::Ready(self.advance(chunk.slice(place(self.at).1..))),
                    Err(error) => match self.failed_by(Piece::Failed(error)) {
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
                        if let Some(failed) = self.failed_by(Piece::Failed(left_behind())) {
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
                    match self.failed_by(Piece::Broken) {
                        Some(broken) => return Poll::Ready(broken),
                        None => continue,
                    }
                }
                None => {}
            }
            // Whoever asks may go away, and the others must hear of what comes.
            self.transfer.readers.register(context.waker());
            if self.role == Role::Follows && state.is_full() {
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
            state.take_in(step.unwrap_or(Step::End), self.transfer.length);
            drop(state);
            self.transfer.readers.wake_others(context.waker());
        }
    }

    fn advance(&mut self, piece: Bytes) -> Piece {
        self.at += piece.len() as u64;
        if let Alone::Possible { progress, .. } = self.alone() {
            progress.took(&piece);
        }
        if self.role == Role::Leads {
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

    /// Reads the chunk in which the next byte lies. None of those that can be read before the end is the last.
    fn read(&self, body: BodyId) -> Chunk {
        let transfer = Arc::clone(&self.transfer);
        let index = place(self.at).0;
        Box::pin(async move {
            let stages = transfer.cache.vault.stages.ids();
            let head = BodyHead { id: body, length: u64::MAX, stages, chunks: u32::MAX };
            transfer.cache.chunk(&transfer.keep.key, &head, index).await
        })
    }
}

/// The transfer goes on without this reader, if there are others.
impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.transfer.state();
        match self.role {
            Role::Leads => state.leader = None,
            Role::Follows => state.followers -= 1,
        }
        drop(state);
        self.transfer.readers.wake_all();
    }
}

/// Why a reader that follows a response gets no more of it.
pub(crate) fn broken_off() -> Error {
    Error::new(ErrorKind::Gone, "the response broke off while it was passed on to several requests")
        .with_hint("send the request again")
}

fn left_behind() -> Error {
    Error::new(ErrorKind::Gone, "the response turned out not to be stored while several requests read it")
        .with_hint("send the request again")
}

/// Those who wait for the network. They are woken together.
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

    /// All but the one that is awake.
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
