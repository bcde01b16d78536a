"""The Rust half of the package: the native cache, and the formats of requests-cache.

The docstrings are those of crates/lacre-py; tests/test_docstrings.py compares them.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from os import PathLike
from pathlib import Path
from typing import Any, TypedDict, final, type_check_only

from ._options import RequestOptions

__all__ = [
    "BadSignature",
    "BrokenData",
    "Cache",
    "CacheInfo",
    "ConfigError",
    "Keyring",
    "LacreError",
    "LazyDict",
    "Recording",
    "Reply",
    "SealedBuffer",
    "SealedValues",
    "Serializer",
    "Ticket",
    "Transport",
    "__version__",
    "cache_key",
    "normalize_url",
    "pickle_dumps",
    "pickle_loads",
    "plain_key",
    "run_command_line",
]

__version__: str

class LacreError(Exception):
    """Anything that lacre could not do."""

class BadSignature(LacreError):
    """Not signed, not with this key, or changed since."""

class BrokenData(LacreError):
    """Not what requests-cache writes, or what only running code could read."""

class ConfigError(LacreError):
    """A setting that cannot be."""

@type_check_only
class PlainRequest(TypedDict):
    """A request; header names in their own case."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    cookies: list[tuple[str, str]]

@type_check_only
class PlainResponse(TypedDict):
    """A stored response; times are seconds, since 1970 where they are moments, in whole milliseconds."""

    status_code: int
    reason: str | None
    url: str
    headers: list[tuple[str, str]]
    content: bytes
    encoding: str | None
    cookies: list[tuple[str, str]]
    elapsed: float
    created_at: float
    expires: float | None
    request: PlainRequest
    history: list[PlainResponse]
    next: PlainRequest | None

@final
class Serializer:
    """Reads and writes stored responses as requests-cache does.

    `format` is "pickle", "json" or "yaml"; without one, every format is read and pickle is written. With
    `secrets`, the oldest first, what is written is signed with the last of them, and what is read must be
    signed with one.
    """

    def __new__(
        cls, format: str | None = None, *, secrets: Sequence[bytes] = ..., salt: bytes | None = None
    ) -> Serializer: ...
    def loads(self, data: bytes) -> PlainResponse:
        """The response in `data`. Raises BadSignature, or BrokenData for any other, never run."""

    def dumps(self, response: PlainResponse) -> bytes:
        """The bytes of a response."""

@final
class Keyring:
    """The keys that seal. It never shows them."""

    @staticmethod
    def user() -> Keyring:
        """That of the user who runs this program, as the command line uses it; made if there is none."""

    @staticmethod
    def load(reference: str) -> Keyring:
        """What a reference names: `keyring:SERVICE/USER`, `env:NAME`, `file:PATH` and so on."""

    @staticmethod
    def of_secret(secret: bytes) -> Keyring:
        """Of a secret: at least 32 random bytes in any form. Raises ConfigError for a weaker one."""

    @staticmethod
    def of_text(text: str) -> Keyring:
        """Of a reference, if the text begins with a word and a colon; else of the secret that it is.

        Raises ConfigError for a misspelt reference, so that none becomes a secret.
        """

    def original(self, store: bytes, path: str | PathLike[str]) -> Path | None:
        """The path of the store that the one at `path` is a copy of: it has the same id, and is still there.

        None: it is no copy; its place is noted beside the keyring.
        """

@final
class SealedValues:
    """Seals values of plain data, and opens them where they were sealed and nowhere else.

    Of several keyrings, the oldest first, the last one seals, and all open.
    """

    def __new__(cls, keyrings: Sequence[Keyring]) -> SealedValues: ...
    def seal(self, store: bytes, table: str, key: str, value: object, now: float) -> bytes:
        """What to store for a value under `key` in the table of a store; `now` in seconds since 1970."""

    def buffer(self, length: int) -> SealedBuffer:
        """Room for stored bytes that come in pieces, `length` of them together."""

    def open(
        self, store: bytes, table: str, key: str, sealed: bytes | SealedBuffer, now: float
    ) -> Any:
        """The value that is stored so, a dict as `Plain`. Raises BadSignature for anything else."""

@final
class SealedBuffer:
    """Stored bytes that come in pieces, for `SealedValues.open`, which takes them."""

    def push(self, piece: bytes) -> None:
        """Puts a piece behind those that are there. Raises ValueError where there is no room for it."""

