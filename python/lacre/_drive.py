"""What the drivers of all clients have in common: one request on its way through cache and network.

A driver sends what it is told to send and says what came. No rule of caching lives in it, or here.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

from ._lacre import Cache, Recording, Reply, Ticket
from ._options import RequestOptions

Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")

#: Seconds that a request waits for another one that wants the same, before it is sent itself.
PATIENCE = 5.0
#: How many leads that ended are remembered: enough for those that end in the time of one lookup.
_REMEMBERED = 64
#: How many stale answers are refreshed in the background at once. Those beyond are skipped.
REFRESHES = 16


_OPTIONS: ContextVar[RequestOptions | None] = ContextVar("lacre.options", default=None)


@contextmanager
def request_options(options: RequestOptions | None) -> Iterator[None]:
    """Options of the requests that are made within, by this thread or task: for clients whose requests cannot carry
    them."""
    before = _OPTIONS.set(options)
    try:
        yield
    finally:
        _OPTIONS.reset(before)


def options_within() -> RequestOptions | None:
    """Those of `request_options`."""
    return _OPTIONS.get()


class Asked(NamedTuple):
    """A request, as the cache sees it; `body` is None where it is a stream."""

    method: str
    url: str
    headers: Headers
    body: bytes | None
    options: RequestOptions | None

    def of(self, cache: Cache) -> Reply | Ticket | None:
        """What the cache says to it."""
        return cache.ask(self.method, self.url, self.headers, self.body, self.options)


class Head(NamedTuple):
    """What came. `as_sent`: whether the body comes as the origin sent it; where it does not, it is not stored."""

    status: int
    headers: Headers
    as_sent: bool = True


@dataclass(frozen=True, slots=True)
class Send:
    """The driver is to send the request with these headers, and to answer with the status and the headers of
    what came. None: as it was asked."""

    headers: Headers | None


@dataclass(frozen=True, slots=True)
class Wait:
    """The driver is to wait, and to answer whether it was not in vain."""

    future: Future[bool]
    patience: float


@dataclass(frozen=True, slots=True)
class Work:
    """The driver is to call this, not on a thread that runs an event loop, and to answer with what it returns."""

    call: Callable[[], Any]


Failures = tuple[type[Exception], ...]


class Lead:
    """The first of equal requests. The others wait for it until it is done, or was given up.

    `late` says that another one ended after the cache was asked: it is to be asked again, since there may be an answer by now.
    """

    def __init__(self, leads: Leads, key: bytes, owner: object, late: bool) -> None:
        self.future: Future[bool] = Future()
        self.owner, self.late = owner, late
        self._leads, self._key = leads, key

    def end(self, answered: bool) -> None:
        """Lets the others go on. Only the first word counts."""
        self._leads.remove(self._key, self)
        if not self.future.done():
            self.future.set_result(answered)

    def __del__(self) -> None:
        if not self.future.done():
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
        self._leads: WeakValueDictionary[bytes, Lead] = WeakValueDictionary()
        self._ended: dict[bytes, float] = {}

    def join(self, key: bytes, owner: object, age: float) -> tuple[Lead, bool]:
        """The lead for a key, and whether it is the caller's own, who asked the cache `age` seconds ago."""
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

    def remove(self, key: bytes, lead: Lead) -> None:
        with self._lock:
            if self._leads.get(key) in (lead, None):
                self._leads.pop(key, None)
                self._ended.pop(key, None)
                while len(self._ended) >= _REMEMBERED:
                    del self._ended[next(iter(self._ended))]
                self._ended[key] = time.monotonic()


class Passing:
    """The network's answer on its way to the caller: stored as it passes, while equal requests wait for it."""

    def __init__(self, recording: Recording, lead: Lead | None) -> None:
        self.info = recording.info
        self._recording, self._lead = recording, lead
        if not recording.active:
            self._end(True)

    @property
    def active(self) -> bool:
        """Whether there is anything to do with its body."""
        return self._recording.active

    def writes(self, more: int) -> bool:
        """Whether to `write` so many bytes may have to wait."""
        return self._recording.writes(more)

    def write(self, piece: bytes) -> None:
        """Takes in the next piece of the body."""
        self._recording.write(piece)
        if not self._recording.active:
            self._end(True)

    def finish(self) -> None:
        """The body is complete."""
        self._recording.finish()
        self._end(True)

    def abort(self) -> None:
        """The body broke off, or nobody wants the rest of it. Does nothing after its end."""
        if self._recording.active:
            self._recording.abort()
        self._end(False)

    def _end(self, answered: bool) -> None:
        if self._lead is not None:
            self._lead.end(answered)
            self._lead = None


Answer = Reply | Passing
Exchange = Generator[Send | Wait | Work, Any, Answer]


