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
    """The base class of lacre's errors."""

class BadSignature(LacreError):
    """The data is unsigned, signed with another key, or was changed after it was signed."""

class BrokenData(LacreError):
    """The data is malformed, or is a pickle that only running code could read."""

class ConfigError(LacreError):
    """A setting is invalid."""

@type_check_only
class PlainRequest(TypedDict):
    """A request. Header names keep their case."""

    method: str
    url: str
    headers: list[tuple[str, str]]
    body: bytes
    cookies: list[tuple[str, str]]

@type_check_only
class PlainResponse(TypedDict):
    """A stored response. Times are seconds since 1970, in whole milliseconds."""

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

    Args:
        format: "pickle", "json" or "yaml". By default it reads every format and writes pickle.
        secrets: Secrets for signatures, the oldest first. The last one signs; any of them verifies.
            Without secrets, data is neither signed nor verified.
        salt: The salt of itsdangerous; `b"requests-cache"` by default.
    """

    def __new__(
        cls, format: str | None = None, *, secrets: Sequence[bytes] = ..., salt: bytes | None = None
    ) -> Serializer: ...
    def loads(self, data: bytes) -> PlainResponse:
        """Reads a response and returns it as a dict.

        Args:
            data: The stored bytes.

        Raises:
            BadSignature: The signature is missing or wrong.
            BrokenData: The data is no response, or a pickle that only running code could read.
        """

    def dumps(self, response: PlainResponse) -> bytes:
        """Writes a response and returns its bytes.

        Args:
            response: The response, as a dict.
        """

@final
class Keyring:
    """The keys that seal stored data. It never shows them."""

    @staticmethod
    def user() -> Keyring:
        """Returns the keyring of the user, as the command line does. Creates it if needed."""

    @staticmethod
    def load(reference: str) -> Keyring:
        """Loads the keyring that a reference names.

        Args:
            reference: `keyring:SERVICE/USER`, `env:NAME`, `file:PATH` and so on.
        """

    @staticmethod
    def of_secret(secret: bytes) -> Keyring:
        """Derives a keyring from a secret.

        Args:
            secret: At least 32 random bytes, in any encoding.

        Raises:
            ConfigError: The secret is too weak.
        """

    @staticmethod
    def of_text(text: str) -> Keyring:
        """Loads a keyring from a reference, or derives it from a secret.

        Args:
            text: A reference if it begins with a word and a colon, otherwise a secret.

        Raises:
            ConfigError: The reference is misspelt. It is never taken for a secret.
        """

    def original(self, store: bytes, path: str | PathLike[str]) -> Path | None:
        """Returns the path of the original if a store is a copy, otherwise registers the store.

        A store is a copy if another one with its id is registered and still exists.

        Args:
            store: The id of the store, 16 bytes.
            path: The path of the store.
        """

@final
class SealedValues:
    """Seals values of plain data to a place in a store, and opens them at that place only.

    Args:
        keyrings: The keyrings, the oldest first. The last one seals; any of them opens.
    """

    def __new__(cls, keyrings: Sequence[Keyring]) -> SealedValues: ...
    def seal(self, store: bytes, table: str, key: str, value: object, now: float) -> bytes:
        """Seals a value and returns the bytes to store.

        Args:
            store: The id of the store, 16 bytes.
            table: The table of the value.
            key: The key of the value.
            value: Plain data.
            now: Seconds since 1970.
        """

    def buffer(self, length: int) -> SealedBuffer:
        """Returns an empty buffer for stored bytes that arrive in pieces.

        Args:
            length: The length of all pieces together.
        """

    def open(
        self, store: bytes, table: str, key: str, sealed: bytes | SealedBuffer, now: float
    ) -> Any:
        """Opens a sealed value; a dict comes as a `LazyDict`.

        Args:
            store: The id of the store, 16 bytes.
            table: The table of the value.
            key: The key of the value.
            sealed: The stored bytes, or a buffer of them, which is emptied.
            now: Seconds since 1970.

        Raises:
            BadSignature: The value was sealed with another key or to another place, or was changed.
        """

@final
class SealedBuffer:
    """A pooled buffer of sealed bytes that arrive in pieces, for `SealedValues.open`."""

    def push(self, piece: bytes) -> None:
        """Appends a piece.

        Args:
            piece: The next bytes.

        Raises:
            ValueError: The pieces are longer than the length of the buffer.
        """

@final
class LazyDict:
    """A stored response as a dict of plain data, converted to Python field by field on access."""

    def get(self, name: str) -> Any:
        """Returns the value of a field, or None if the field is absent.

        Args:
            name: The name of the field.
        """

    def __contains__(self, key: str, /) -> bool: ...
    def header(self, name: str) -> str | None:
        """Returns the value of a response header, or None if it is absent.

        Args:
            name: The name of the header, in any case.
        """

    def request_header(self, name: str) -> str | None:
        """Returns the value of a header of the request that was answered, or None if it is absent.

        Args:
            name: The name of the header, in any case.
        """

def pickle_loads(data: bytes) -> Any:
    """Reads a pickle of plain data. Nothing in it is ever run.

    Args:
        data: The pickle.

    Raises:
        BrokenData: The pickle holds anything but plain data.
    """

def pickle_dumps(value: object) -> bytes:
    """Writes a pickle of plain data.

    Args:
        value: None, a bool, number, text, bytes, or lists, tuples and dicts of these.

    Raises:
        TypeError: The value is anything else.
    """

def cache_key(
    request: PlainRequest,
    *,
    ignored_parameters: Sequence[str] = ...,
    content_root_key: str | None = None,
    match_headers: bool | Sequence[str] = ...,
    verify: bool = True,
    serializer: str = "",
) -> str:
    """Computes the cache key of a request: 16 hexadecimal digits.

    Args:
        request: The request, as a dict.
        ignored_parameters: Names of parameters whose values are left out of the key.
        content_root_key: The field of a JSON body below which parameters are ignored.
        match_headers: The request headers that are part of the key.
        verify: Whether the client verifies certificates, which is part of the key.
        serializer: The name of the serializer, which is part of the key.
    """

def normalize_url(url: str, ignored_parameters: Sequence[str] = ...) -> str:
    """Normalizes a URL as its cache key does.

    Args:
        url: The URL.
        ignored_parameters: Names of parameters whose values are redacted.
    """

def run_command_line(arguments: Sequence[str]) -> int:
    """Runs the command line and returns its exit code.

    It uses the standard streams of the process. Other Python threads run meanwhile.

    Args:
        arguments: The arguments, the name of the program first.
    """

@final
class Cache:
    """lacre's own cache: by RFC 9111, for one user, sealed and encrypted.

    It shares its format, keyring and default store with the command line. Threads and forked
    processes may share it. Pass it to the clients of `lacre.httpx`, `lacre.aiohttp` and
    `lacre.niquests`.

    Args:
        path: A file of its own, or the store: "sqlite:PATH", "dir:PATH" or ":memory:". The default
            is `LACRE_STORE`, else the store of the command line.
        key: A keyring, or a reference such as "env:NAME". The default is `LACRE_KEY`, else the
            keyring of the user. A key file must not be in the directory of the store.
        namespace: A part of the store that shares no entries with other namespaces.
        expire_after: The lifetime of responses that do not state one: seconds, a `timedelta`, an
            aware `datetime` or a text such as "1h30m"; see also `origin`.
        urls_expire_after: Lifetimes by URL pattern. The first pattern that matches wins.
        allowable_codes: The status codes of responses that may be stored.
        allowable_methods: The methods of requests that may be answered from the cache.
        match_headers: Request headers that are part of the key: all, none, or a list of names.
        ignored_parameters: Names of parameters whose values are left out of the key.
        partition_by_headers: More headers that carry credentials. Requests that differ in one share
            no entries.
        stale_if_error: Whether a stale response is used if the origin fails: seconds or a
            `timedelta` past its lifetime, True for any time, False for what the response allows.
        stale_while_revalidate: Whether a stale response is used while it is refreshed in the
            background; values as for `stale_if_error`.
        always_revalidate: Validate every stored response before it is used.
        read_only: Answer from the store, but write nothing to it.
        shared: Follow the rules of a shared cache instead of a private one.
        partition_by_cookies: Let requests with different cookies share no entries.
        origin: How the origin's directives combine with lifetimes set here. "obeyed" (the default):
            `expire_after` applies only if the origin states no lifetime, those of URLs and requests
            override it. "first": the origin overrides them all. "ignored": only the lifetimes set
            here count, and even `no-store` is ignored.
        max_body: The largest body, in bytes, that is stored.
        max_bytes: The size limit of the store in bytes. Entries beyond it are evicted.
        memory: How many bytes of entries are also kept in memory.
        on_tamper: What happens to a stored response whose seal does not hold: "refetch", "raise"
            or "refuse" (answer 504).
        clock: A function that returns seconds since 1970, for tests.
        on_event: A function that gets events other than answers: a name, the row key and a line of
            text. `logging` gets them, too, as `lacre.seal` and `lacre.store`.

    Raises:
        ConfigError: A setting is invalid, or the key file is in the directory of the store.
        LacreError: The store or the keyring cannot be opened.
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
        """Looks a request up.

        Returns a `Reply` to give to the caller, a `Ticket` for a request to the origin, or None if
        the request is not valid HTTP: send it unchanged, without the cache.

        Args:
            method: The method.
            url: The URL.
            headers: The headers, as pairs of bytes.
            body: The body; None if it is a stream.
            options: Options of this request.
            transport: How the client reaches the origin, if not in the default way. Requests that
                differ in it share no entries.
        """

    def clear(self) -> None:
        """Removes all entries of the store."""

    def close(self) -> None:
        """Writes pending changes to the store. The cache can still be used afterwards."""

