"""Responses in a file of SQLite, as requests-cache has it."""

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

from .._lacre import ConfigError, Pieces
from .._utils import chunkify, get_valid_kwargs
from ..models import CachedResponse
from ..policy import ExpirationTime
from ..serializers import SealedSerializer, SerializerType, pickle_serializer
from ..serializers.sealed import Place
from ._connections import Connections
from ._paths import StrOrPath, create_private, get_cache_path, is_read_only
from .base import BaseCache, BaseStorage, is_tampering

MEMORY_URI = "file::memory:?cache=shared"
#: How many parameters a statement may have in the oldest versions of SQLite.
SQLITE_MAX_VARIABLE_NUMBER = 999

#: What marks a file of the Rust engine (docs/format.md §8), in which nothing of this package may lie.
_NATIVE_STORE = 0x4C414352

#: Whether there is a table as it is made today. Only then need nobody wait until they may write.
_IS_THERE = (
    "SELECT EXISTS (SELECT 1 FROM pragma_table_info(?) WHERE name = 'expires') "
    "AND EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'index' AND name = 'expires_idx')"
)
#: The tables that are mappings of this package. Whose name is no plain word is none.
_MAPPINGS = (
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB '*[^A-Za-z0-9_]*' "
    "AND 2 = (SELECT count(*) FROM pragma_table_info(sqlite_master.name) AS c WHERE c.name IN ('key', 'value'))"
)
_SORT_KEYS = {"expires": "expires", "size": "LENGTH(value)", "key": "key"}
_UNEXPIRED = "WHERE expires IS NULL OR expires > ?"

logger = getLogger(__name__)


class SQLiteCache(BaseCache):
    """A cache in a file of SQLite.

    Args:
        db_path: the file; `.sqlite` is added if it has no suffix
        serializer: instead of pickle
        use_cache_dir: below the user's folder for caches
        use_temp: below that for temporary files
        use_memory: in memory
        busy_timeout: milliseconds that a statement waits for a lock
        fast_save: do not wait for the disk; a crash of the machine may lose the file
        wal: let reading go on while somebody writes; by default, where what is stored is sealed
        kwargs: what `sqlite3.connect` takes
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
        self.redirects = _TableBeside(self.responses, "redirects")

    @property
    def db_path(self) -> str | Path:
        return self.responses.db_path

    def clear(self) -> None:
        """Deletes everything; with the file, if that is damaged."""
        try:
            super().clear()
        except Exception as error:
            logger.error(
                "the cache cannot be cleared (%s); its file is made anew", type(error).__name__
            )
            self.close()
            if isfile(self.responses.db_path):
                unlink(self.responses.db_path)
            self.responses.init_db()
            self.redirects.init_db()

    def delete(self, *keys: str, expired: bool = False, vacuum: bool = True, **kwargs: Any) -> None:
        """As `BaseCache.delete`, in SQL where it can be.

        Args:
            vacuum: give the space back to the file system, if it may be much
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
        """How many responses there are, with or without those that have expired."""
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
        """The responses in an order.

        Args:
            key: `expires`, `size` or `key`
            reversed: from the last to the first
            limit: so many at most
            expired: also those that have expired

        Raises:
            ValueError: there is no such order
        """
        return self.responses.sorted(key, reversed, limit, expired)


#: Bytes beyond which what is sealed is read piece by piece, and how long a piece is: SQLite and Python would each have memory for all of it
#: anew, which takes longer than to read it.
_LONG, _PIECE = 128 << 10, 64 << 10


