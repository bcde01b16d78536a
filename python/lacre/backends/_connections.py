"""The connections of a mapping to its file of SQLite, among threads and after forks."""

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

#: Seconds that a write waits for others, in other processes too, until it gives up.
LOCK_PATIENCE = 60.0
#: The same for what is stored on the way of an answer, which is worth more than that it is stored. As long as `sqlite3` waits by default.
ANSWER_PATIENCE = 5.0

#: How long this thread waits, where it does not wait as long as that.
_impatient = threading.local()

#: How many connections of a mapping wait for somebody who reads.
_MOST_READERS = 8

#: Every mapping that is alive, and has to know of a fork.
_alive: WeakValueDictionary[int, Connections] = WeakValueDictionary()

#: Connections of the process that this one was forked from.
_abandoned: list[sqlite3.Connection] = []


@contextmanager
def waiting(seconds: float | None) -> Iterator[None]:
    """Lets writes of this thread wait for others so long; `None`: as long as an answer may."""
    before = getattr(_impatient, "seconds", None)
    _impatient.seconds = ANSWER_PATIENCE if seconds is None else seconds
    try:
        yield
    finally:
        _impatient.seconds = before


def _patience() -> float:
    seconds: float | None = getattr(_impatient, "seconds", None)
    return LOCK_PATIENCE if seconds is None else seconds


def is_locked(error: sqlite3.OperationalError) -> bool:
    """Whether somebody else has the file, so that waiting helps."""
    # Python 3.10 has no codes.
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in (5, 6)
    # One that says nothing may be anything.
    return not error.args or "locked" in str(error) or "busy" in str(error)


def _after_fork() -> None:
    for mapping in list(_alive.values()):
        mapping._abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


class Connections:
    """One connection that writes, for one thread at a time, and some on which others read meanwhile."""

    db_path: str | Path

    def _start(self) -> None:
        """Before anything else: what is made only in part is closed, too."""
        self._connection: sqlite3.Connection | None = None
        self._readers: list[sqlite3.Connection] = []
        self._lock = threading.RLock()
        self._active_transaction = False
        #: The thread that is in a transaction.
        self._writer: int | None = None
        #: Whether who reads need not wait for others: the file is written ahead.
        self._ahead = False
        _alive[id(self)] = self

    @contextmanager
    def connection(self, commit: bool = False) -> Iterator[sqlite3.Connection]:
        """The connection, for this thread alone meanwhile; in a transaction, if `commit`."""
        begun = monotonic()
        # Another thread of this process may wait for another process.
        if not self._lock.acquire(timeout=_patience() if commit else -1):
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
        """The connection, opened if need be. Whoever asks has the lock."""
        if self._connection is None:
            self._connection = self._connect()
        return self._connection

    def _abandon(self) -> None:
        """In the child of a fork: what is the parent's is neither used nor even closed here."""
        # Another thread may have had it, and is not here to let it go.
        self._lock = threading.RLock()
        _abandoned.extend(self._readers)
        self._readers = []
        if self._connection is not None and isinstance(self.db_path, Path):
            _abandoned.append(self._connection)
            self._connection, self._active_transaction, self._writer = None, False, None

    def _connect(self) -> sqlite3.Connection:
        """One more connection."""
        raise NotImplementedError

    @contextmanager
    def _acquire_sqlite_lock(self, begun: float | None = None) -> Iterator[None]:
        """A transaction. Others that write are waited for, but not for ever. `begun`: since when."""
        with self._lock:
            connection = self._connection
            assert connection is not None
            self._begin(connection, (monotonic() if begun is None else begun) + _patience())
            self._active_transaction, self._writer = True, threading.get_ident()
            try:
                yield
                connection.commit()
            except BaseException:
                # A full disk may have done that already.
                with suppress(sqlite3.Error):
                    connection.rollback()
                raise
            finally:
                self._active_transaction, self._writer = False, None

    def _begin(self, connection: sqlite3.Connection, deadline: float) -> None:
        """Begins a transaction, and waits for others that are in one."""
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
        """Makes one transaction of all that is written meanwhile: many times faster for many writes."""
        with self.connection(commit=True):
            yield

    def close(self) -> None:
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
        """The first row of what is asked for."""
        # The connection that writes knows the pages that it wrote; another has to read them again. But where several threads read, each
        # soon has one of its own.
        several = bool(self._readers) and self._reads_beside()
        if several or not self._lock.acquire(not self._ahead):
            try:
                readers = self._readers
                connection = self._borrow(readers)
                try:
                    return connection.execute(statement, (parameter,)).fetchone()
                finally:
                    self._give_back(readers, connection)
            except sqlite3.OperationalError:
                # It is being made anew at this moment, say; that is waited for.
                self._lock.acquire()
        try:
            connection = self._connection or self._own_connection()
            return connection.execute(statement, (parameter,)).fetchone()
        finally:
            self._lock.release()

    def _reads_beside(self) -> bool:
        """Whether to read on a connection of one's own. In a transaction, a thread is to see what it wrote itself."""
        return self._ahead and self._writer != threading.get_ident()

    def _borrow(self, readers: list[sqlite3.Connection]) -> sqlite3.Connection:
        """A connection for this thread alone: threads that took turns at one would wait more than they read."""
        try:
            return readers.pop()
        except IndexError:
            return self._connect()

    def _give_back(self, readers: list[sqlite3.Connection], connection: sqlite3.Connection) -> None:
        # Whoever closed the mapping meanwhile closed the others.
        if readers is self._readers and len(readers) < _MOST_READERS:
            readers.append(connection)
        else:
            connection.close()