@final
class CacheInfo:
    """What the cache did with a request."""

    @property
    def from_cache(self) -> bool:
        """Whether the caller gets a stored response."""

    @property
    def cache_status(self) -> str:
        """The member of `Cache-Status` (RFC 9211), for example `lacre; hit; ttl=60`."""

    @property
    def hit(self) -> bool:
        """Whether the cache answered without a request to the origin."""

    @property
    def revalidated(self) -> bool:
        """Whether the origin confirmed the stored response."""

    @property
    def stored(self) -> bool:
        """Whether the origin's response is stored once its body was read to the end."""

    @property
    def collapsed(self) -> bool:
        """Whether another request in flight fetched the response."""

    @property
    def forward(self) -> str | None:
        """Why the request was forwarded, as a token of RFC 9211, or None."""

    @property
    def ttl(self) -> int | None:
        """The remaining freshness in seconds, negative when stale, or None."""

    @property
    def detail(self) -> str | None:
        """Details of the decision, as the `detail` parameter of RFC 9211, or None."""

    @property
    def key(self) -> str | None:
        """The row key, as the command line shows it, or None."""

    @property
    def stored_at(self) -> float | None:
        """When the response was received or last validated, in seconds since 1970, or None."""

@final
class Reply:
    """An answer from the cache."""

    @property
    def status(self) -> int:
        """The status code."""
    @property
    def version(self) -> int:
        """The version of HTTP of the response, times ten: 9, 10, 11, 20 or 30."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers: pairs of bytes, names in lower case."""

    @property
    def info(self) -> CacheInfo:
        """What the cache did."""

    @property
    def body(self) -> bytes | None:
        """The whole body if it is in memory, else None: read it with `next`."""

    @property
    def refresh(self) -> Ticket | None:
        """The request that refreshes the stored response, to be sent in the background, or None."""

    def next(self) -> bytes | None:
        """Returns the next piece of the body, or None at its end.

        Raises:
            BadSignature: The seal of a piece does not hold. The body is incomplete then.
        """

    def collapsed(self, ticket: Ticket) -> Reply:
        """Returns this reply for a request that waited for another one.

        Args:
            ticket: The ticket of the request that waited. It is not sent.
        """