class SQLiteDict(Connections, BaseStorage[str, Any]):
    """A mapping that is a table of SQLite: `key`, `value`, and `expires` in seconds since 1970.

    It may be used by many threads, and in the children of a fork.

    Args:
        db_path: the file
        table_name: the table in it
        kwargs: what `SQLiteCache` takes
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
            logger.warning("isolation_level is ignored: every write is a transaction of its own")
        self.connection_kwargs = get_valid_kwargs(_connect_template, kwargs)
        self.connection_kwargs.setdefault("check_same_thread", False)
        if use_memory:
            self.connection_kwargs["uri"] = True
        self.db_path = _database(db_path, use_cache_dir, use_temp, use_memory)
        self._read_only = False
        self.busy_timeout = busy_timeout
        self.fast_save = fast_save
        self.table_name = table_name
        # requests-cache does not; but what is sealed is not for it to read.
        self.wal = isinstance(self.serializer, SealedSerializer) if wal is None else wal
        in_pieces = isinstance(self.serializer, SealedSerializer) and hasattr(
            sqlite3.Connection, "blobopen"
        )
        self._select = _select(
            f"CASE WHEN length(value) <= {_LONG} THEN value END" if in_pieces else "value",
            table_name,
        )
        self.init_db()

    def init_db(self) -> None:
        """Makes the table, if there is none; those of before 1.0 had no `expires`."""
        self.close()
        if isinstance(self.db_path, Path):
            self._read_only = is_read_only(self.db_path)
            create_private(self.db_path)
        with self.connection() as connection:
            try:
                self._prepare(connection)
            except sqlite3.OperationalError:
                # Perhaps it is locked, and whoever wants to write waits longer.
                with self.connection(commit=True):
                    self._prepare(connection)

    def _prepare(self, connection: sqlite3.Connection) -> None:
        if connection.execute("PRAGMA application_id").fetchone() == (_NATIVE_STORE,):
            raise ConfigError(
                f"{self.db_path} is a store of lacre.Cache; give this session a file of its own"
            )
        self._prepare_table(connection)
        if isinstance(self.serializer, SealedSerializer):
            self._sealed_at = Place.of(self._own_id(connection), self.table_name)

    def _prepare_table(self, connection: sqlite3.Connection) -> None:
        is_there = connection.execute(_IS_THERE, (self.table_name,)).fetchone()[0]
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
        """What the store keeps as its id; given to it, if it has none."""
        with suppress(sqlite3.OperationalError):
            if (found := connection.execute("SELECT id FROM lacre_store").fetchone()) is not None:
                return found[0]
        if self._read_only:
            # Nothing here is sealed, and nothing will be.
            return os.urandom(16)
        with self.connection(commit=True):
            connection.execute(
                "CREATE TABLE IF NOT EXISTS lacre_store (one INTEGER PRIMARY KEY, id BLOB)"
            )
            connection.execute("INSERT OR IGNORE INTO lacre_store VALUES (1, ?)", (os.urandom(16),))
            return connection.execute("SELECT id FROM lacre_store").fetchone()[0]

    def _own_id(self, connection: sqlite3.Connection) -> Any:
        """The id of the store; a new one, and nothing else in it, where it is a copy of another that is still there."""
        found = self._store_id(connection)
        if not isinstance(self.db_path, Path) or not isinstance(found, bytes) or len(found) != 16:
            return found
        assert isinstance(self.serializer, SealedSerializer)
        original = self.serializer.original(found, self.db_path)
        if original is None:
            return found
        if self._read_only:
            logger.warning(
                "%s is a copy of %s, which is still there: nothing in it opens here",
                self.db_path,
                original,
            )
            return os.urandom(16)
        logger.warning(
            "%s has the id of %s, which is still there: one is a copy of the other. What was copied opens only there; "
            "this one is emptied and gets an id of its own",
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

    def _place(self) -> Place:
        return self._sealed_at

    def _connect(self) -> sqlite3.Connection:
        if self._read_only:
            return self._connect_read_only()
        connection: sqlite3.Connection = sqlite3.connect(
            self.db_path, isolation_level=None, **self.connection_kwargs
        )
        if self.busy_timeout is not None:
            connection.execute(f"PRAGMA busy_timeout={int(self.busy_timeout)}")
        ahead = self.wal and _write_ahead(connection)
        # Connections that are bound to a thread are not handed from one to another.
        self._ahead = ahead and not self.connection_kwargs["check_same_thread"]
        if self.fast_save:
            connection.execute("PRAGMA synchronous=OFF")
        elif ahead:
            connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    def _connect_read_only(self) -> sqlite3.Connection:
        """A connection to a file that this process may not change."""
        assert isinstance(self.db_path, Path)
        self._ahead = not self.connection_kwargs["check_same_thread"]
        settings = {**self.connection_kwargs, "uri": True}
        # A file that is written ahead cannot be read without another beside it. Where that is missing, nobody has the file open.
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
        """The value under a key, in pieces if it can be."""
        if self._reads_beside():
            readers = self._readers
            with suppress(sqlite3.Error):
                connection = self._borrow(readers)
                try:
                    connection.execute("BEGIN")
                    pieces = self._pieces(connection, key)
                    connection.execute("COMMIT")
                except BaseException:
                    connection.close()
                    raise
                self._give_back(readers, connection)
                return pieces
        with self.connection() as connection:
            row = connection.execute(_select("value", self.table_name), (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return row[0]

    def _pieces(self, connection: sqlite3.Connection, key: str) -> Pieces:
        row = connection.execute(_select("rowid", self.table_name), (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        assert isinstance(self.serializer, SealedSerializer)
        with connection.blobopen(self.table_name, "value", row[0], readonly=True) as blob:
            pieces = self.serializer.pieces(len(blob))
            while piece := blob.read(_PIECE):
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
        # All at once: what is written meanwhile would come again.
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
        """Deletes what is there of `keys`, or of `values`."""
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
        """Deletes what has expired."""
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
        """How many there are, with or without those that have expired."""
        condition, parameters = ("", ()) if expired else (_UNEXPIRED, (time(),))
        rows = self._rows(f"SELECT COUNT(key) FROM {self.table_name} {condition}", *parameters)
        return int(rows[0][0])

    def size(self) -> int:
        """The size of the file, in bytes; of its pages, if it is in memory."""
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
        """See `SQLiteCache.sorted`. What cannot be read is left out."""
        if key not in _SORT_KEYS:
            raise ValueError(f"Invalid sort key: {key}")
        condition, parameters = ("", ()) if expired else (_UNEXPIRED, (time(),))
        order = f"ORDER BY {_SORT_KEYS[key]} {'DESC' if reversed else 'ASC'}"
        bound = f"LIMIT {int(limit)}" if limit else ""
        # The keys at once and the values one by one: memory is bounded, and what is written meanwhile
        # comes neither twice nor for ever.
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
                logger.error("a stored response is not signed as it should be")
                continue
            if value is not None:
                yield value

    def vacuum(self) -> None:
        """Gives space back to the file system."""
        with self._lock:
            if self._connection is not None:
                if self._active_transaction:
                    # It cannot be done within one.
                    self._connection.commit()
                    self._active_transaction = False
                self._connection.execute("VACUUM")


class _TableBeside(SQLiteDict):
    """A mapping that is another table in the file of one that is open: on its connection, and in its transactions."""

    def __init__(self, other: SQLiteDict, table_name: str) -> None:
        # Whatever it has of a connection of its own stays unused: a copy of what the other had when it was made.
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
        """Does nothing: the connection is the other one's."""


def _select(column: str, table_name: str) -> str:
    return f"SELECT {column} FROM {table_name} WHERE key=?"


def _database(
    db_path: StrOrPath, use_cache_dir: bool, use_temp: bool, use_memory: bool
) -> str | Path:
    """A path, or what SQLite takes for one in memory."""
    name = str(db_path)
    if use_memory:
        return MEMORY_URI
    if ":memory:" in name or "mode=memory" in name:
        return name
    return get_cache_path(name if Path(name).suffix else f"{name}.sqlite", use_cache_dir, use_temp)


def _write_ahead(connection: sqlite3.Connection) -> bool:
    """Whether the file could be made to be written ahead. Only then is it safe to wait less for the disk."""
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    except sqlite3.OperationalError as error:
        # In a directory that is read only, or while others are about it, it goes without.
        logger.warning("the file is not written ahead: %s", error)
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
    """The arguments of `sqlite3.connect`, which does not tell them itself."""
