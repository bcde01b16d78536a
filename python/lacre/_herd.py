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
        #: An event is there as soon as somebody waits.
        self._leaders: dict[str, Event | None] = {}
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
            mine = key not in self._leaders
            leader = self._leaders.setdefault(key, None)
            if leader is None and not mine:
                self._leaders[key] = leader = Event()
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
                followed = self._leaders.pop(key, None)
                self.ended += 1
            if followed is not None:
                followed.set()
