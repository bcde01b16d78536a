"""SQLite connections of one mapping, shared among threads and safe after forks."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any
from weakref import WeakValueDictionary

#: How many seconds a write waits for other writers, other processes included.
LOCK_TIMEOUT = 60.0
#: The same for a write that delays a response; the default of `sqlite3`.
ANSWER_LOCK_TIMEOUT = 5.0

#: The shorter timeout of the current thread, if any.
_thread_timeout = threading.local()

#: The limit of idle read connections of a mapping.
_MAX_READERS = 8

#: All live mappings, for the fork hook.
_alive: WeakValueDictionary[int, Connections] = WeakValueDictionary()

#: Connections of the parent process, which a forked child must not even close.
_abandoned: list[sqlite3.Connection] = []


@contextmanager
def lock_timeout(seconds: float | None) -> Iterator[None]:
    """Limits how long writes of this thread wait; None for the limit of responses."""
    before = getattr(_thread_timeout, "seconds", None)
    _thread_timeout.seconds = ANSWER_LOCK_TIMEOUT if seconds is None else seconds
    try:
        yield
    finally:
        _thread_timeout.seconds = before


def _lock_timeout() -> float:
    seconds: float | None = getattr(_thread_timeout, "seconds", None)
    return LOCK_TIMEOUT if seconds is None else seconds


def is_locked(error: sqlite3.OperationalError) -> bool:
    """Returns whether the error is a lock held by another connection, so that waiting helps."""
    # Python 3.10 has no error codes.
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (5, 6)
    # An error without a message may be a lock.
    return not error.args or "locked" in str(error) or "busy" in str(error)


def _after_fork() -> None:
    for mapping in list(_alive.values()):
        mapping._abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Connections:
    """One connection for writes, used by one thread at a time, and a pool for concurrent reads."""

    db_path: str | Path

    def _start(self) -> None:
        """Initializes the state. Runs first, since `__del__` needs it even if `__init__` fails."""
        self._connection: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.RLock()
        self._active_transaction = False
        #: The thread that runs a transaction.
        self._writer: int | None = None
        #: Whether the file is in WAL mode, so that reads need not wait for writes.
        self._is_wal = False
        _alive[id(self)] = self

    @contextmanager
    def connection(self, commit: bool = False) -> Iterator[sqlite3.Connection]:
        """Lends the write connection to this thread.

        Args:
            commit: Run the block as a transaction.
        """
        begun = monotonic()
        # Another thread of this process may hold it while it waits for another process.
        if not self._lock.acquire(timeout=_lock_timeout() if commit else -1):
            raise sqlite3.OperationalError("database is locked")
        try:
            connection = self._own_connection()
            if commit and not self._active_transaction:
                with self._acquire_sqlite_lock(begun):
                    yield connection
            else:
                yield connection
        finally:
            self._lock.release()

    def _own_connection(self) -> sqlite3.Connection:
        """Returns the write connection, opened if needed. The caller holds the lock."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _abandon(self) -> None:
        """Drops the connections in a forked child without closing them: they are the parent's."""
        # A thread that does not exist in this process may hold the old lock.
        self._lock = threading.RLock()
        _abandoned.extend(self._readers)
        self._readers = []
        if self._connection is not None and isinstance(self.db_path, Path):
            _abandoned.append(self._connection)
            self._connection, self._active_transaction, self._writer = None, False, None

    def _connect(self) -> sqlite3.Connection:
        """Opens a connection."""
        raise NotImplementedError

    @contextmanager
    def _acquire_sqlite_lock(self, begun: float | None = None) -> Iterator[None]:
        """Runs a transaction; `begun` is the start of the wait for other writers."""
        with self._lock:
            connection = self._connection
            assert connection is not None
            self._begin(connection, (monotonic() if begun is None else begun) + _lock_timeout())
            self._active_transaction, self._writer = True, threading.get_ident()
            try:
                yield
                connection.commit()
            except BaseException:
                # SQLite rolls back by itself if the disk is full.
                with suppress(sqlite3.Error):
                    connection.rollback()
                raise
            finally:
                self._active_transaction, self._writer = False, None

    def _begin(self, connection: sqlite3.Connection, deadline: float) -> None:
        """Begins a transaction; waits for other writers until `deadline`."""
        if brief := monotonic() >= deadline:
            (usual,) = connection.execute("PRAGMA busy_timeout").fetchone()
            connection.execute("PRAGMA busy_timeout=0")
        try:
            while True:
                try:
                    connection.execute("BEGIN IMMEDIATE")
                    return
                except sqlite3.OperationalError as error:
                    if not is_locked(error) or monotonic() > deadline:
                        raise
                    sleep(0.0005)
        finally:
            if brief:
                connection.execute(f"PRAGMA busy_timeout={usual}")

    @contextmanager
    def bulk_commit(self) -> Iterator[None]:
        """Runs all writes of a block in one transaction, which is much faster for many writes."""
        with self.connection(commit=True):
            yield

    def close(self) -> None:
        """Closes the connections. They are reopened on use."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
            readers, self._readers = self._readers, []
            for connection in readers:
                connection.close()

    def __del__(self) -> None:
        if self._connection is not None:
            self.close()

    def _row(self, statement: str, parameter: Any) -> Any:
        """Returns the first row of a query with one parameter."""
        # The write connection has the pages it wrote in memory; another one reads them again. Once
        # several threads read, each uses a connection of its own.
        several = bool(self._readers) and self._reads_concurrently()
        if several or not self._lock.acquire(not self._is_wal):
            try:
                readers = self._readers
                connection = self._borrow(readers)
                try:
                    return connection.execute(statement, (parameter,)).fetchone()
                finally:
                    self._return(readers, connection)
            except sqlite3.OperationalError:
                # The table may be re-created at this moment: wait for that.
                self._lock.acquire()
        try:
            connection = self._connection or self._own_connection()
            return connection.execute(statement, (parameter,)).fetchone()
        finally:
            self._lock.release()

    def _reads_concurrently(self) -> bool:
        """Returns whether to read on a pooled connection. A transaction must see its own writes."""
        return self._is_wal and self._writer != threading.get_ident()

    def _borrow(self, readers: list[sqlite3.Connection]) -> sqlite3.Connection:
        """Takes a read connection from the pool, or opens one."""
        try:
            return readers.pop()
        except IndexError:
            return self._connect()

    def _return(self, readers: list[sqlite3.Connection], connection: sqlite3.Connection) -> None:
        # After `close`, the old pool is closed.
        if readers is self._readers and len(readers) < _MAX_READERS:
            readers.append(connection)
        else:
            connection.close()
