//! Converts rows to records and back. The type and size of every value are checked: a row edited to
//! hold another SQL type is refused.

use super::error::ResultExt;
use crate::Error;
use crate::store::Record;
use crate::store::on_disk::malformed_record;
use lacre_core::{Key, Timestamp};
use lacre_seal::BodyId;
use rusqlite::Row;
use rusqlite::types::ValueRef;

/// The row id of a key.
pub(super) fn row_id(key: &Key) -> i64 {
    first_eight(key.as_bytes())
}

/// A key whose [`row_id`] is `id`.
pub(super) fn key_of(id: i64) -> Key {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&id.to_be_bytes());
    Key::from_bytes(bytes)
}

/// The row id of a chunk.
pub(super) fn chunk_id(body: BodyId, index: u32) -> i64 {
    first_eight(body.as_bytes()).wrapping_add(i64::from(index))
}

fn first_eight(bytes: &[u8]) -> i64 {
    bytes.iter().take(8).fold(0, |id, byte| id << 8 | i64::from(*byte))
}

/// The body column of `slot`.
pub(super) fn body_column(body: Option<&BodyId>) -> &[u8] {
    body.map_or(&[], |body| body.as_bytes())
}

/// The record of a row with the columns key, body, chunks, expires, written, sealed, and its key.
pub(super) fn record<'r>(row: &'r Row<'_>) -> Result<(Key, Record<'r>), Error> {
    let key = array(blob(row, 0)?, "a key").map(Key::from_bytes)?;
    let record = Record {
        body: body(blob(row, 1)?)?,
        chunks: chunks(integer(row, 2)?)?,
        expires: Timestamp::from_millis(integer(row, 3)?),
        written: Timestamp::from_millis(integer(row, 4)?),
        sealed: blob(row, 5)?,
    };
    Ok((key, record))
}

/// The body and the number of chunks in columns 0 and 1, if they are valid.
pub(super) fn chunks_named(row: &Row<'_>) -> Option<(BodyId, u32)> {
    let body = body(blob(row, 0).ok()?).ok()??;
    Some((body, chunks(integer(row, 1).ok()?).ok()?))
}

pub(super) fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8], Error> {
    match row.get_ref(column).or_store_error()? {
        ValueRef::Blob(bytes) => Ok(bytes),
        _ => Err(malformed_record("has a value of an unexpected type")),
    }
}

pub(super) fn integer(row: &Row<'_>, column: usize) -> Result<i64, Error> {
    match row.get_ref(column).or_store_error()? {
        ValueRef::Integer(number) => Ok(number),
        _ => Err(malformed_record("has a value of an unexpected type")),
    }
}

fn body(bytes: &[u8]) -> Result<Option<BodyId>, Error> {
    if bytes.is_empty() { Ok(None) } else { array(bytes, "a body id").map(|id| Some(BodyId::from_bytes(id))) }
}

fn chunks(number: i64) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| malformed_record("has an impossible number of chunks"))
}

fn array<const N: usize>(bytes: &[u8], what: &str) -> Result<[u8; N], Error> {
    bytes.try_into().map_err(|_| malformed_record(&format!("has {what} of the wrong length")))
}
