"""The steps of one request through cache and network, shared by the drivers of all clients.

An exchange is a generator: it yields steps (send, wait, work), and the driver of a client carries
them out. Neither contains a caching rule: `lacre.Cache` decides.
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

#: The limit of simultaneous background refreshes. Refreshes beyond it are skipped.
MAX_REFRESHES = 16


_OPTIONS: ContextVar[RequestOptions | None] = ContextVar("lacre.options", default=None)


@contextmanager
def request_options(options: RequestOptions | None) -> Iterator[None]:
    """Sets the options of requests made within, for clients whose requests cannot carry options.

    They apply to the current thread or task.

    Args:
        options: The options; None for none.
    """
    before = _OPTIONS.set(options)
    try:
        yield
    finally:
        _OPTIONS.reset(before)


def current_request_options() -> RequestOptions | None:
    """Returns the options that `request_options` has set, if any."""
    return _OPTIONS.get()


class CacheRequest(NamedTuple):
    """A request as the cache sees it."""

    method: str
    url: str
    headers: Headers
    #: None for a stream.
    body: bytes | None
    options: RequestOptions | None
    #: How the client reaches the origin; None for the default.
    transport: Transport | None = None

    def ask(self, cache: Cache) -> Reply | Ticket | None:
        """Looks the request up; see `Cache.ask`."""
        return cache.ask(
            self.method, self.url, self.headers, self.body, self.options, self.transport
        )


class ResponseHead(NamedTuple):
    """The status and headers of a response from the network."""

    status: int
    headers: Headers
    #: The version of HTTP times ten, if known.
    version: int | None = None
    #: Whether the body arrives as the origin sent it. If not, it is not stored.
    as_sent: bool = True


class CallerTimeout(NamedTuple):
    """The read timeout that the caller has set."""

    seconds: float
    #: Makes the exception that the client raises then.
    error: Callable[[], Exception]


@dataclass(frozen=True, slots=True)
class Send:
    """The step to send the request. Its result is the `ResponseHead`."""

    #: The headers to send; None for those of the request.
    headers: Headers | None
    #: The wait for an equal request that takes too long. If that one ends first and `lookup` finds
    #: its response, the result is that reply, and what was sent is discarded.
    beside: Wait | None
    lookup: Callable[[], Reply | None]


@dataclass(frozen=True, slots=True)
class Work:
    """The step to call a function that may block, off the event loop. Its result is the value."""

    call: Callable[[], Any]


ErrorTypes = tuple[type[Exception], ...]

#: Header names whose usual case is irregular. The cache keeps names in lower case.
_IRREGULAR_NAMES = {
    name.lower().encode(): name.encode()
    for name in (
        "CF-Cache-Status", "CF-RAY", "Content-MD5", "DNT", "ETag", "Expect-CT", "NEL", "P3P",
        "SourceMap", "TE",
        "WWW-Authenticate", "X-DNS-Prefetch-Control", "X-GitHub-Request-Id", "X-RateLimit-Limit",
        "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID", "X-UA-Compatible",
        "X-XSS-Protection",
    )
}  # fmt: skip


@lru_cache(maxsize=512)
def _title_case(name: bytes) -> bytes:
    return _IRREGULAR_NAMES.get(name) or name.title()


def title_case_headers(reply: Reply) -> Headers:
    """Returns the headers of a reply in the case that servers use: lower case from HTTP/2 on."""
    headers = reply.headers
    if reply.version >= 20:
        return headers
    return [(_title_case(name), value) for name, value in headers]


def reason_phrase(status: int) -> str:
    """Returns the standard reason phrase of a status."""
    with suppress(ValueError):
        return HTTPStatus(status).phrase
    return ""


class RecordedResponse:
    """A response of the network that is stored while the caller reads it.

    Equal requests wait for it meanwhile.
    """

    def __init__(self, recording: Recording, lead: Lead | None, *, sized: bool) -> None:
        self.info = recording.info
        self._recording, self._lead = recording, lead
        # A response that is stale at once answers no other request.
        if not recording.active or (self.info.ttl is not None and self.info.ttl <= 0):
            self._end(True)
        elif lead is not None:
            lead.show(BODY_PATIENCE if sized else STILL_PATIENCE, STILL_PATIENCE)

    @property
    def active(self) -> bool:
        """Whether the body is being stored."""
        return self._recording.active

    def writes(self, more: int) -> bool:
        """Returns whether `write` of so many bytes may block."""
        return self._recording.writes(more)

    def write(self, piece: bytes) -> None:
        """Records the next piece of the body."""
        self._recording.write(piece)
        if self._lead is not None:
            self._lead.move()
        if not self._recording.active:
            self._end(True)

    def finish(self) -> None:
        """Ends the body, which is complete."""
        self._recording.finish()
        self._end(True)

    def abort(self) -> None:
        """Gives up the rest of the body. Does nothing after its end."""
        if self._recording.active:
            self._recording.abort()
        self._end(False)

    def _end(self, answered: bool) -> None:
        if self._lead is not None:
            self._lead.end(answered)
            self._lead = None


Answer = Reply | RecordedResponse
Exchange = Generator[Send | Wait | Work, Any, Answer]


class Driver:
    """Makes the exchanges of one client.

    Args:
        cache: The cache.
        network_errors: The exceptions that the client raises if the network fails.
    """

    def __init__(self, cache: Cache, network_errors: ErrorTypes) -> None:
        self.cache, self._network_errors = cache, network_errors
        self._leads = Leads()
        self._refreshing = 0
        self._lock = threading.Lock()

    def exchange(
        self,
        request: CacheRequest,
        ticket: Ticket,
        *,
        owner: object,
        unseen_inputs: bool,
        timeout: CallerTimeout | None = None,
    ) -> Exchange:
        """Returns the exchange of a request that the cache did not answer at once.

        Args:
            request: The request.
            ticket: The ticket that the cache gave for it.
            owner: The thread or task that asks.
            unseen_inputs: Whether the client may add inputs that the cache does not see.
            timeout: The caller's own timeout.
        """
        first = ticket
        lead: Lead | None = None
        beside: Wait | None = None
        while (key := ticket.shared_key) is not None:
            lead, mine = self._leads.join(key, owner, ticket.age)
            if mine:
                found = request.ask(self.cache) if lead.late else ticket
                if not isinstance(found, Ticket):
                    lead.end(True)
                    return cast("Reply", found).collapsed(first)
                ticket = found
                break
            ahead, lead = lead, None
            # A caller that asks for the response it is reading would wait for itself.
            if ahead.owner == owner:
                break
            beside = (
                Wait(ahead, timeout.seconds if timeout else None)
                if beside is None
                else beside.after(ahead)
            )
            waited = yield beside
            if waited is Waited.TIMED_OUT:
                assert timeout is not None
                return (yield from self._failed(ticket, timeout.error()))
            if waited is not Waited.OVER:
                return (
                    yield from self._send(
                        request, ticket, None, unseen_inputs, timeout, beside, first
                    )
                )
            found = request.ask(self.cache)
            if not isinstance(found, Ticket):
                return cast("Reply", found).collapsed(first)
            ticket = found
            if ahead.answered:
                # The response could not be shared.
                break
        return (yield from self._send(request, ticket, lead, unseen_inputs))

    def refresh(
        self, request: CacheRequest, ticket: Ticket, *, unseen_inputs: bool
    ) -> Exchange | None:
        """Returns the exchange of a background refresh.

        Returns None if the request is in flight already, or if too many refreshes are.
        """
        key = ticket.shared_key
        with self._lock:
            if key is None or self._refreshing >= MAX_REFRESHES:
                return None
            lead, mine = self._leads.join(key, None, ticket.age)
            if not mine:
                return None
            if lead.late:
                found = request.ask(self.cache)
                again = found.refresh if isinstance(found, Reply) else found
                if again is None:
                    lead.end(True)
                    return None
                ticket = again
            self._refreshing += 1
        return self._send(request, ticket, lead, unseen_inputs)

    def refresh_ended(self) -> None:
        """Records that a refresh ended, with or without success."""
        with self._lock:
            self._refreshing -= 1

    def _failed(self, ticket: Ticket, error: Exception) -> Exchange:
        """Uses a stored response instead of a failed request, or raises the error."""
        reply: Reply | None = yield Work(ticket.fail)
        if reply is None:
            raise error
        return reply

    def _send(
        self,
        request: CacheRequest,
        ticket: Ticket,
        lead: Lead | None,
        unseen_inputs: bool,
        timeout: CallerTimeout | None = None,
        beside: Wait | None = None,
        first: Ticket | None = None,
    ) -> Exchange:
        def lookup() -> Reply | None:
            found = request.ask(self.cache)
            return found.collapsed(first or ticket) if isinstance(found, Reply) else None

        answered = False
        try:
            while True:
                headers = ticket.headers
                unchanged = headers == [(name.lower(), value) for name, value in request.headers]
                try:
                    head = yield Send(None if unchanged else headers, beside, lookup)
                except self._network_errors as error:
                    answered = True
                    return (yield from self._failed(ticket, error))
                except TimedOut:
                    assert timeout is not None
                    return (yield from self._failed(ticket, timeout.error()))
                if isinstance(head, Reply):
                    return head
                beside = None
                settle = _Settle(ticket, head, unseen_inputs)
                settled = (yield Work(settle)) if ticket.writes else settle()
                if isinstance(settled, Recording):
                    sized = any(name.lower() == b"content-length" for name, _ in head.headers)
                    recorded = RecordedResponse(settled, lead, sized=sized)
                    lead = None
                    return recorded
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
    head: ResponseHead
    unseen_inputs: bool

    def __call__(self) -> Recording | Reply | Ticket:
        status, headers, version, as_sent = self.head
        return self.ticket.settle(
            status, headers, version=version, unseen_inputs=self.unseen_inputs, as_sent=as_sent
        )


def run_exchange(
    exchange: Exchange,
    network_errors: ErrorTypes,
    send: Callable[[Headers | None], ResponseHead],
    discard: Callable[[], object],
) -> Answer:
    """Runs an exchange on this thread.

    Args:
        exchange: The exchange.
        network_errors: The exceptions that `send` raises if the network fails.
        send: Sends the request.
        discard: Releases a response that is no longer needed.
    """
    thrown: ErrorTypes = (*network_errors, TimedOut)
    try:
        step = next(exchange)
        while True:
            if isinstance(step, Send):
                try:
                    head = _send(step, send, discard)
                except thrown as error:
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
    step: Send, send: Callable[[Headers | None], ResponseHead], discard: Callable[[], object]
) -> ResponseHead | Reply:
    if step.beside is None:
        return send(step.headers)
    return Beside(step.beside, lambda: send(step.headers), discard, step.lookup).run()


async def run_exchange_async(
    exchange: Exchange,
    network_errors: ErrorTypes,
    send: Callable[[Headers | None], Coroutine[Any, Any, ResponseHead]],
    discard: Callable[[], Awaitable[object]],
) -> Answer:
    """Runs an exchange in this task; arguments as for `run_exchange`."""
    thrown: ErrorTypes = (*network_errors, TimedOut)
    try:
        step = next(exchange)
        while True:
            if isinstance(step, Send):
                try:
                    head = await _send_request_async(step, send, discard)
                except thrown as error:
                    step = exchange.throw(error)
                else:
                    step = exchange.send(head)
            elif isinstance(step, Wait):
                step = exchange.send(await _wait_async(step))
            else:
                step = exchange.send(await run_in_thread(step.call))
    except StopIteration as done:
        return cast("Answer", done.value)
    finally:
        exchange.close()


async def _send_request_async(
    step: Send,
    send: Callable[[Headers | None], Coroutine[Any, Any, ResponseHead]],
    discard: Callable[[], Awaitable[object]],
) -> ResponseHead | Reply:
    loop = _running_loop()
    if step.beside is None or loop is None:
        return await send(step.headers)
    lead = step.beside.lead
    sending = loop.create_task(send(step.headers))
    over = loop.create_task(_signalled(lead.ended))
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
            if (found := step.lookup()) is not None:
                return found
    finally:
        over.cancel()
        if not sending.done():
            sending.cancel()
            await asyncio.wait({sending})
            if not sending.cancelled():
                # Retrieve an exception, or asyncio reports it as never retrieved.
                sending.exception()
            await discard()


async def _wait_async(wait: Wait) -> Waited:
    if _running_loop() is None:
        # Requests are not coalesced under trio.
        return Waited.IMPATIENT
    while isinstance(step := wait.next(), Pause):
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_signalled(step.signal), step.seconds)
    return step


async def _signalled(signal: Signal) -> None:
    """Waits for a signal, which any thread may set."""
    loop, event = asyncio.get_running_loop(), asyncio.Event()

    def wake() -> None:
        # The loop may be closed already.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(event.set)

    signal.call(wake)
    await event.wait()


async def run_in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """Calls a function that may block in a thread; under trio, in place."""
    loop = _running_loop()
    return call(*arguments) if loop is None else await loop.run_in_executor(None, call, *arguments)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    """Returns the loop of asyncio, or None under trio."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def current_task() -> asyncio.Task[Any] | None:
    """Returns the current task, or None outside asyncio."""
    return None if _running_loop() is None else asyncio.current_task()


class BackgroundTasks:
    """Background tasks of an event loop, referenced here so that they are not collected."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(
        self, work: Coroutine[Any, Any, None], after: Callable[[], None] | None = None
    ) -> None:
        """Starts `work`, and calls `after` at its end, even if it never began."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if after is not None:
                after()

        task.add_done_callback(done)

    async def cancel(self) -> None:
        """Cancels the tasks that still run."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.gather(*tasks, return_exceptions=True)
