"""The SQLite backend: one file, in the layout of requests-cache."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from logging import getLogger
from os import unlink
from os.path import getsize, isfile
from pathlib import Path
from time import time
from typing import Any

from .._lacre import ConfigError, SealedBuffer
from .._utils import chunkify, get_valid_kwargs
from ..models import CachedResponse
from ..policy import ExpirationTime
from ..serializers import SealedSerializer, SerializerType, pickle_serializer
from ..serializers.sealed import StoreTable
from ._connections import Connections
from ._paths import StrOrPath, create_private, get_cache_path, is_read_only
from .base import BaseCache, BaseStorage, is_tampering

MEMORY_URI = "file::memory:?cache=shared"
#: The parameter limit of a statement in old versions of SQLite.
SQLITE_MAX_VARIABLE_NUMBER = 999

#: The application id of a store of `lacre.Cache` (docs/format.md §8), which must stay separate.
_NATIVE_APPLICATION_ID = 0x4C414352

#: Whether the table exists with all columns and indexes, so that opening needs no write lock.
_TABLE_EXISTS = (
    "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?) WHERE name = 'expires') "
    "AND EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = 'expires_idx')"
)
#: The tables of mappings of this package. Their names are plain words.
_MAPPINGS = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '*[^A-Za-z0-9_]*' "
    "AND 2 = (SELECT count(*) FROM pragma_table_info(sqlite_master.name) AS c "
    "WHERE c.name IN ('key', 'value'))"
)
_SORT_KEYS = {"expires": "expires", "size": "LENGTH(value)", "key": "key"}
_UNEXPIRED = "WHERE expires IS NULL OR expires > ?"

logger = getLogger(__name__)


class SQLiteCache(BaseCache):
    """A cache in a SQLite file.

    Args:
        db_path: The path of the file; `.sqlite` is appended if it has no suffix.
        serializer: A serializer, instead of pickle.
        kwargs: Arguments of `SQLiteDict` and `sqlite3.connect`.
    """

    responses: SQLiteDict
    redirects: SQLiteDict

    def __init__(
        self,
        db_path: StrOrPath = "http_cache",
        serializer: SerializerType | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cache_name=str(db_path), **kwargs)
        chosen: dict[str, Any] = {"serializer": serializer} if serializer else {}
        self.responses = SQLiteDict(db_path, table_name="responses", **chosen, **kwargs)
        self.redirects = _SharedConnectionDict(self.responses, "redirects")

    @property
    def db_path(self) -> str | Path:
        return self.responses.db_path

    def clear(self) -> None:
        """Deletes all responses and redirects. A damaged file is deleted."""
        try:
            super().clear()
        except Exception as error:
            logger.error(
                "the cache cannot be cleared (%s); its file is deleted and created again",
                type(error).__name__,
            )
            self.close()
            if isfile(self.responses.db_path):
                unlink(self.responses.db_path)
            self.responses.init_db()
            self.redirects.init_db()

    def delete(self, *keys: str, expired: bool = False, vacuum: bool = True, **kwargs: Any) -> None:
        """Deletes the responses that match any of the conditions.

        Args:
            keys: Keys of responses.
            expired: Delete expired responses.
            vacuum: Shrink the file, if more than one response was deleted.
            kwargs: Other conditions, as for `BaseCache.delete`.
        """
        self.responses.bulk_delete(keys)
        if expired:
            self.responses.delete_expired()
        if kwargs:
            super().delete(**kwargs)
        else:
            self._prune_redirects()
        if vacuum and (expired or kwargs or len(keys) > 1):
            self.responses.vacuum()

    def _prune_redirects(self) -> None:
        with self.redirects.connection(commit=True) as connection:
            connection.execute(
                "DELETE FROM redirects WHERE value NOT IN (SELECT key FROM responses)"
            )

    def count(self, expired: bool = True) -> int:
        """Returns the number of responses.

        Args:
            expired: Include expired responses.
        """
        return self.responses.count(expired=expired)

    def filter(
        self,
        valid: bool = True,
        expired: bool = True,
        invalid: bool = False,
        older_than: ExpirationTime = None,
    ) -> Iterator[CachedResponse]:
        if valid and not invalid:
            return self.responses.sorted(expired=expired)
        return super().filter(valid, expired, invalid, older_than)

    def recreate_keys(self) -> None:
        with self.responses.bulk_commit():
            super().recreate_keys()

    def sorted(
        self,
        key: str = "expires",
        reversed: bool = False,
        limit: int | None = None,
        expired: bool = True,
    ) -> Iterator[CachedResponse]:
        """Yields the responses in an order.

        Args:
            key: "expires", "size" or "key".
            reversed: Sort in descending order.
            limit: The maximum number of responses.
            expired: Include expired responses.

        Raises:
            ValueError: The sort key is unknown.
        """
        return self.responses.sorted(key, reversed, limit, expired)


#: Sealed values above the first size are read in pieces of the second into a pooled buffer: memory
#: for a whole value, from SQLite and from Python, takes longer to allocate than to read.
_MAX_WHOLE_VALUE, _READ_SIZE = 128 << 10, 64 << 10


class SQLiteDict(Connections, BaseStorage[str, Any]):
    """A mapping in a SQLite table with the columns `key`, `value` and `expires`.

    Threads and forked processes may share it.

    Args:
        db_path: The path of the file; `.sqlite` is appended if it has no suffix.
        table_name: The name of the table.
        busy_timeout: How many milliseconds a statement waits for a lock.
        fast_save: Do not wait for the disk. A crash of the machine may lose the file.
        serializer: The serializer of values.
        use_cache_dir: Put the file in the user's cache directory.
        use_memory: Keep the database in memory.
        use_temp: Put the file in the directory for temporary files.
        wal: Use write-ahead logging, so that reads go on during a write. By default only for
            sealed values.
        kwargs: Arguments of `sqlite3.connect`.
    """

    def __init__(
        self,
        db_path: StrOrPath,
        table_name: str = "http_cache",
        busy_timeout: int | None = None,
        fast_save: bool = False,
        serializer: SerializerType | None = pickle_serializer,
        use_cache_dir: bool = False,
        use_memory: bool = False,
        use_temp: bool = False,
        wal: bool | None = None,
        **kwargs: Any,
    ) -> None:
        self._start()
        super().__init__(serializer=serializer, **kwargs)
        if kwargs.pop("isolation_level", None):
            logger.warning("isolation_level is ignored: every write is its own transaction")
        self.connection_kwargs = get_valid_kwargs(_connect_template, kwargs)
        self.connection_kwargs.setdefault("check_same_thread", False)
        if use_memory:
            self.connection_kwargs["uri"] = True
        self.db_path = _database(db_path, use_cache_dir, use_temp, use_memory)
        self._read_only = False
        self.busy_timeout = busy_timeout
        self.fast_save = fast_save
        self.table_name = table_name
        # requests-cache does not use it, but cannot read sealed values anyway.
        self.wal = isinstance(self.serializer, SealedSerializer) if wal is None else wal
        in_pieces = isinstance(self.serializer, SealedSerializer) and hasattr(
            sqlite3.Connection, "blobopen"
        )
        self._select = _select(
            f"CASE WHEN length(value) <= {_MAX_WHOLE_VALUE} THEN value END"
            if in_pieces
            else "value",
            table_name,
        )
        self.init_db()

    def init_db(self) -> None:
        """Creates the table if absent, and adds the column `expires` to tables from before 1.0."""
        self.close()
        if isinstance(self.db_path, Path):
            self._read_only = is_read_only(self.db_path)
            create_private(self.db_path)
        with self.connection() as connection:
            try:
                self._prepare(connection)
            except sqlite3.OperationalError:
                # The file may be locked; a transaction waits longer.
                with self.connection(commit=True):
                    self._prepare(connection)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA application_id").fetchone() == (_NATIVE_APPLICATION_ID,):
            raise ConfigError(
                f"{self.db_path} is a store of lacre.Cache; choose another file for this session"
            )
        self._prepare_table(connection)
        if isinstance(self.serializer, SealedSerializer):
            self._table_id = StoreTable.of(self._ensure_own_id(connection), self.table_name)

    def _prepare_table(self, connection: sqlite3.Connection) -> None:
        is_there = connection.execute(_TABLE_EXISTS, (self.table_name,)).fetchone()[0]
        if not is_there and not self._read_only:
            self._make_table()

    def _make_table(self) -> None:
        with self.connection(commit=True) as connection:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {self.table_name} "
                "(key TEXT PRIMARY KEY, value BLOB, expires INTEGER)"
            )
            columns = {
                row[1] for row in connection.execute(f"PRAGMA table_info({self.table_name})")
            }
            if "expires" not in columns:
                connection.execute(f"ALTER TABLE {self.table_name} ADD COLUMN expires INTEGER")
            connection.execute(
                f"CREATE INDEX IF NOT EXISTS expires_idx ON {self.table_name}(expires)"
            )

    def _store_id(self, connection: sqlite3.Connection) -> Any:
        """Returns the id of the store; creates it if absent."""
        with suppress(sqlite3.OperationalError):
            if (found := connection.execute("SELECT id FROM lacre_store").fetchone()) is not None:
                return found[0]
        if self._read_only:
            # The store holds no sealed value, and none can be added.
            return os.urandom(16)
        with self.connection(commit=True):
            connection.execute(
                "CREATE TABLE IF NOT EXISTS lacre_store (one INTEGER PRIMARY KEY, id BLOB)"
            )
            connection.execute("INSERT OR IGNORE INTO lacre_store VALUES (1, ?)", (os.urandom(16),))
            return connection.execute("SELECT id FROM lacre_store").fetchone()[0]

    def _ensure_own_id(self, connection: sqlite3.Connection) -> Any:
        """Returns the id of the store.

        A copy of a store that still exists is emptied and gets a new id.
        """
        found = self._store_id(connection)
        if not isinstance(self.db_path, Path) or not isinstance(found, bytes) or len(found) != 16:
            return found
        assert isinstance(self.serializer, SealedSerializer)
        original = self.serializer.original(found, self.db_path)
        if original is None:
            return found
        if self._read_only:
            logger.warning(
                "%s is a copy of %s, which still exists: its entries cannot be opened here",
                self.db_path,
                original,
            )
            return os.urandom(16)
        logger.warning(
            "%s is a copy of %s, which still exists: both have the same id. Copied entries open "
            "only in the original; this copy is emptied and gets a new id",
            self.db_path,
            original,
        )
        with self.connection(commit=True):
            for (table,) in connection.execute(_MAPPINGS).fetchall():
                connection.execute(f'DELETE FROM "{table}"')
            connection.execute("UPDATE lacre_store SET id = ?", (os.urandom(16),))
        found = self._store_id(connection)
        self.serializer.original(found, self.db_path)
        return found

    def _store_table(self) -> StoreTable:
        return self._table_id

    def _connect(self) -> sqlite3.Connection:
        if self._read_only:
            return self._connect_read_only()
        connection: sqlite3.Connection = sqlite3.connect(
            self.db_path, isolation_level=None, **self.connection_kwargs
        )
        if self.busy_timeout is not None:
            connection.execute(f"PRAGMA busy_timeout={int(self.busy_timeout)}")
        ahead = self.wal and _enable_wal(connection)
        # Connections that are bound to a thread cannot be pooled.
        self._is_wal = ahead and not self.connection_kwargs["check_same_thread"]
        if self.fast_save:
            connection.execute("PRAGMA synchronous=OFF")
        elif ahead:
            connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def _connect_read_only(self) -> sqlite3.Connection:
        """Opens a connection to a file that this process may not write."""
        assert isinstance(self.db_path, Path)
        self._is_wal = not self.connection_kwargs["check_same_thread"]
        settings = {**self.connection_kwargs, "uri": True}
        # Reading in WAL mode needs a second file. Without it, nobody has the file open.
        for options in ("mode=ro", "mode=ro&immutable=1"):
            connection: sqlite3.Connection = sqlite3.connect(
                f"{self.db_path.as_uri()}?{options}", isolation_level=None, **settings
            )
            try:
                connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
                break
            except sqlite3.OperationalError:
                connection.close()
                if "immutable" in options:
                    raise
        return connection

    def __getitem__(self, key: str) -> Any:
        row = self._row(self._select, key)
        if row is None:
            raise KeyError(key)
        value = row[0]
        return self.deserialize(key, self._long_value(key) if value is None else value)

    def _long_value(self, key: str) -> Any:
        """Returns a long value, read in pieces if possible."""
        if self._reads_concurrently():
            readers = self._readers
            with suppress(sqlite3.Error):
                connection = self._borrow(readers)
                try:
                    connection.execute("BEGIN")
                    pieces = self._read_into_buffer(connection, key)
                    connection.execute("COMMIT")
                except BaseException:
                    connection.close()
                    raise
                self._return(readers, connection)
                return pieces
        with self.connection() as connection:
            row = connection.execute(_select("value", self.table_name), (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return row[0]

    def _read_into_buffer(self, connection: sqlite3.Connection, key: str) -> SealedBuffer:
        row = connection.execute(_select("rowid", self.table_name), (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        assert isinstance(self.serializer, SealedSerializer)
        with connection.blobopen(self.table_name, "value", row[0], readonly=True) as blob:
            pieces = self.serializer.buffer(len(blob))
            while piece := blob.read(_READ_SIZE):
                pieces.push(piece)
        return pieces

    def __setitem__(self, key: str, value: Any) -> None:
        self._write(key, value)

    def _write(self, key: str, value: Any) -> None:
        row = (key, self.pack(key, value), getattr(value, "expires_unix", None))
        with self.connection(commit=True) as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO {self.table_name} (key, value, expires) VALUES (?, ?, ?)",
                row,
            )

    def __delitem__(self, key: str) -> None:
        with self.connection(commit=True) as connection:
            deleted = connection.execute(
                f"DELETE FROM {self.table_name} WHERE key=?", (key,)
            ).rowcount
        if not deleted:
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        # Fetch all keys first: a key that is written during iteration would appear twice.
        return iter([key for (key,) in self._rows(f"SELECT key FROM {self.table_name}")])

    def __len__(self) -> int:
        return self.count()

    def _rows(self, statement: str, *parameters: Any) -> list[Any]:
        with (
            self.connection() as connection,
            closing(connection.execute(statement, parameters)) as cursor,
        ):
            return cursor.fetchall()

    def bulk_delete(
        self, keys: Iterable[str] | None = None, values: Iterable[Any] | None = None
    ) -> None:
        """Deletes several keys or values. Missing ones are ignored.

        Args:
            keys: The keys.
            values: The values, if there are no keys.
        """
        column, wanted = ("key", list(keys)) if keys else ("value", list(values or ()))
        if not wanted:
            return
        with self.connection(commit=True) as connection:
            for some in chunkify(wanted, SQLITE_MAX_VARIABLE_NUMBER):
                marks = ",".join("?" * len(some))
                connection.execute(
                    f"DELETE FROM {self.table_name} WHERE {column} IN ({marks})", some
                )

    def delete_expired(self) -> None:
        """Deletes expired values."""
        with self.connection(commit=True) as connection:
            connection.execute(
                f"DELETE FROM {self.table_name} WHERE expires <= ?", (round(time()),)
            )

    def clear(self) -> None:
        with self.connection():
            with self.connection(commit=True) as connection:
                connection.execute(f"DROP TABLE IF EXISTS {self.table_name}")
            self.init_db()
            self.vacuum()

    def count(self, expired: bool = True) -> int:
        """Returns the number of values.

        Args:
            expired: Include expired values.
        """
        condition, parameters = ("", ()) if expired else (_UNEXPIRED, (time(),))
        rows = self._rows(f"SELECT COUNT(key) FROM {self.table_name} {condition}", *parameters)
        return int(rows[0][0])

    def size(self) -> int:
        """Returns the size of the file in bytes; in memory, that of its pages."""
        try:
            return getsize(self.db_path)
        except OSError:
            return int(self._rows("PRAGMA page_count")[0][0] * self._rows("PRAGMA page_size")[0][0])

    def sorted(
        self,
        key: str = "expires",
        reversed: bool = False,
        limit: int | None = None,
        expired: bool = True,
    ) -> Iterator[Any]:
        """Yields the values in an order. Values that cannot be read are skipped.

        Args:
            key: "expires", "size" or "key".
            reversed: Sort in descending order.
            limit: The maximum number of values.
            expired: Include expired values.

        Raises:
            ValueError: The sort key is unknown.
        """
        if key not in _SORT_KEYS:
            raise ValueError(f"Invalid sort key: {key}")
        condition, parameters = ("", ()) if expired else (_UNEXPIRED, (time(),))
        order = f"ORDER BY {_SORT_KEYS[key]} {'DESC' if reversed else 'ASC'}"
        bound = f"LIMIT {int(limit)}" if limit else ""
        # Fetch all keys first and values one by one: this bounds memory, and keys that are written
        # during iteration do not appear twice.
        keys = self._rows(
            f"SELECT key FROM {self.table_name} {condition} {order} {bound}", *parameters
        )
        for (each,) in keys:
            try:
                value = self[each]
            except KeyError:
                continue
            except Exception as error:
                if not is_tampering(error):
                    raise
                logger.error(
                    "the signature of a stored response is missing or wrong; it is skipped"
                )
                continue
            if value is not None:
                yield value

    def vacuum(self) -> None:
        """Shrinks the file to its content."""
        with self._lock:
            if self._connection is not None:
                if self._active_transaction:
                    # SQLite cannot do this within a transaction.
                    self._connection.commit()
                    self._active_transaction = False
                self._connection.execute("VACUUM")


class _SharedConnectionDict(SQLiteDict):
    """A mapping in another table of an open file, on the same connection."""

    def __init__(self, other: SQLiteDict, table_name: str) -> None:
        # The copied connection state stays unused.
        self.__dict__.update(other.__dict__, table_name=table_name, _connection=None, _readers=[])
        self._other, self._select = other, _select("value", table_name)
        BaseStorage.__init__(self)
        self.init_db()

    def _prepare(self, connection: sqlite3.Connection) -> None:
        self._prepare_table(connection)

    @contextmanager
    def connection(self, commit: bool = False) -> Iterator[sqlite3.Connection]:
        with self._other.connection(commit) as connection:
            yield connection

    def _row(self, statement: str, parameter: Any) -> Any:
        return self._other._row(statement, parameter)

    def vacuum(self) -> None:
        self._other.vacuum()

    def close(self) -> None:
        """Does nothing: the other mapping closes the connection."""


def _select(column: str, table_name: str) -> str:
    return f"SELECT {column} FROM {table_name} WHERE key=?"


def _database(
    db_path: StrOrPath, use_cache_dir: bool, use_temp: bool, use_memory: bool
) -> str | Path:
    """Returns a path, or the name of a database in memory."""
    name = str(db_path)
    if use_memory:
        return MEMORY_URI
    if ":memory:" in name or "mode=memory" in name:
        return name
    return get_cache_path(name if Path(name).suffix else f"{name}.sqlite", use_cache_dir, use_temp)


def _enable_wal(connection: sqlite3.Connection) -> bool:
    """Returns whether WAL mode is on. Only then is `synchronous=NORMAL` safe."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        # The directory is read-only, or another connection changes the mode at the same time.
        logger.warning("write-ahead logging is off: %s", error)
        return False
    return True


def _connect_template(
    timeout: float = 5.0,
    detect_types: int = 0,
    isolation_level: str | None = None,
    check_same_thread: bool = True,
    factory: type[sqlite3.Connection] | None = None,
    cached_statements: int = 100,
    uri: bool = False,
) -> None:
    """Has the signature of `sqlite3.connect`, which `inspect` cannot read."""