@final
class Ticket:
    """A request that goes to the origin. Dropping it gives up: nothing is stored."""

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """The headers to send: those of the caller, and conditions for a validation."""

    @property
    def shared_key(self) -> bytes | None:
        """The key under which requests in flight are coalesced; None if this one cannot be."""

    @property
    def age(self) -> float:
        """Seconds since the cache was asked. The ticket may not reflect what was stored since."""

    @property
    def writes(self) -> bool:
        """Whether `settle` may write to the store and block: not for an event loop."""

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
        """Takes the status and headers of the origin's response.

        Returns a `Recording` if the caller gets this response, a `Reply` if it gets a stored one,
        and a `Ticket` if another request is to be sent.

        Args:
            status: The status code.
            headers: The headers, as pairs of bytes.
            version: The version of HTTP times ten, if known.
            unseen_inputs: Whether the client may have added credentials that the cache does not
                see. A response that varies by one is not stored.
            as_sent: Whether the body arrives as the origin sent it. If not, it is not stored.
        """

    def fail(self) -> Reply | None:
        """Reports that the request failed. Returns a stored response to use instead, or None."""

@final
class Recording:
    """A response of the origin that is stored while the caller reads it, if the rules allow it.

    Dropping it before `finish` stores nothing.
    """

    @property
    def info(self) -> CacheInfo:
        """What the cache did."""

    @property
    def active(self) -> bool:
        """Whether the body is being stored."""

    def writes(self, more: int) -> bool:
        """Returns whether `write` of so many bytes writes to the store, which may block.

        Never call `write` on an event loop then.

        Args:
            more: The number of bytes.
        """

    def write(self, bytes: bytes) -> None:
        """Records the next bytes of the body. Reaching the Content-Length stores the response.

        Args:
            bytes: The next bytes.
        """

    def finish(self) -> None:
        """Ends the body and stores the response, unless it is shorter than its Content-Length."""

    def abort(self) -> None:
        """Gives up because the body is incomplete: nothing is stored."""

