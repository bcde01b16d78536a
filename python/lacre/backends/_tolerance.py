"""Sessions keep working if their cache fails: they go on without it and log a warning once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from time import monotonic

from requests import RequestException
from urllib3.exceptions import HTTPError

from ._connections import is_locked, lock_timeout
from .base import is_tampering

#: After a lock timeout, writes do not wait for locks for so many seconds.
_LOCK_BACKOFF = 30.0

#: Errors of the program or its settings, which are never tolerated.
_PROGRAMMING_ERRORS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    NameError,
    NotImplementedError,
    TypeError,
    ValueError,
)

logger = getLogger("lacre.store")


class FaultTolerance:
    """The state of a session's failing cache.

    It does not tolerate network errors, wrong signatures, programming errors and interrupts.
    """

    def __init__(self) -> None:
        self._logged: set[str] = set()
        self._locked = float("-inf")

    def tolerates(self, operation: str, error: Exception) -> bool:
        """Returns whether to go on despite an error of the cache, which is logged once.

        Args:
            operation: "read" or "written".
            error: The error.
        """
        if isinstance(error, (RequestException, HTTPError, *_PROGRAMMING_ERRORS)) or is_tampering(
            error
        ):
            return False
        if isinstance(error, sqlite3.OperationalError) and is_locked(error):
            self._locked = monotonic()
        self._log_once(operation, error)
        return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Runs a block that writes, and leaves it if the cache cannot be written."""
        waits = monotonic() - self._locked > _LOCK_BACKOFF
        try:
            with lock_timeout(None if waits else 0.0):
                yield
        except Exception as error:
            if not self.tolerates("written", error):
                raise
        else:
            self._locked = float("-inf")
            self._logged.discard("written")

    def read_succeeded(self) -> None:
        """Records that the cache could be read."""
        if self._logged:
            self._logged.discard("read")

    def _log_once(self, operation: str, error: Exception) -> None:
        if operation in self._logged:
            return
        self._logged.add(operation)
        # Messages of other errors may contain operation was to be stored.
        cause = (error.__cause__ if isinstance(error, KeyError) else None) or error
        reason = f": {cause}" if isinstance(cause, OSError | sqlite3.Error) else ""
        logger.warning(
            "the cache cannot be %s (%s%s); answers come from the origin until it can",
            operation,
            type(cause).__name__,
            reason,
        )
