"""What the drivers of all clients have in common: one request on its way through cache and network.

A driver sends what it is told to send and says what came. No rule of caching lives in it, or here.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar, cast

from ._herd import (
    BODY_PATIENCE,
    STILL_PATIENCE,
    Beside,
    Lead,
    Leads,
    Pause,
    Signal,
    TimedOut,
    Wait,
    Waited,
)
from ._lacre import Cache, Recording, Reply, Ticket, Transport
from ._options import RequestOptions

Headers = list[tuple[bytes, bytes]]
T = TypeVar("T")

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
    #: How it is sent; None: the usual way.
    transport: Transport | None = None

    def of(self, cache: Cache) -> Reply | Ticket | None:
        """What the cache says to it."""
        return cache.ask(
            self.method, self.url, self.headers, self.body, self.options, self.transport
        )


class Head(NamedTuple):
    """What came. `version`: ten times the version of HTTP. `as_sent`: whether the body comes as the origin sent it;
    where it does not, it is not stored."""

    status: int
    headers: Headers
    version: int | None = None
    as_sent: bool = True


class OwnTimeout(NamedTuple):
    """What the caller of a client said of time: how many seconds until the origin must have said something, and what
    the client raises after that."""

    seconds: float
    error: Callable[[], Exception]


@dataclass(frozen=True, slots=True)
class Send:
    """The driver is to send the request with these headers, and to answer with the status and the headers of
    what came. None: as it was asked. `beside`: a request that wants the same and takes too long; where that is over
    first, and `look` finds its answer, the driver answers with this, and sends no more."""

    headers: Headers | None
    beside: Wait | None
    look: Callable[[], Reply | None]


@dataclass(frozen=True, slots=True)
class Work:
    """The driver is to call this, not on a thread that runs an event loop, and to answer with what it returns."""

    call: Callable[[], Any]


Failures = tuple[type[Exception], ...]

#: Names of headers that are not spelled as words are; a cache keeps them in lower case.
_SPELLED = {
    name.lower().encode(): name.encode()
    for name in (
        "CF-Cache-Status", "CF-RAY", "Content-MD5", "DNT", "ETag", "Expect-CT", "NEL", "P3P", "SourceMap", "TE",
        "WWW-Authenticate", "X-DNS-Prefetch-Control", "X-GitHub-Request-Id", "X-RateLimit-Limit",
        "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID", "X-UA-Compatible", "X-XSS-Protection",
    )
}  # fmt: skip


@lru_cache(maxsize=512)
def _spelled(name: bytes) -> bytes:
    return _SPELLED.get(name) or name.title()


def spelled(reply: Reply) -> Headers:
    """The headers of a reply as servers write their names: in lower case from HTTP/2 on, in words before."""
    headers = reply.headers
    if reply.version >= 20:
        return headers
    return [(_spelled(name), value) for name, value in headers]


def reason_of(status: int) -> str:
    """The usual phrase for a status."""
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return ""


class Passing:
    """The network's answer on its way to the caller: stored as it passes, while equal requests wait for it."""

    def __init__(self, recording: Recording, lead: Lead | None, *, sized: bool) -> None:
        self.info = recording.info
        self._recording, self._lead = recording, lead
        # What is stale at once is no answer to others.
        if not recording.active or (self.info.ttl is not None and self.info.ttl <= 0):
            self._end(True)
        elif lead is not None:
            lead.show(BODY_PATIENCE if sized else STILL_PATIENCE, STILL_PATIENCE)

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
        if self._lead is not None:
            self._lead.move()
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

    def exchange(
        self,
        asked: Asked,
        ticket: Ticket,
        *,
        owner: object,
        blind: bool,
        own: OwnTimeout | None = None,
    ) -> Exchange:
        """The way of a request that is not answered at once. `owner` is who asks; `blind` says that something
        below may add what the cache does not see; `own` is the caller's own timeout.
        """
        first = ticket
        lead: Lead | None = None
        beside: Wait | None = None
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
            if ahead.owner == owner:
                break
            beside = (
                Wait(ahead, own.seconds if own else None) if beside is None else beside.after(ahead)
            )
            waited = yield beside
            if waited is Waited.TIMED_OUT:
                assert own is not None
                return (yield from self._failed(ticket, own.error()))
            if waited is not Waited.OVER:
                return (yield from self._send(asked, ticket, None, blind, own, beside, first))
            found = asked.of(self.cache)
            if not isinstance(found, Ticket):
                return cast("Reply", found).collapsed(first)
            ticket = found
            if ahead.answered:
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

    def _failed(self, ticket: Ticket, error: Exception) -> Exchange:
        """What stands in for an answer that the network did not give."""
        reply: Reply | None = yield Work(ticket.fail)
        if reply is None:
            raise error
        return reply

    def _send(
        self,
        asked: Asked,
        ticket: Ticket,
        lead: Lead | None,
        blind: bool,
        own: OwnTimeout | None = None,
        beside: Wait | None = None,
        first: Ticket | None = None,
    ) -> Exchange:
        def look() -> Reply | None:
            found = asked.of(self.cache)
            return found.collapsed(first or ticket) if isinstance(found, Reply) else None

        answered = False
        try:
            while True:
                headers = ticket.headers
                unchanged = headers == [(name.lower(), value) for name, value in asked.headers]
                try:
                    head = yield Send(None if unchanged else headers, beside, look)
                except self._failures as error:
                    answered = True
                    return (yield from self._failed(ticket, error))
                except TimedOut:
                    assert own is not None
                    return (yield from self._failed(ticket, own.error()))
                if isinstance(head, Reply):
                    return head
                beside = None
                settle = _Settle(ticket, head, blind)
                settled = (yield Work(settle)) if ticket.writes else settle()
                if isinstance(settled, Recording):
                    sized = any(name.lower() == b"content-length" for name, _ in head.headers)
                    passing = Passing(settled, lead, sized=sized)
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
        status, headers, version, as_sent = self.head
        return self.ticket.settle(
            status, headers, version=version, blind=self.blind, as_sent=as_sent
        )


