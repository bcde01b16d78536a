"""Coalescing: the first of several equal requests is sent, and the others wait for its response.

They wait at most for their own timeout, and not long for a body that nobody reads. This contains no
caching rule and no code of a client.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from enum import Enum
from typing import Generic, NamedTuple, TypeVar
from weakref import WeakValueDictionary

T = TypeVar("T")
R = TypeVar("R")

#: How many seconds a request waits for the head of a response before it is sent, too.
PATIENCE = 5.0
#: How many seconds it then waits for a body of known length.
BODY_PATIENCE = 1.0
#: How many seconds it waits for a body that stalls or has no known length.
STILL_PATIENCE = 0.25
#: How many ended leads are remembered, enough for those that end during one lookup.
_REMEMBERED = 64


class Signal:
    """Something that happens once. Threads wait for it; event loops are called."""

    def __init__(self) -> None:
        # A lead may be given up by the garbage collector, in the middle of anything.
        self._lock = threading.RLock()
        self._calls: list[Callable[[], object]] = []
        self._event: threading.Event | None = None
        self.happened = False

    def set(self) -> None:
        """It happens."""
        with self._lock:
            self.happened = True
            calls, self._calls = self._calls, []
            if self._event is not None:
                self._event.set()
        for call in calls:
            call()

    def call(self, call: Callable[[], object]) -> None:
        """Calls `call` when it happens, on whichever thread; at once if it has happened."""
        with self._lock:
            if not self.happened:
                self._calls.append(call)
                return
        call()

    def wait(self, seconds: float) -> None:
        """Waits for it on this thread, so long at most."""
        with self._lock:
            if self.happened:
                return
            event = self._event = self._event or threading.Event()
        event.wait(seconds)


class Lead:
    """The first of equal requests. The others wait for it until it is done, or was given up.

    `late`: another one ended after the cache was asked, so ask again.
    """

    def __init__(self, leads: Leads, key: object, owner: object, late: bool) -> None:
        self.owner, self.late = owner, late
        #: Its answer has begun, or it ended.
        self.shown = Signal()
        self.ended = Signal()
        #: Whether it was answered, once it ended; otherwise one of the others takes its place.
        self.answered = False
        self._until = self._moved = self._still = 0.0
        self._leads, self._key = leads, key

    def show(self, patience: float, still: float) -> None:
        """The head has arrived: others wait so many seconds for the body, or while it stalls."""
        self._moved = time.monotonic()
        self._until, self._still = self._moved + patience, still
        self.shown.set()

    def move(self) -> None:
        """More of its body has come."""
        self._moved = time.monotonic()

    @property
    def patience_ends(self) -> float:
        """Until when to wait for the body that is shown."""
        return min(self._until, self._moved + self._still)

    def end(self, answered: bool) -> None:
        """Lets the others go on. Only the first word counts."""
        self._leads.remove(self._key, self)
        if not self.ended.happened:
            self.answered = answered
            self.ended.set()
            self.shown.set()

    def __del__(self) -> None:
        if not self.ended.happened:
            self.end(False)


class Leads:
    """The requests that lead, in this process."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._process = os.getpid()
        # A lead may be given up by the garbage collector, in the middle of anything.
        self._lock = threading.RLock()
        # Who forgets to end it is as good as one who gives it up.
        self._leads: WeakValueDictionary[object, Lead] = WeakValueDictionary()
        self._ended: dict[object, float] = {}
        #: How many have ended. What was looked up before may be stored since.
        self.ended = 0

    def join(self, key: object, owner: object, age: float) -> tuple[Lead, bool]:
        """Returns the lead of a key, and whether the caller owns it; it asked `age` seconds ago."""
        if self._process != os.getpid():
            # After a fork those who lead are in the other process.
            self._start()
        with self._lock:
            lead = self._leads.get(key)
            if lead is not None:
                return lead, False
            late = self._ended.get(key, 0.0) >= time.monotonic() - age
            self._leads[key] = lead = Lead(self, key, owner, late)
            return lead, True

    def remove(self, key: object, lead: Lead) -> None:
        """A lead has ended."""
        with self._lock:
            if self._leads.get(key) in (lead, None):
                self._leads.pop(key, None)
                self._ended.pop(key, None)
                while len(self._ended) >= _REMEMBERED:
                    del self._ended[next(iter(self._ended))]
                self._ended[key] = time.monotonic()
                self.ended += 1