class Driver:
    """A cache that is driven for one client, whose own errors `failures` are when the network fails."""

    def __init__(self, cache: Cache, failures: Failures) -> None:
        self.cache, self._failures = cache, failures
        self._leads = Leads()
        self._refreshing = 0
        self._lock = threading.Lock()

    def exchange(self, asked: Asked, ticket: Ticket, *, owner: object, blind: bool) -> Exchange:
        """The way of a request that is not answered at once. `owner` is who asks; `blind` says that something
        below may add what the cache does not see.
        """
        first, until = ticket, time.monotonic() + PATIENCE
        lead: Lead | None = None
        while (key := ticket.shared_key) is not None:
            lead, mine = self._leads.join(key, owner, ticket.age)
            if mine:
                found = asked.of(self.cache) if lead.late else ticket
                if not isinstance(found, Ticket):
                    lead.end(True)
                    return cast("Reply", found).collapsed(first)
                ticket = found
                break
            ahead, lead = lead, None
            # Who reads one answer and asks for the same meanwhile would wait for itself.
            if ahead.owner == owner or not (yield Wait(ahead.future, until - time.monotonic())):
                break
            found = asked.of(self.cache)
            if not isinstance(found, Ticket):
                return cast("Reply", found).collapsed(first)
            ticket = found
            if ahead.future.result():
                # The answer was not for others.
                break
        return (yield from self._send(asked, ticket, lead, blind))

    def refresh(self, asked: Asked, ticket: Ticket, *, blind: bool) -> Exchange | None:
        """The way of a request whose answer nobody waits for; None: it is under way, or too many are."""
        key = ticket.shared_key
        with self._lock:
            if key is None or self._refreshing >= REFRESHES:
                return None
            lead, mine = self._leads.join(key, None, ticket.age)
            if not mine:
                return None
            if lead.late:
                found = asked.of(self.cache)
                again = found.refresh if isinstance(found, Reply) else found
                if again is None:
                    lead.end(True)
                    return None
                ticket = again
            self._refreshing += 1
        return self._send(asked, ticket, lead, blind)

    def refreshed(self) -> None:
        """A refresh ended, however."""
        with self._lock:
            self._refreshing -= 1

    def _send(self, asked: Asked, ticket: Ticket, lead: Lead | None, blind: bool) -> Exchange:
        answered = False
        try:
            while True:
                headers = ticket.headers
                unchanged = headers == [(name.lower(), value) for name, value in asked.headers]
                try:
                    head = yield Send(None if unchanged else headers)
                except self._failures:
                    reply: Reply | None = yield Work(ticket.fail)
                    answered = True
                    if reply is None:
                        raise
                    return reply
                settle = _Settle(ticket, head, blind)
                settled = (yield Work(settle)) if ticket.writes else settle()
                if isinstance(settled, Recording):
                    passing = Passing(settled, lead)
                    lead = None
                    return passing
                answered = True
                if isinstance(settled, Reply):
                    return settled
                ticket = settled
        finally:
            if lead is not None:
                lead.end(answered)


@dataclass(frozen=True, slots=True)
class _Settle:
    ticket: Ticket
    head: Head
    blind: bool

    def __call__(self) -> Recording | Reply | Ticket:
        status, headers, as_sent = self.head
        return self.ticket.settle(status, headers, blind=self.blind, as_sent=as_sent)


def carry_out(
    exchange: Exchange, failures: Failures, send: Callable[[Headers | None], Head]
) -> Answer:
    """Carries out an exchange on this thread."""
    try:
        step = next(exchange)
        while True:
            if isinstance(step, Send):
                try:
                    head = send(step.headers)
                except failures as error:
                    step = exchange.throw(error)
                else:
                    step = exchange.send(head)
            elif isinstance(step, Wait):
                step = exchange.send(_wait(step))
            else:
                step = exchange.send(step.call())
    except StopIteration as done:
        return cast("Answer", done.value)
    finally:
        exchange.close()


async def carry_out_async(
    exchange: Exchange, failures: Failures, send: Callable[[Headers | None], Awaitable[Head]]
) -> Answer:
    """Carries out an exchange in this task."""
    try:
        step = next(exchange)
        while True:
            if isinstance(step, Send):
                try:
                    head = await send(step.headers)
                except failures as error:
                    step = exchange.throw(error)
                else:
                    step = exchange.send(head)
            elif isinstance(step, Wait):
                step = exchange.send(await _wait_async(step))
            else:
                step = exchange.send(await in_thread(step.call))
    except StopIteration as done:
        return cast("Answer", done.value)
    finally:
        exchange.close()


def _wait(step: Wait) -> bool:
    with suppress(TimeoutError, FutureTimeoutError):
        step.future.result(max(step.patience, 0))
    return step.future.done()


async def _wait_async(step: Wait) -> bool:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Under trio nobody waits for others.
        return False
    ended = asyncio.Event()

    def wake(_: Future[bool]) -> None:
        # The loop may be closed by then.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(ended.set)

    step.future.add_done_callback(wake)
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(ended.wait(), max(step.patience, 0))
    return step.future.done()


async def in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """What `call` returns, called where it may wait; under trio, here."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return call(*arguments)
    return await loop.run_in_executor(None, call, *arguments)


def current_task() -> asyncio.Task[Any] | None:
    """The task that runs this; None outside asyncio."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


class Tasks:
    """What runs in the background of an event loop, held so that it is not collected."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], after: Callable[[], None] | None = None) -> None:
        """Runs `work`, whoever waits for it; and `after` in any case, even where it never begins."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if after is not None:
                after()

        task.add_done_callback(done)

    async def cancel(self) -> None:
        """Gives up what still runs."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
