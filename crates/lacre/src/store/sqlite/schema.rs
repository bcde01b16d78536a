//! The schema of a store, and whether a file has it (docs/format.md §8).

use super::error::{self, ResultExt};
use crate::{Error, StoreErrorKind};
use lacre_seal::StoreId;
use rusqlite::{Connection, TransactionBehavior};

/// `LACR`.
const APPLICATION_ID: i32 = 0x4C41_4352;
const USER_VERSION: i32 = 2;

struct Table {
    name: &'static str,
    /// The version of the format that added the table.
    since: i32,
    sql: &'static str,
}

/// The tables with the exact SQL of the format: a table with other SQL may have checks, defaults or
/// generated columns.
const TABLES: [Table; 4] = [
    Table { name: "meta", since: 1, sql: "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL)" },
    Table {
        name: "slot",
        since: 1,
        sql: "CREATE TABLE slot (id INTEGER PRIMARY KEY, key BLOB NOT NULL, body BLOB NOT NULL, chunks INTEGER NOT NULL, \
              expires INTEGER NOT NULL, written INTEGER NOT NULL, sealed BLOB NOT NULL)",
    },
    Table {
        name: "chunk",
        since: 1,
        sql: "CREATE TABLE chunk (id INTEGER PRIMARY KEY, body BLOB NOT NULL, n INTEGER NOT NULL, written INTEGER NOT NULL, \
              sealed BLOB NOT NULL)",
    },
    Table {
        name: "lease",
        since: 2,
        sql: "CREATE TABLE lease (id INTEGER PRIMARY KEY, holder BLOB NOT NULL, until INTEGER NOT NULL)",
    },
];

/// The index that SQLite creates for the primary key of `meta`.
const AUTOMATIC_INDEX: &str = "sqlite_autoindex_meta_1";

/// What a file is.
pub(super) enum Identity {
    /// An empty database.
    Fresh,
    /// A store, the version of its format, and one line for each object that lacre did not create.
    Ours { version: i32, foreign: Vec<String> },
}

/// Inspects a database without changing it. Fails if it is not a store, from a newer version, or
/// altered.
pub(super) fn identify(connection: &Connection) -> Result<Identity, Error> {
    let application = number(connection, "PRAGMA application_id")?;
    let version = number(connection, "PRAGMA user_version")?;
    let objects = objects(connection)?;
    if application == 0 && version == 0 && objects.is_empty() {
        return Ok(Identity::Fresh);
    }
    if application != APPLICATION_ID {
        return Err(error::unusable("the file is another application's SQLite database"));
    }
    if version > USER_VERSION {
        return Err(Error::store(
            StoreErrorKind::TooNew,
            format!("the store has format {version}, this lacre knows up to {USER_VERSION}"),
        )
        .with_hint("use the newer lacre that made it, or choose another store"));
    }
    // A table of a later version shows that the version number was lowered.
    let early =
        |table: &Table| table.since > version && objects.iter().any(|object| object.name == table.name);
    if version < 1 || TABLES.iter().any(early) {
        return Err(error::unusable("the store's format version was altered"));
    }
    for Table { name, sql, .. } in TABLES.iter().filter(|table| table.since <= version) {
        if !objects.iter().any(|object| object.is_table(name, sql)) {
            return Err(error::unusable(format!("the store's table `{name}` is missing or altered")));
        }
    }
    let foreign = objects.iter().filter(|object| !object.is_ours());
    // An index takes part in every write to its table, and can refuse or redirect it. Triggers and
    // views are switched off.
    if foreign.clone().any(|object| object.kind == "index" && is_our_table(&object.table)) {
        return Err(error::unusable("an index was added to one of the store's tables"));
    }
    Ok(Identity::Ours { version, foreign: foreign.map(Object::describe).collect() })
}

/// Creates the tables in an empty database, or updates a store of an earlier version, in one
/// transaction.
pub(super) fn update(connection: &mut Connection) -> Result<(), Error> {
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).or_store_error()?;
    // Another process may have done it meanwhile.
    let there = match identify(&transaction)? {
        Identity::Fresh => 0,
        Identity::Ours { version, .. } => version,
    };
    for table in TABLES.iter().filter(|table| table.since > there) {
        transaction.execute_batch(table.sql).or_store_error()?;
    }
    if there == 0 {
        let id = StoreId::generate()?;
        transaction
            .execute("INSERT INTO meta (name, value) VALUES ('store_id', ?1)", [id.as_bytes()])
            .or_store_error()?;
        transaction.pragma_update(None, "application_id", APPLICATION_ID).or_store_error()?;
    }
    transaction.pragma_update(None, "user_version", USER_VERSION).or_store_error()?;
    transaction.commit().or_store_error()
}

impl Identity {
    /// Whether [`update`] is needed.
    pub(super) fn is_older(&self) -> bool {
        !matches!(self, Self::Ours { version: USER_VERSION, .. })
    }
}

/// Writes the id of the store.
pub(super) fn set_store_id(connection: &Connection, id: StoreId) -> Result<(), Error> {
    connection
        .execute("UPDATE meta SET value = ?1 WHERE name = 'store_id'", [id.as_bytes()])
        .or_store_error()
        .and_then(super::statements::must_be_one)
}

/// The id of the store.
pub(super) fn store_id(connection: &Connection) -> Result<StoreId, Error> {
    let id = connection
        .query_row("SELECT value FROM meta WHERE name = 'store_id'", [], |row| row.get::<_, [u8; 16]>(0));
    id.map(StoreId::from_bytes).map_err(|error| match error::store_error(error) {
        error if error.kind() == crate::ErrorKind::Broken => {
            error::unusable("the store's id is missing or altered")
        }
        error => error,
    })
}

struct Object {
    kind: String,
    name: String,
    table: String,
    sql: String,
}

impl Object {
    fn is_table(&self, name: &str, sql: &str) -> bool {
        self.kind == "table" && self.name == name && self.sql == sql
    }

    fn is_ours(&self) -> bool {
        self.kind == "table" && is_our_table(&self.name)
            || self.kind == "index"
                && self.name == AUTOMATIC_INDEX
                && self.table == "meta"
                && self.sql.is_empty()
    }

    /// One line. Names are quoted and escaped, since an attacker may have chosen them.
    fn describe(&self) -> String {
        let short = |name: &str| name.chars().take(64).collect::<String>();
        format!(
            "{} {:?} on {:?}, without effect",
            short(&self.kind).escape_debug(),
            short(&self.name),
            short(&self.table)
        )
    }
}

fn is_our_table(name: &str) -> bool {
    TABLES.iter().any(|table| table.name == name)
}

fn objects(connection: &Connection) -> Result<Vec<Object>, Error> {
    let mut statement = connection
        .prepare("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY rowid")
        .or_store_error()?;
    let objects = statement.query_map([], |row| {
        Ok(Object { kind: row.get(0)?, name: row.get(1)?, table: row.get(2)?, sql: row.get(3)? })
    });
    objects.or_store_error()?.collect::<Result<_, _>>().or_store_error()
}

fn number(connection: &Connection, pragma: &str) -> Result<i32, Error> {
    connection.query_row(pragma, [], |row| row.get(0)).or_store_error()
}