class Waited(Enum):
    """How waiting for another request ended."""

    #: That request is over: its answer may be in the cache.
    OVER = 1
    #: It takes too long: send beside it.
    IMPATIENT = 2
    #: The caller's own timeout is up, and the origin has said nothing.
    TIMED_OUT = 3


class Pause(NamedTuple):
    """What to wait for next, and how many seconds."""

    signal: Signal
    seconds: float


class Wait:
    """Waiting for another request, by a caller whose own timeout is `own` seconds, or `None`."""

    def __init__(self, lead: Lead, own: float | None) -> None:
        self.lead = lead
        now = time.monotonic()
        self._patience = now + PATIENCE
        #: When the caller's own timeout is up, unless the origin says something before.
        self.until = None if own is None else now + own

    def after(self, lead: Lead) -> Wait:
        """The same patience for another lead."""
        self.lead = lead
        return self

    def next(self) -> Pause | Waited:
        """What to wait for, or how waiting has ended."""
        lead, now = self.lead, time.monotonic()
        if lead.ended.happened:
            return Waited.OVER
        if lead.shown.happened:
            end = lead.patience_ends
            return Pause(lead.ended, end - now) if now < end else Waited.IMPATIENT
        if self.until is not None and now >= self.until:
            return Waited.TIMED_OUT
        end = self._patience if self.until is None else min(self._patience, self.until)
        return Pause(lead.shown, end - now) if now < end else Waited.IMPATIENT

    def here(self) -> Waited:
        """Waits on this thread."""
        while isinstance(step := self.next(), Pause):
            step.signal.wait(step.seconds)
        return step

    def left(self) -> float | None:
        """Returns the seconds left of the caller's timeout; None if it has none or it is met."""
        lead = self.lead
        if self.until is None or lead.answered or (lead.shown.happened and not lead.ended.happened):
            return None
        return max(self.until - time.monotonic(), 0.0)


class TimedOut(Exception):
    """The caller's own timeout is up."""


class Beside(Generic[T, R]):
    """A request that is sent beside one that takes too long: whichever is answered first counts.

    Args:
        send: sends it
        drop: lets go of what it brought, which nobody wants any more
        look: what the other one brought, once it is over; `None`: nothing for this request
    """

    def __init__(
        self,
        wait: Wait,
        send: Callable[[], T],
        drop: Callable[[], object],
        look: Callable[[], R | None],
    ) -> None:
        self._wait, self._send, self._drop, self._look = wait, send, drop, look
        self._lock = threading.Lock()
        self._dropped = False
        self._news = threading.Event()
        self._sent: list[T] = []
        self._failed: list[BaseException] = []

    def run(self) -> T | R:
        """The first answer.

        Raises:
            TimedOut: the caller's own timeout is up
        """
        # A request cannot be interrupted from outside, so that it has a thread of its own.
        context = copy_context()
        threading.Thread(
            target=context.run, args=(self._work,), name="lacre-beside", daemon=True
        ).start()
        self._wait.lead.ended.call(self._news.set)
        looked = mine = False
        try:
            while True:
                came = self._news.wait(self._wait.left())
                self._news.clear()
                if self._failed:
                    raise self._failed[0]
                if self._sent:
                    mine = True
                    return self._sent[0]
                if not came:
                    raise TimedOut
                if self._wait.lead.ended.happened and not looked:
                    looked = True
                    if (found := self._look()) is not None:
                        return found
        finally:
            with self._lock:
                self._dropped = True
                stray = bool(self._sent) and not mine
            if stray:
                self._drop()

    def _work(self) -> None:
        try:
            sent = self._send()
        except BaseException as error:
            self._failed.append(error)
        else:
            with self._lock:
                if self._dropped:
                    self._drop()
                    return
                self._sent.append(sent)
        self._news.set()
