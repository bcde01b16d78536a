"""One request in place of many equal ones: who comes while it is on its way waits for what it brings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock, local


class Herd:
    """The requests of one cache that are on their way, in this process."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        self._lock = Lock()
        self._leaders: dict[str, Event] = {}
        self._thread = local()
        #: How many requests have ended. What was looked up before may be stored since.
        self.ended = 0

    @contextmanager
    def turn(self, key: str, timeout: float | None) -> Iterator[bool]:
        """For whoever is about to send the request `key`: whether to send it.

        If not, somebody else did meanwhile, or still does after `timeout` seconds. A thread that sends
        already, and was redirected, never waits: two of those could wait for each other.
        """
        if self._process != os.getpid():
            # After a fork the threads that lead are in the other process.
            self._start()
        depth = getattr(self._thread, "depth", 0)
        with self._lock:
            leader = self._leaders.get(key)
            if leader is None:
                self._leaders[key] = own = Event()
        if leader is not None:
            if depth == 0:
                leader.wait(timeout)
            yield depth > 0
            return
        self._thread.depth = depth + 1
        try:
            yield True
        finally:
            self._thread.depth = depth
            with self._lock:
                self._leaders.pop(key, None)
                self.ended += 1
            own.set()