def plain_key(url: str, ignored_parameters: Sequence[str], serializer: str) -> str | None:
    """Computes the key of a GET request without a body, directly from its URL.

    Returns None if requests might rewrite the URL before it sends it.

    Args:
        url: The URL.
        ignored_parameters: Names of parameters whose values are left out of the key.
        serializer: The name of the serializer, which is part of the key.
    """

@final
class Transport:
    """How a client reaches origins. It is part of the key of stored responses.

    By default, a client connects to the host of the URL, trusts the certificates that it trusts by
    default, and shows none. Each method returns a changed copy. TLS settings affect `https` keys
    only, a proxy `http` keys only.

    Args:
        environment: Whether `SSL_CERT_FILE` and `SSL_CERT_DIR` name the trusted certificates.
    """

    def __new__(cls, *, environment: bool = False) -> Transport: ...
    def unverified(self) -> Transport:
        """Turns off the verification of certificates, wholly or in part."""

    def roots(self, roots: Sequence[bytes]) -> Transport:
        """Sets the trusted certificates.

        Args:
            roots: Certificates in PEM, or names for them.
        """

    def client_certificate(self, pem: bytes) -> Transport:
        """Sets the client certificate.

        Args:
            pem: The certificate in PEM. A private key in it is ignored.
        """

    def verified_name(self, name: str) -> Transport:
        """Sets the name that certificates are verified for, instead of the host of the URL.

        Args:
            name: The host name.
        """

    def proxy(self, url: str) -> Transport:
        """Sets the proxy.

        Args:
            url: The URL of the proxy, without credentials.
        """

    def route(self, route: str) -> Transport:
        """Sets where connections go, instead of the host of the URL.

        Args:
            route: A name for the route, such as `unix:/run/app.sock`.
        """

    def unseen_input(self, id: str) -> Transport:
        """Adds an input that the driver cannot inspect, such as an `SSLContext`.

        Args:
            id: An identifier that stands for the input.
        """