@final
class LazyDict:
    """A response as a dict of plain values, which become objects of Python when they are asked for."""

    def get(self, name: str) -> Any:
        """The value of a field; `None` if there is none."""

    def __contains__(self, key: str, /) -> bool: ...
    def header(self, name: str) -> str | None:
        """A header of the response; names are compared without case."""

    def request_header(self, name: str) -> str | None:
        """A header of the request that it answers."""

def pickle_loads(data: bytes) -> Any:
    """The value of a pickle of plain data. Raises BrokenData for any other: nothing is ever run."""

def pickle_dumps(value: object) -> bytes:
    """The pickle of plain data. Raises TypeError for anything else."""

def cache_key(
    request: PlainRequest,
    *,
    ignored_parameters: Sequence[str] = ...,
    content_root_key: str | None = None,
    match_headers: bool | Sequence[str] = ...,
    verify: bool = True,
    serializer: str = "",
) -> str:
    """The key that requests-cache gives to a request: 16 hexadecimal digits."""

def normalize_url(url: str, ignored_parameters: Sequence[str] = ...) -> str:
    """A URL as its key sees it, without the values of `ignored_parameters`."""

def run_command_line(arguments: Sequence[str]) -> int:
    """Does what the arguments ask for, the name of the program first, and returns the exit code."""

@final
class Cache:
    """lacre's own cache: by RFC 9111, for one user, sealed and encrypted; of the same format as the command line's.

    `path` is a file of its own, or says where the store is: "sqlite:PATH", "dir:PATH" or ":memory:"; by default where
    LACRE_STORE says, or else that of the command line. `key` is a keyring or a reference such as "env:NAME"; by default
    where LACRE_KEY says, or else that of the user, as in the command line. It must not lie beside the file.
    `origin` says how much the origin's word counts: "obeyed" (`expire_after` fills its silence), "first", "ignored".
    `partition_by_headers` are headers that tell on whose behalf a request is made, besides the listed names.
    `on_tamper` says what becomes of an answer whose seal does not hold: "refetch", "raise" or "refuse" (504).
    `memory` is how many bytes of what was read are kept in memory. `clock` returns seconds since 1970; `on_event` is
    told what happens beside answers: a name, the row and a line, which `logging` gets, too, as `lacre.seal` and
    `lacre.store`. Threads may share it, and forked processes.
    """

    def __new__(
        cls,
        path: str | PathLike[str] | None = None,
        *,
        key: Keyring | str | None = None,
        namespace: str = ...,
        expire_after: float | timedelta | datetime | str | None = None,
        urls_expire_after: Mapping[str, float | timedelta | datetime | str] | None = None,
        allowable_codes: Sequence[int] | None = None,
        allowable_methods: Sequence[str] | None = None,
        match_headers: bool | Sequence[str] = ...,
        ignored_parameters: Sequence[str] = ...,
        partition_by_headers: Sequence[str] = ...,
        stale_if_error: bool | float | timedelta | None = None,
        stale_while_revalidate: bool | float | timedelta | None = None,
        always_revalidate: bool = False,
        read_only: bool = False,
        shared: bool = False,
        partition_by_cookies: bool = False,
        origin: str | None = None,
        max_body: int | None = None,
        max_bytes: int | None = None,
        memory: int = 0,
        on_tamper: str = "refetch",
        clock: Callable[[], float] | None = None,
        on_event: Callable[[str, str | None, str], object] | None = None,
    ) -> Cache: ...
    def ask(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[bytes, bytes]],
        body: bytes | None = ...,
        options: RequestOptions | None = None,
        transport: Transport | None = None,
    ) -> Reply | Ticket | None:
        """What to do with a request: a reply to give, or a ticket for the network.

        None: send it as it is; it is none that HTTP knows. `body` is None where it is a stream. `transport` is how the
        client reaches the origin, where that is not the usual way: what differs in it is never shared.
        """

    def clear(self) -> None:
        """Removes everything that is stored."""

    def close(self) -> None:
        """Writes out what is pending. The cache can be used again."""

@final
class CacheInfo:
    """What the cache did with a request."""

    @property
    def from_cache(self) -> bool:
        """Whether the caller gets a stored answer."""

    @property
    def cache_status(self) -> str:
        """The member of `Cache-Status` (RFC 9211), such as `lacre; hit; ttl=60`."""

    @property
    def hit(self) -> bool:
        """Whether the cache answered without asking anybody."""

    @property
    def revalidated(self) -> bool:
        """Whether the origin confirmed what was stored."""

    @property
    def stored(self) -> bool:
        """Whether the network's answer is stored, once it was read to its end."""

    @property
    def collapsed(self) -> bool:
        """Whether another request brought the answer, at the same time."""

    @property
    def forward(self) -> str | None:
        """Why the request was sent on, as a token of RFC 9211."""

    @property
    def ttl(self) -> int | None:
        """Seconds of freshness left, negative when stale."""

    @property
    def detail(self) -> str | None:
        """More about the why."""

    @property
    def key(self) -> str | None:
        """The row, as the command line names it."""

    @property
    def stored_at(self) -> float | None:
        """When the answer was received, or last confirmed, in seconds since 1970."""