def carry_out(
    exchange: Exchange,
    failures: Failures,
    send: Callable[[Headers | None], Head],
    drop: Callable[[], object],
) -> Answer:
    """Carries out an exchange on this thread. `drop` lets go of what was sent, and is no more wanted."""
    told: Failures = (*failures, TimedOut)
    try:
        step = next(exchange)
        while True:
            if isinstance(step, Send):
                try:
                    head = _send(step, send, drop)
                except told as error:
                    step = exchange.throw(error)
                else:
                    step = exchange.send(head)
            elif isinstance(step, Wait):
                step = exchange.send(step.here())
            else:
                step = exchange.send(step.call())
    except StopIteration as done:
        return cast("Answer", done.value)
    finally:
        exchange.close()


def _send(
    step: Send, send: Callable[[Headers | None], Head], drop: Callable[[], object]
) -> Head | Reply:
    if step.beside is None:
        return send(step.headers)
    return Beside(step.beside, lambda: send(step.headers), drop, step.look).run()


async def carry_out_async(
    exchange: Exchange,
    failures: Failures,
    send: Callable[[Headers | None], Coroutine[Any, Any, Head]],
    drop: Callable[[], Awaitable[object]],
) -> Answer:
    """Carries out an exchange in this task. `drop` lets go of what was sent, and is no more wanted."""
    told: Failures = (*failures, TimedOut)
    try:
        step = next(exchange)
        while True:
            if isinstance(step, Send):
                try:
                    head = await _send_async(step, send, drop)
                except told as error:
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


async def _send_async(
    step: Send,
    send: Callable[[Headers | None], Coroutine[Any, Any, Head]],
    drop: Callable[[], Awaitable[object]],
) -> Head | Reply:
    loop = _running_loop()
    if step.beside is None or loop is None:
        return await send(step.headers)
    lead = step.beside.lead
    sending = loop.create_task(send(step.headers))
    over = loop.create_task(_happened(lead.ended))
    waiting: set[asyncio.Task[Any]] = {sending, over}
    try:
        while True:
            done, _ = await asyncio.wait(
                waiting, timeout=step.beside.left(), return_when=asyncio.FIRST_COMPLETED
            )
            if sending in done:
                return sending.result()
            if not done:
                raise TimedOut
            waiting.discard(over)
            if (found := step.look()) is not None:
                return found
    finally:
        over.cancel()
        if not sending.done():
            sending.cancel()
            await asyncio.wait({sending})
            if not sending.cancelled():
                # It was done at that moment, or failed, which is nobody's business any more.
                sending.exception()
            await drop()


async def _wait_async(wait: Wait) -> Waited:
    if _running_loop() is None:
        # Under trio nobody waits for others.
        return Waited.IMPATIENT
    while isinstance(step := wait.next(), Pause):
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_happened(step.signal), step.seconds)
    return step


async def _happened(signal: Signal) -> None:
    """Waits for a signal that any thread may give."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        # The loop may be closed by then.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    signal.call(wake)
    await event.wait()


async def in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """What `call` returns, called where it may wait; under trio, here."""
    loop = _running_loop()
    return call(*arguments) if loop is None else await loop.run_in_executor(None, call, *arguments)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """That of asyncio; `None` under trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def current_task() -> asyncio.Task[Any] | None:
    """The task that runs this; None outside asyncio."""
    return None if _running_loop() is None else asyncio.current_task()


class Tasks:
    """What runs in the background of an event loop, held so that it is not collected."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, work: Coroutine[Any, Any, None], after: Callable[[], None] | None = None
    ) -> None:
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
