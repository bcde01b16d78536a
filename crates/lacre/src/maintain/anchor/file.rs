//! The file of an anchor, written and read as a stream (docs/format.md §11).

use crate::storage::times::store_time;
use crate::storage::vault::Vault;
use crate::{Error, ErrorKind};
use lacre_core::Key;
use lacre_seal::{AnchorId, Authentic, Context, FaultKind, Lifetime, Position, Purpose, StoreId, UnixMillis};
use std::io::{self, Read, Write};

const MAGIC: &[u8; 16] = b"lacre-anchor-v1\n";
/// The most rows of a piece.
const ROWS_PER_PIECE: usize = 1024;
/// The length of a row version with its key, in bytes.
const ROW_LENGTH: usize = 32 + 8 + 8 + 32;
/// The longest piece in bytes: all of its rows, and more than enough for its header and tags.
const MAX_PIECE: usize = ROWS_PER_PIECE * ROW_LENGTH + 4096;

/// A row's version in an anchor.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct RowVersion {
    pub(crate) created: UnixMillis,
    pub(crate) not_after: UnixMillis,
    pub(crate) commitment: [u8; 32],
}

/// Writes row versions, by ascending key.
pub(crate) struct Writer<'a> {
    vault: &'a Vault,
    out: &'a mut (dyn Write + Send),
    at: UnixMillis,
    place: PieceContext,
    marks: Vec<u8>,
}

/// The context that the next piece is sealed to.
struct PieceContext {
    store: StoreId,
    anchor: AnchorId,
    index: u32,
}

impl PieceContext {
    fn context<'a>(&'a self, namespace: &'a str, position: Position) -> Context<'a> {
        let purpose = Purpose::Anchor { anchor: self.anchor, index: self.index, position };
        Context { purpose, store: &self.store, namespace, key: &[0; 32] }
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.index = self.index.checked_add(1).ok_or_else(|| damaged("has too many pieces"))?;
        Ok(())
    }
}

impl<'a> Writer<'a> {
    pub(crate) fn start(
        vault: &'a Vault,
        out: &'a mut (dyn Write + Send),
        at: UnixMillis,
    ) -> Result<Self, Error> {
        let place = PieceContext { store: vault.store_id, anchor: AnchorId::generate()?, index: 0 };
        for part in [&MAGIC[..], place.store.as_bytes(), place.anchor.as_bytes()] {
            out.write_all(part).map_err(unwritable)?;
        }
        Ok(Self { vault, out, at, place, marks: Vec::with_capacity(ROWS_PER_PIECE * ROW_LENGTH) })
    }

    pub(crate) fn push(&mut self, key: &Key, mark: RowVersion) -> Result<(), Error> {
        if self.marks.len() == ROWS_PER_PIECE * ROW_LENGTH {
            self.write_piece(Position::Inner)?;
        }
        self.marks.extend_from_slice(key.as_bytes());
        self.marks.extend_from_slice(&mark.created.as_millis().to_be_bytes());
        self.marks.extend_from_slice(&mark.not_after.as_millis().to_be_bytes());
        self.marks.extend_from_slice(&mark.commitment);
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Result<(), Error> {
        self.write_piece(Position::Last)?;
        self.out.flush().map_err(unwritable)
    }

    fn write_piece(&mut self, position: Position) -> Result<(), Error> {
        let at = self.place.context(&self.vault.namespace, position);
        let piece = self.vault.sensitive_sealer.seal(&at, Lifetime::unbounded(self.at), &[], &self.marks)?;
        // A piece is shorter than MAX_PIECE.
        let length = piece.len() as u32;
        self.out
            .write_all(&length.to_be_bytes())
            .and_then(|()| self.out.write_all(&piece))
            .map_err(unwritable)?;
        self.marks.clear();
        self.place.advance()
    }
}

/// Reads marks, which come by ascending key.
pub(crate) struct Reader<'a> {
    vault: &'a Vault,
    input: &'a mut (dyn Read + Send),
    place: PieceContext,
    at: UnixMillis,
    now: UnixMillis,
    /// The piece that follows, as it was read; `None`: there is none.
    following: Option<Vec<u8>>,
    marks: Option<Authentic>,
    /// How many bytes of `marks` were taken.
    taken: usize,
    last: Option<Key>,
}

