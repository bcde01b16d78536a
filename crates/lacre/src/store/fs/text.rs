//! The first line of each file, and the names of files (docs/format.md §12). Each has one canonical
//! form; others are malformed.

use crate::store::{LeaseHolder, Record};
use lacre_core::{Key, Timestamp};
use lacre_seal::{BodyId, StoreId};

/// The line before the envelope in the file of a record. Its fields are hints, like the columns of
/// a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) body: Option<BodyId>,
    pub(super) chunks: u32,
    pub(super) expires: Timestamp,
    pub(super) written: Timestamp,
}

/// The longest line, with its newline.
pub(super) const MAX_LINE: usize = 160;

impl Head {
    pub(super) fn of(record: &Record<'_>) -> Self {
        let Record { body, chunks, expires, written, .. } = *record;
        Self { body, chunks, expires, written }
    }

    pub(super) fn line(&self) -> String {
        let Self { body, chunks, expires, written } = self;
        let body = body.map_or_else(|| "-".to_owned(), |body| body.to_string());
        let (expires, written) = (expires.as_millis(), written.as_millis());
        format!("lacre-slot-v1 body={body} chunks={chunks} expires={expires} written={written}\n")
    }

    pub(super) fn parse(line: &str) -> Option<Self> {
        let [body, chunks, expires, written] =
            fields(line, "lacre-slot-v1", ["body", "chunks", "expires", "written"])?;
        let body = if body == "-" { None } else { Some(BodyId::from_bytes(unhex(body)?)) };
        let head =
            Self { body, chunks: chunks.parse().ok()?, expires: time(expires)?, written: time(written)? };
        (head.line() == line).then_some(head)
    }
}

/// The line of a chunk.
pub(super) fn chunk_line(written: Timestamp) -> String {
    format!("lacre-chunk-v1 written={}\n", written.as_millis())
}

/// When a chunk was written.
pub(super) fn parse_chunk(line: &str) -> Option<Timestamp> {
    let [written] = fields(line, "lacre-chunk-v1", ["written"])?;
    time(written).filter(|written| chunk_line(*written) == line)
}

/// The line of a lease, the only content of its file.
pub(super) fn lease_line(holder: LeaseHolder, until: Timestamp) -> String {
    format!("lacre-lease-v1 holder={} until={}\n", BodyId::from_bytes(*holder.as_bytes()), until.as_millis())
}

/// The holder of a lease, and when it ends.
pub(super) fn parse_lease(line: &str) -> Option<([u8; 16], Timestamp)> {
    let [holder, until] = fields(line, "lacre-lease-v1", ["holder", "until"])?;
    Some((unhex(holder)?, time(until)?))
}

/// The content of the file with the id of the store.
pub(super) fn store_line(id: StoreId) -> String {
    format!("lacre-store-v1 id={id}\n")
}

/// The id of the store, or the version of the format if it is a newer one.
pub(super) fn parse_store(line: &str) -> Option<Result<StoreId, u32>> {
    let (name, _) = line.split_once(' ')?;
    let version = name.strip_prefix("lacre-store-v")?.parse().ok()?;
    if version > 1 {
        return Some(Err(version));
    }
    let [id] = fields(line, "lacre-store-v1", ["id"])?;
    let id = StoreId::from_bytes(unhex(id)?);
    (store_line(id) == line).then_some(Ok(id))
}

/// The first line of a file, and the rest.
pub(super) fn split(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let end = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\n')? + 1;
    let (line, rest) = bytes.split_at(end);
    Some((std::str::from_utf8(line).ok()?, rest))
}

/// The key that a name of 64 digits stands for.
pub(super) fn key(name: &str) -> Option<Key> {
    unhex(name).map(Key::from_bytes)
}

/// The body that a name of 32 digits stands for.
pub(super) fn body(name: &str) -> Option<BodyId> {
    unhex(name).map(BodyId::from_bytes)
}

/// The index of the chunk that a name stands for.
pub(super) fn index(name: &str) -> Option<u32> {
    name.parse().ok().filter(|index: &u32| index.to_string() == name)
}

/// The shard of a name: its first two digits.
pub(super) fn shard(name: &str) -> &str {
    name.get(..2).unwrap_or(name)
}

fn fields<'a, const N: usize>(line: &'a str, kind: &str, names: [&str; N]) -> Option<[&'a str; N]> {
    let mut words = line.strip_suffix('\n')?.split(' ');
    if words.next() != Some(kind) {
        return None;
    }
    let mut values = [""; N];
    for (value, name) in values.iter_mut().zip(names) {
        *value = words.next()?.strip_prefix(name)?.strip_prefix('=')?;
    }
    words.next().is_none().then_some(values)
}

fn time(text: &str) -> Option<Timestamp> {
    text.parse().ok().map(Timestamp::from_millis)
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_back_and_fit_the_limit() {
        for body in [None, Some(BodyId::from_bytes([0xA5; 16]))] {
            let (expires, written) = (Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MIN));
            let head = Head { body, chunks: u32::MAX, expires, written };
            assert_eq!(Head::parse(&head.line()), Some(head));
            assert!(head.line().len() <= MAX_LINE);
            assert_eq!(split((head.line() + "rest").as_bytes()).unwrap().1, b"rest");
        }
        assert_eq!(parse_chunk(&chunk_line(Timestamp::MAX)), Some(Timestamp::MAX));
        let id = StoreId::from_bytes([7; 16]);
        assert_eq!(parse_store(&store_line(id)), Some(Ok(id)));
    }

    #[test]
    fn line_of_another_form_is_malformed() {
        let good = "lacre-slot-v1 body=- chunks=0 expires=1 written=-2\n";
        assert!(Head::parse(good).is_some());
        for (from, to) in [
            ("v1", "v2"),
            ("body=-", "body=00"),
            ("chunks=0", "chunks=00"),
            ("chunks=0", "chunks=+0"),
            ("expires=1", "expires=1 "),
            ("written=-2\n", "written=-2"),
            ("written=-2", "written=-2 more=1"),
            ("expires=1 written=-2", "written=-2 expires=1"),
        ] {
            assert_eq!(Head::parse(&good.replace(from, to)), None, "{to:?}");
        }
        assert_eq!(split(&[b'x'; 1000]), None);
        assert_eq!(parse_store("lacre-store-v2 anything\n"), Some(Err(2)));
        assert!(key(&"A".repeat(64)).is_none() && key(&"a".repeat(63)).is_none());
        assert!(index("01").is_none() && index("+1").is_none() && index("7") == Some(7));
    }
}
