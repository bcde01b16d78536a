"""Responses that are encrypted, and sealed to the place where they lie (docs/format.md §14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .._lacre import (
    BadSignature,
    ConfigError,
    Keyring,
    LacreError,
    LazyDict,
    SealedBuffer,
    SealedValues,
)
from .._utils import encode
from ..models import CachedResponse
from ..policy.expiration import utcnow
from .cattrs import CattrStage
from .pipeline import SerializerPipeline
from .plain import PLAIN, from_plain, read_field

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    #: A secret, a reference to one, a keyring, or several of them, the oldest first.
    SecretKey = str | bytes | Keyring | Sequence[str | bytes | Keyring]

#: The backends that are sealed if nothing else is said. What is in memory leaves the process nowhere.
_SEALED_BACKENDS = {"sqlite", "filesystem", "redis"}


class StoreTable(NamedTuple):
    """A table in a store."""

    #: 16 random bytes that the store keeps.
    store: bytes
    table: str

    @classmethod
    def of(cls, store: Any, table: str) -> StoreTable:
        """That of a store by what it keeps as its id.

        Raises:
            BadSignature: it is no id
        """
        if not isinstance(store, bytes) or len(store) != 16:
            raise BadSignature(
                "the id of this store is damaged, and nothing in it opens; delete the store"
            )
        return cls(store, table)


class LocatedValue(NamedTuple):
    """A value, or the bytes that are stored for it, and where they lie."""

    place: StoreTable
    key: str
    value: Any


class SealedSerializer(SerializerPipeline):
    """Encrypts what is stored, and reads what was stored under the same key of the same store, nothing else.

    Args:
        secret_key: at least 32 random bytes in any form; a reference (`keyring:SERVICE/USER`, `env:NAME`,
            `file:PATH`); a `Keyring`; or a list of those: the last seals, all open. By default the keyring that
            `LACRE_KEY` names, or else that of the user who runs the program, as on the command line. A text that
            begins with a word and a colon is taken for a reference: give such a secret as bytes

    Raises:
        ConfigError: a secret is too weak, or a reference is misspelt
        LacreError: a key cannot be had
    """

    def __init__(self, secret_key: SecretKey | None = None) -> None:
        super().__init__([CattrStage()], name="sealed", is_binary=True)
        keyrings = _keyrings(secret_key)
        self._keyring = keyrings[-1] if keyrings else None
        self._values = SealedValues(keyrings)

    def original(self, store: bytes, path: Path) -> Path | None:
        """The path of the store that the one at `path` is a copy of: it has the same id, and is still there."""
        return None if self._keyring is None else self._keyring.original(store, path)

    def copy(self) -> SealedSerializer:
        # It has nothing that belongs to one storage.
        return self

    def set_decode_content(self, decode_content: bool) -> None:
        """Nobody reads what is encrypted, so that bodies stay as they are."""

    def buffer(self, length: int) -> SealedBuffer:
        """Room for what is stored, `length` bytes of it, for `loads` in place of bytes: filled piece by piece."""
        return self._values.buffer(length)

    def dumps(self, value: LocatedValue) -> bytes:
        """What is stored for a value in its place."""
        place, key, plain = _located(value)
        return self._values.seal(*place, key, super().dumps(plain), utcnow().timestamp())

    def loads(self, value: LocatedValue) -> Any:
        """What was stored there as these bytes.

        Raises:
            BadSignature: not sealed there, not with one of the keys, or changed since
        """
        place, key, stored = _located(value)
        sealed = stored if type(stored) in (bytes, SealedBuffer) else encode(stored)
        found = self._values.open(*place, key, sealed, utcnow().timestamp())
        if not isinstance(found, LazyDict):
            return found
        # What is sealed was written by this package, so that no field can turn out to be unreadable later.
        return (
            from_plain(found, PLAIN)
            if "_decoded_content" in found
            else CachedResponse.lazily(found, read_field)
        )


def _located(value: Any) -> LocatedValue:
    if not isinstance(value, LocatedValue):
        raise TypeError(
            "what is sealed is sealed to a place, which a storage knows: give it this serializer"
        )
    return value


def choose_serializer(backend: Any, serializer: Any, secret_key: SecretKey | None) -> Any:
    """The serializer of a session: a sealed one, unless another is asked for, or a backend that has its own.

    Raises:
        ConfigError: `secret_key` is given, and nothing that it could seal
    """
    if secret_key is None:
        by_name = str(backend or "sqlite").lower() if isinstance(backend, str | None) else None
        return (
            SealedSerializer() if serializer is None and by_name in _SEALED_BACKENDS else serializer
        )
    if not isinstance(backend, str | None):
        raise ConfigError(
            "secret_key needs a backend by name; give yours serializer=SealedSerializer(secret_key)"
        )
    if serializer not in (None, "sealed"):
        raise ConfigError(
            "secret_key seals: leave serializer out; or sign, with safe_pickle_serializer(secret_key)"
        )
    return SealedSerializer(secret_key)


def _keyrings(secret_key: SecretKey | None) -> list[Keyring]:
    if secret_key is None:
        try:
            return [Keyring.user()]
        except ConfigError:
            raise
        except LacreError as error:
            remedy = "or give the session a secret_key=, a serializer= of requests-cache, or backend='memory'"
            raise LacreError(f"{error}; {remedy}") from None
    if isinstance(secret_key, str | bytes | Keyring):
        return [_keyring(secret_key)]
    return [_keyring(each) for each in secret_key]


def _keyring(secret: str | bytes | Keyring) -> Keyring:
    if isinstance(secret, Keyring):
        return secret
    return Keyring.of_text(secret) if isinstance(secret, str) else Keyring.of_secret(secret)
