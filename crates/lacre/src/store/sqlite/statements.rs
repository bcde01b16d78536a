//! The SQL statements. Columns that somebody else may have written are compared only after their
//! type and length, which SQLite knows without reading the value.

use super::error::{self, ResultExt};
use super::rows;
use crate::Error;
use crate::store::eviction::EvictionCandidate;
use crate::store::on_disk::{MAX_RECORD_BYTES, malformed_record, random};
use crate::store::{
    LeaseHolder, ORPHAN_AGE, OnChunk, OnRecord, OnRow, Record, Row, Usage, lease_end, unstaged,
};
use lacre_core::{Key, Timestamp};
use lacre_seal::BodyId;
use rusqlite::{Connection, OptionalExtension, Params, Transaction, params};

pub(super) fn lend_record(connection: &Connection, key: &Key, visit: OnRecord<'_>) -> Result<bool, Error> {
    let found = with_record(connection, rows::row_id(key), |there, record| {
        let found = there == *key;
        if found {
            visit(record);
        }
        found
    })?;
    Ok(found.unwrap_or(false))
}

/// Passes up to `limit` rows from id `from` on to `visit`. Returns the id to continue from.
pub(super) fn lend_rows(
    connection: &Connection,
    from: i64,
    limit: usize,
    visit: OnRow<'_>,
) -> Result<Option<Key>, Error> {
    const PAGE: &str = "SELECT id FROM slot WHERE id >= ?1 ORDER BY id LIMIT ?2";
    // One snapshot of the store, so that no lock is met halfway.
    let _snapshot = connection.unchecked_transaction().or_store_error()?;
    let ids = ids(connection, PAGE, params![from, count(limit)])?;
    for id in &ids {
        // Each row by its own query, so that one that cannot be read does not end the page.
        let lent = with_record(connection, *id, |key, record| {
            // A row under the id of another key can never be found: lacre did not write it.
            let ours = rows::row_id(&key) == *id;
            let misplaced = || malformed_record("is stored under the id of another key");
            visit(Row {
                key: if ours { key } else { rows::key_of(*id) },
                record: ours.then_some(record).ok_or_else(misplaced),
            });
        });
        if let Err(error) = lent {
            visit(Row { key: rows::key_of(*id), record: Err(error) });
        }
    }
    Ok(ids.last().filter(|_| ids.len() == limit).map(|id| rows::key_of(*id)))
}

pub(super) fn lend_chunk(
    connection: &Connection,
    body: BodyId,
    index: u32,
    visit: OnChunk<'_>,
) -> Result<bool, Error> {
    let mut statement =
        connection.prepare_cached("SELECT body, n, sealed FROM chunk WHERE id = ?1").or_store_error()?;
    let mut found = statement.query([rows::chunk_id(body, index)]).or_store_error()?;
    let Some(row) = found.next().or_store_error()? else { return Ok(false) };
    if rows::blob(row, 0)? != body.as_bytes() || rows::integer(row, 1)? != i64::from(index) {
        return Ok(false);
    }
    visit(rows::blob(row, 2)?);
    Ok(true)
}

/// Inserts `record`, and removes the previous row and its chunks.
pub(super) fn insert(transaction: &Transaction<'_>, key: &Key, record: Record<'_>) -> Result<(), Error> {
    const INSERT: &str = "INSERT OR REPLACE INTO slot (id, key, body, chunks, expires, written, sealed) \
                          VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let Record { body, chunks, expires, written, sealed } = record;
    let values = params![
        rows::row_id(key),
        key.as_bytes(),
        rows::body_column(body.as_ref()),
        chunks,
        expires.as_millis(),
        written.as_millis(),
        readable(sealed)?
    ];
    if let Some(body) = body
        && staged(transaction, body, chunks)? < u64::from(chunks)
    {
        return Err(unstaged());
    }
    let replaced = named_chunks(transaction, rows::row_id(key))?.filter(|(old, _)| Some(*old) != body);
    must_be_one(execute(transaction, INSERT, values)?)?;
    replaced.map_or(Ok(()), |(old, count)| delete_chunks(transaction, old, count).map(drop))
}

