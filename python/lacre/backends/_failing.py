"""What a session does about a cache that fails: it goes on without, and says so once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from logging import getLogger
from time import monotonic

from requests import RequestException
from urllib3.exceptions import HTTPError

from ._connections import is_locked, waiting
from .base import is_tampering

#: Seconds for which a cache that was locked is not waited for again.
_PAUSE = 30.0

#: What a program does wrong, or its settings, and no place.
_PROGRAM = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    NameError,
    NotImplementedError,
    TypeError,
    ValueError,
)

logger = getLogger("lacre.store")


class Tolerant:
    """What is known of the troubles of a session's cache.

    Errors of the network, signatures that do not hold, and what the user interrupts are not its business.
    """

    def __init__(self) -> None:
        self._told: set[str] = set()
        self._locked = float("-inf")

    def forgives(self, what: str, error: Exception) -> bool:
        """Whether `error` came of a cache that cannot be read, or written, as `what` says. It is told once."""
        if isinstance(error, (RequestException, HTTPError, *_PROGRAM)) or is_tampering(error):
            return False
        if isinstance(error, sqlite3.OperationalError) and is_locked(error):
            self._locked = monotonic()
        self._tell(what, error)
        return True

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Leaves the block where the cache cannot be written, be it for others that do."""
        patient = monotonic() - self._locked > _PAUSE
        try:
            with waiting(None if patient else 0.0):
                yield
        except Exception as error:
            if not self.forgives("written", error):
                raise
        else:
            self._locked = float("-inf")
            self._told.discard("written")

    def was_read(self) -> None:
        """The cache can be read again."""
        if self._told:
            self._told.discard("read")

    def _tell(self, what: str, error: Exception) -> None:
        if what in self._told:
            return
        self._told.add(what)
        # Those of the system say what is wrong; others may say what was to be stored.
        cause = (error.__cause__ if isinstance(error, KeyError) else None) or error
        why = f": {cause}" if isinstance(cause, OSError | sqlite3.Error) else ""
        logger.warning(
            "the cache cannot be %s (%s%s); answers come from the origin until it can",
            what,
            type(cause).__name__,
            why,
        )