impl<'a> Reader<'a> {
    pub(crate) fn start(
        vault: &'a Vault,
        input: &'a mut (dyn Read + Send),
        now: UnixMillis,
    ) -> Result<Self, Error> {
        let mut start = [0; MAGIC.len() + 16 + 16];
        read_exactly(input, &mut start)?;
        let (magic, ids) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(damaged("does not start like one"));
        }
        let id = |from: usize| {
            let mut id = [0; 16];
            id.copy_from_slice(&ids[from..from + 16]);
            id
        };
        let place = PieceContext {
            store: StoreId::from_bytes(id(0)),
            anchor: AnchorId::from_bytes(id(16)),
            index: 0,
        };
        let foreign = place.store != vault.store_id;
        let following = read_piece(input)?;
        let at = UnixMillis::from_millis(0);
        let mut reader = Self { vault, input, place, at, now, following, marks: None, taken: 0, last: None };
        reader.open_piece()?;
        if foreign { Err(another_store()) } else { Ok(reader) }
    }

    /// When the anchor was begun.
    pub(crate) fn at(&self) -> UnixMillis {
        self.at
    }

    pub(crate) fn next(&mut self) -> Result<Option<(Key, RowVersion)>, Error> {
        loop {
            let Some(marks) = &self.marks else { return Ok(None) };
            if let Some((mark, _)) = marks.as_bytes()[self.taken..].split_first_chunk::<ROW_LENGTH>() {
                let (key, mark) = parse(mark);
                if self.last >= Some(key) {
                    return Err(damaged("is out of order"));
                }
                (self.taken, self.last) = (self.taken + ROW_LENGTH, Some(key));
                return Ok(Some((key, mark)));
            }
            if self.taken < marks.len() {
                return Err(damaged("has a mark that was cut"));
            }
            self.open_piece()?;
        }
    }

    /// Goes on to the next piece. Whether it is the last one is sealed, and shown by what follows
    /// it.
    fn open_piece(&mut self) -> Result<(), Error> {
        let first = self.place.index == 0;
        let Some(piece) = self.following.take() else {
            self.marks = None;
            return if first { Err(damaged("was cut short")) } else { Ok(()) };
        };
        self.following = read_piece(self.input)?;
        let position = if self.following.is_some() { Position::Inner } else { Position::Last };
        let at = self.place.context(&self.vault.namespace, position);
        let opened = self.vault.any_suite.open(&at, &piece, self.now).map_err(|fault| {
            let error = match fault.kind() {
                // It may be of another namespace of this store.
                FaultKind::BadCommitment => self.vault.misplaced(&at, &piece, fault, store_time(self.now)),
                _ => fault.into(),
            };
            error.with_context("the anchor")
        })?;
        if first {
            self.at = opened.seal.created;
        }
        (self.marks, self.taken) = (Some(opened.body), 0);
        self.place.advance()
    }
}

/// `None`: the file ends here.
fn read_piece(input: &mut dyn Read) -> Result<Option<Vec<u8>>, Error> {
    let mut length = [0; 4];
    let mut read = 0;
    while read < length.len() {
        match input.read(&mut length[read..]) {
            Ok(0) if read == 0 => return Ok(None),
            Ok(0) => return Err(damaged("was cut short")),
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(unreadable(error)),
        }
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_PIECE {
        return Err(damaged("has a piece that is too long"));
    }
    let mut piece = vec![0; length];
    read_exactly(input, &mut piece)?;
    Ok(Some(piece))
}

fn read_exactly(input: &mut dyn Read, out: &mut [u8]) -> Result<(), Error> {
    input.read_exact(out).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => damaged("was cut short"),
        _ => unreadable(error),
    })
}

fn parse(mark: &[u8; ROW_LENGTH]) -> (Key, RowVersion) {
    let (mut key, mut times, mut commitment) = ([0; 32], [[0; 8]; 2], [0; 32]);
    key.copy_from_slice(&mark[..32]);
    times.as_flattened_mut().copy_from_slice(&mark[32..48]);
    commitment.copy_from_slice(&mark[48..]);
    let [created, not_after] = times.map(|millis| UnixMillis::from_millis(u64::from_be_bytes(millis)));
    (Key::from_bytes(key), RowVersion { created, not_after, commitment })
}

fn damaged(how: &str) -> Error {
    Error::new(ErrorKind::Tampered, format!("the anchor {how}"))
        .with_hint("use an anchor as `lacre anchor` wrote it")
}

fn another_store() -> Error {
    Error::new(ErrorKind::Tampered, "the anchor is of another store, whose place this one took")
        .with_hint("if that was you, write a new anchor")
}

fn unwritable(error: io::Error) -> Error {
    Error::new(ErrorKind::Io, "the anchor cannot be written").with_source(error)
}

fn unreadable(error: io::Error) -> Error {
    Error::new(ErrorKind::Io, "the anchor cannot be read").with_source(error)
}