@final
class Reply:
    """An answer from the cache."""

    @property
    def status(self) -> int: ...
    @property
    def version(self) -> int:
        """Ten times the version of HTTP by which it came: 9, 10, 11, 20 or 30."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Names in lower case."""

    @property
    def info(self) -> CacheInfo:
        """What the cache did."""

    @property
    def body(self) -> bytes | None:
        """All of the body, where it lies in memory; None: it is to be read with `next`."""

    @property
    def refresh(self) -> Ticket | None:
        """The request to send in the background."""

    def next(self) -> bytes | None:
        """The next piece of the body; None at its end.

        Raises BadSignature where a piece does not hold: what came before is not the whole.
        """

    def collapsed(self, ticket: Ticket) -> Reply:
        """The same for a request that waited for another one, instead of what `ticket` would have sent."""

@final
class Ticket:
    """A request under way. Whoever drops it gives up: nothing is stored."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """What to send: the caller's headers, perhaps with conditions about what is stored."""

    @property
    def shared_key(self) -> bytes | None:
        """What requests have in common that can share an answer under way; None: this one can not."""

    @property
    def age(self) -> float:
        """Seconds since the cache was asked. What was stored meanwhile, it may not know of."""

    @property
    def writes(self) -> bool:
        """Whether settling it may write to the store, which may wait for a lock."""

    @property
    def info(self) -> CacheInfo:
        """What the cache did so far."""

    def settle(
        self,
        status: int,
        headers: Iterable[tuple[bytes, bytes]],
        *,
        version: int | None = None,
        unseen_inputs: bool = False,
        as_sent: bool = True,
    ) -> Recording | Reply | Ticket:
        """Takes the head of the network's answer: it is passed on, a stored one takes its place, or another request
        is to be sent.

        `version`: ten times that of HTTP, where it is known. `blind`: something below may have added what the cache does not see. `as_sent`: the body comes as the origin
        sent it; where it does not, it is not stored.
        """

    def fail(self) -> Reply | None:
        """Takes that the network failed: a stored answer may stand in."""

@final
class Recording:
    """The network's answer on its way to the caller, stored as it passes. Whoever drops it before `finish` stores
    nothing."""

    @property
    def info(self) -> CacheInfo:
        """What the cache did."""

    @property
    def active(self) -> bool:
        """Whether the body is stored as it passes."""

    def writes(self, more: int) -> bool:
        """Whether taking in `more` bytes writes to the store, which may wait for a lock."""

    def write(self, bytes: bytes) -> None:
        """Takes in the next bytes of the body. What is known to be the end of it is stored."""

    def finish(self) -> None:
        """The body is complete, and can be served; not where it is shorter than its Content-Length said."""

    def abort(self) -> None:
        """The body broke off: nothing is stored."""

def plain_key(url: str, ignored_parameters: Sequence[str], serializer: str) -> str | None:
    """The key of a GET request for a URL that requests sends as it is written; `None` if it might not."""

@final
class Transport:
    """How a client reaches origins. The usual way is a connection to the host of the URL that accepts the certificates
    that the client trusts by default, and shows none. Each method returns another one; what concerns TLS counts for
    `https` only, a proxy for `http` only."""

    def __new__(cls, *, environment: bool = False) -> Transport:
        """The usual way; `environment`: with the certificates that `SSL_CERT_FILE` and `SSL_CERT_DIR` name."""

    def unverified(self) -> Transport:
        """Certificates are not verified, or not all that belongs to it."""

    def roots(self, roots: Sequence[bytes]) -> Transport:
        """Certificates are verified against these."""

    def client_certificate(self, pem: bytes) -> Transport:
        """The client shows this certificate; a private key beside it does not count."""

    def verified_name(self, name: str) -> Transport:
        """Certificates are verified for this name, not for the host of the URL."""

    def proxy(self, url: str) -> Transport:
        """Requests go through this proxy, whose URL is given without credentials."""

    def route(self, route: str) -> Transport:
        """Requests go this way, not to the host of the URL: a Unix socket, an address given for the host."""

    def unseen_input(self, id: str) -> Transport:
        """There is more that the driver cannot see, for which `id` stands."""
