"""The Rust half: what requests-cache stored is read and written here, and requests get their names."""

from collections.abc import Sequence
from typing import Any, TypedDict, final, type_check_only

__all__ = [
    "BadSignature",
    "BrokenData",
    "ConfigError",
    "Keyring",
    "LacreError",
    "SealedValues",
    "Serializer",
    "__version__",
    "cache_key",
    "normalize_url",
    "pickle_dumps",
    "pickle_loads",
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

@final
class SealedValues:
    """Seals values of plain data, and opens them where they were sealed and nowhere else.

    Of several keyrings, the oldest first, the last one seals, and all open.
    """

    def __new__(cls, keyrings: Sequence[Keyring]) -> SealedValues: ...
    def seal(self, store: bytes, table: str, key: str, value: object, now: float) -> bytes:
        """What to store for a value under `key` in the table of a store; `now` in seconds since 1970."""

    def open(self, store: bytes, table: str, key: str, sealed: bytes, now: float) -> Any:
        """The value that is stored so. Raises BadSignature for anything else."""

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