/// Replaces the record with this `body` (or with none). `false`: there is no such record.
pub(super) fn update(
    transaction: &Transaction<'_>,
    key: &Key,
    body: Option<BodyId>,
    record: Record<'_>,
) -> Result<bool, Error> {
    const UPDATE: &str = "UPDATE slot SET body = ?4, chunks = ?5, expires = ?6, written = ?7, sealed = ?8 \
                          WHERE id = ?1 AND length(key) = 32 AND key = ?2 AND length(body) = length(?3) AND body = ?3";
    let Record { body: named, chunks, expires, written, sealed } = record;
    let values = params![
        rows::row_id(key),
        key.as_bytes(),
        rows::body_column(body.as_ref()),
        rows::body_column(named.as_ref()),
        chunks,
        expires.as_millis(),
        written.as_millis(),
        readable(sealed)?
    ];
    Ok(execute(transaction, UPDATE, values)? == 1)
}

pub(super) fn insert_chunk(
    transaction: &Transaction<'_>,
    body: BodyId,
    index: u32,
    sealed: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    const INSERT: &str =
        "INSERT OR REPLACE INTO chunk (id, body, n, written, sealed) VALUES (?1, ?2, ?3, ?4, ?5)";
    let id = rows::chunk_id(body, index);
    let values = params![id, body.as_bytes(), index, now.as_millis(), readable(sealed)?];
    must_be_one(execute(transaction, INSERT, values)?)
}

/// Deletes row `id` and its chunks, if its columns are valid. Returns the number of chunks; `None`:
/// there was no such row.
pub(super) fn delete(transaction: &Transaction<'_>, id: i64) -> Result<Option<u64>, Error> {
    let named = named_chunks(transaction, id)?;
    if execute(transaction, "DELETE FROM slot WHERE id = ?1", [id])? == 0 {
        return Ok(None);
    }
    named.map_or(Ok(0), |(body, count)| delete_chunks(transaction, body, count)).map(Some)
}

/// Deletes the first `count` chunks of `body`. Returns how many there were.
pub(super) fn delete_chunks(transaction: &Transaction<'_>, body: BodyId, count: u32) -> Result<u64, Error> {
    const DELETE: &str = "DELETE FROM chunk WHERE id BETWEEN ?1 AND ?2 AND length(body) = 16 AND body = ?3";
    let mut deleted = 0;
    for (first, last) in chunk_ids(body, count) {
        deleted += execute(transaction, DELETE, params![first, last, body.as_bytes()])? as u64;
    }
    Ok(deleted)
}

/// How many of the first `count` chunks of `body` exist.
fn staged(connection: &Connection, body: BodyId, count: u32) -> Result<u64, Error> {
    const COUNT: &str =
        "SELECT count(*) FROM chunk WHERE id BETWEEN ?1 AND ?2 AND length(body) = 16 AND body = ?3";
    let mut there = 0;
    for (first, last) in chunk_ids(body, count) {
        there += number(connection, COUNT, params![first, last, body.as_bytes()])?;
    }
    Ok(there)
}

/// The row ids of the first `count` chunks of `body`, as ranges: `count` may be forged and huge.
fn chunk_ids(body: BodyId, count: u32) -> Vec<(i64, i64)> {
    let Some(last) = count.checked_sub(1) else { return Vec::new() };
    let (first, last) = (rows::chunk_id(body, 0), rows::chunk_id(body, last));
    // Row ids wrap around.
    if first <= last { vec![(first, last)] } else { vec![(first, i64::MAX), (i64::MIN, last)] }
}

/// The body and the number of chunks of row `id`, if its columns are valid.
fn named_chunks(connection: &Connection, id: i64) -> Result<Option<(BodyId, u32)>, Error> {
    const NAMED: &str = "SELECT iif(typeof(body) = 'blob' AND length(body) = 16, body, NULL), \
                         iif(typeof(chunks) = 'integer', chunks, NULL) FROM slot WHERE id = ?1";
    let named = connection
        .prepare_cached(NAMED)
        .and_then(|mut statement| statement.query_row([id], |row| Ok(rows::chunks_named(row))).optional());
    Ok(named.or_store_error()?.flatten())
}

/// Up to `limit` rows from id `from` on that expired before `now`.
pub(super) fn expired(
    connection: &Connection,
    from: i64,
    now: Timestamp,
    limit: usize,
) -> Result<Vec<i64>, Error> {
    const EXPIRED: &str = "SELECT id FROM slot WHERE id >= ?1 AND typeof(expires) = 'integer' AND expires < ?2 \
                           ORDER BY id LIMIT ?3";
    ids(connection, EXPIRED, params![from, now.as_millis(), count(limit)])
}

/// Deletes up to `limit` old chunks that no record refers to. Returns how many.
pub(super) fn delete_orphans(
    transaction: &Transaction<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<usize, Error> {
    const DELETE: &str = "DELETE FROM chunk WHERE id IN (\
                          SELECT id FROM chunk WHERE (typeof(written) != 'integer' OR written < ?1) AND (length(body) != 16 \
                          OR body NOT IN (SELECT body FROM slot WHERE chunks > 0 AND typeof(body) = 'blob' AND length(body) = 16)) \
                          LIMIT ?2)";
    execute(transaction, DELETE, params![now.minus(ORPHAN_AGE).as_millis(), count(limit)])
}

pub(super) fn usage(connection: &Connection) -> Result<Usage, Error> {
    let records = number(connection, "SELECT count(*) FROM slot", [])?;
    Ok(Usage { records, bytes: used_bytes(connection)? })
}

/// A random sample of rows, expired ones first, then by age. Row ids are digests, so neighbours are
/// a fair sample, and no index has to be maintained for it.
pub(super) fn sample(
    connection: &Connection,
    kept: Option<&Key>,
    now: Timestamp,
) -> Result<Vec<EvictionCandidate>, Error> {
    const SAMPLE: &str = "SELECT id, expires < ?3 AS expired FROM (\
                          SELECT id, iif(typeof(expires) = 'integer', expires, 0) AS expires, \
                          iif(typeof(written) = 'integer', written, 0) AS written FROM (\
                          SELECT * FROM (SELECT id, expires, written FROM slot WHERE id >= ?1 ORDER BY id LIMIT 16) UNION ALL \
                          SELECT * FROM (SELECT id, expires, written FROM slot WHERE id < ?1 ORDER BY id LIMIT 16)) \
                          WHERE id IS NOT ?2 LIMIT 16) ORDER BY expired DESC, written";
    let random = random()?.cast_signed();
    let mut statement = connection.prepare_cached(SAMPLE).or_store_error()?;
    let rows = statement.query_map(params![random, kept.map(rows::row_id), now.as_millis()], |row| {
        Ok(EvictionCandidate { key: rows::key_of(row.get(0)?), expired: row.get(1)? })
    });
    rows.or_store_error()?.collect::<Result<_, _>>().or_store_error()
}

/// Whether the lease on `key` is free or held by `holder`.
pub(super) fn may_lease(
    connection: &Connection,
    key: &Key,
    holder: LeaseHolder,
    now: Timestamp,
) -> Result<bool, Error> {
    const TAKEN: &str = "SELECT count(*) FROM lease WHERE id = ?1 AND holder != ?2 AND typeof(until) = 'integer' \
                         AND until > ?3 AND until <= ?4";
    let last = lease_end(Timestamp::MAX, now).as_millis();
    let values = params![rows::row_id(key), holder.as_bytes(), now.as_millis(), last];
    Ok(number(connection, TAKEN, values)? == 0)
}

/// Writes the lease, unless another holder has it.
pub(super) fn lease(
    transaction: &Transaction<'_>,
    key: &Key,
    holder: LeaseHolder,
    until: Timestamp,
    now: Timestamp,
) -> Result<bool, Error> {
    const LEASE: &str = "INSERT OR REPLACE INTO lease (id, holder, until) VALUES (?1, ?2, ?3)";
    if !may_lease(transaction, key, holder, now)? {
        return Ok(false);
    }
    let values = params![rows::row_id(key), holder.as_bytes(), lease_end(until, now).as_millis()];
    must_be_one(execute(transaction, LEASE, values)?).map(|()| true)
}

pub(super) fn release(transaction: &Transaction<'_>, key: &Key, holder: LeaseHolder) -> Result<(), Error> {
    const RELEASE: &str = "DELETE FROM lease WHERE id = ?1 AND holder = ?2";
    execute(transaction, RELEASE, params![rows::row_id(key), holder.as_bytes()]).map(drop)
}

/// Deletes up to `limit` leases that have ended.
pub(super) fn delete_leases(
    transaction: &Transaction<'_>,
    now: Timestamp,
    limit: usize,
) -> Result<(), Error> {
    const DELETE: &str = "DELETE FROM lease WHERE id IN (\
                          SELECT id FROM lease WHERE typeof(until) != 'integer' OR until <= ?1 OR until > ?2 LIMIT ?3)";
    let last = lease_end(Timestamp::MAX, now).as_millis();
    execute(transaction, DELETE, params![now.as_millis(), last, count(limit)]).map(drop)
}

/// A number that changes when another connection writes.
pub(super) fn data_version(connection: &Connection) -> Result<u64, Error> {
    number(connection, "PRAGMA data_version", [])
}

/// Bytes of the pages in use.
pub(super) fn used_bytes(connection: &Connection) -> Result<u64, Error> {
    let pages = number(connection, "PRAGMA page_count", [])?;
    let free = number(connection, "PRAGMA freelist_count", [])?;
    Ok(pages.saturating_sub(free).saturating_mul(number(connection, "PRAGMA page_size", [])?))
}

/// Passes the record of row `id` and its stored key to `visit`; `None`: there is no such row.
fn with_record<T>(
    connection: &Connection,
    id: i64,
    lend: impl FnOnce(Key, Record<'_>) -> T,
) -> Result<Option<T>, Error> {
    const SELECT: &str = "SELECT key, body, chunks, expires, written, sealed FROM slot WHERE id = ?1";
    let mut statement = connection.prepare_cached(SELECT).or_store_error()?;
    let mut found = statement.query([id]).or_store_error()?;
    let Some(row) = found.next().or_store_error()? else { return Ok(None) };
    let (key, record) = rows::record(row)?;
    Ok(Some(lend(key, record)))
}

fn execute(connection: &Connection, sql: &str, values: impl Params) -> Result<usize, Error> {
    connection.prepare_cached(sql).and_then(|mut statement| statement.execute(values)).or_store_error()
}

fn number(connection: &Connection, sql: &str, values: impl Params) -> Result<u64, Error> {
    let number: i64 = connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.query_row(values, |row| row.get(0)))
        .or_store_error()?;
    Ok(number.unsigned_abs())
}

fn ids(connection: &Connection, sql: &str, values: impl Params) -> Result<Vec<i64>, Error> {
    let mut statement = connection.prepare_cached(sql).or_store_error()?;
    let ids = statement.query_map(values, |row| row.get(0)).or_store_error()?;
    ids.collect::<Result<_, _>>().or_store_error()
}

/// A limit as the type of SQLite's `LIMIT`.
fn count(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// Refuses a record that no reader would accept.
fn readable(sealed: &[u8]) -> Result<&[u8], Error> {
    // A row is its columns and a few more bytes.
    const OTHER_COLUMNS: usize = 1024;
    if sealed.len() <= MAX_RECORD_BYTES - OTHER_COLUMNS {
        Ok(sealed)
    } else {
        Err(malformed_record("is longer than the limit for records"))
    }
}

/// A manipulated file can make a write do nothing, which must not look like success.
pub(super) fn must_be_one(rows: usize) -> Result<(), Error> {
    if rows == 1 { Ok(()) } else { Err(error::unusable("a write to the store had no effect")) }
}
