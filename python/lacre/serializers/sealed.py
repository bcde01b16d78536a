"""Encrypted responses, each sealed to its place in a store (docs/format.md §14)."""

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

#: The backends that seal by default. Data in memory never leaves the process.
_SEALED_BACKENDS = {"sqlite", "filesystem", "redis"}


class StoreTable(NamedTuple):
    """A table of a store.

    Args:
        store: The id of the store, 16 random bytes.
        table: The name of the table.
    """

    store: bytes
    table: str

    @classmethod
    def of(cls, store: Any, table: str) -> StoreTable:
        """Checks the id of a store.

        Args:
            store: The id.
            table: The name of the table.

        Raises:
            BadSignature: The id is malformed.
        """
        if not isinstance(store, bytes) or len(store) != 16:
            raise BadSignature(
                "the id of this store is damaged, so that no entry can be opened; delete the store"
            )
        return cls(store, table)


class LocatedValue(NamedTuple):
    """A value or its sealed bytes, with their place.

    Args:
        place: The table.
        key: The key in the table.
        value: The value, or its sealed bytes.
    """

    place: StoreTable
    key: str
    value: Any


class SealedSerializer(SerializerPipeline):
    """Encrypts and seals values. A value opens only under its own key in its own store.

    Args:
        secret_key: At least 32 random bytes in any encoding, a reference (`keyring:SERVICE/USER`,
            `env:NAME`, `file:PATH`), a `Keyring`, or a list of these: the last one seals, any of
            them opens. By default the keyring of `LACRE_KEY`, else that of the user, which the
            command line uses, too. A text that begins with a word and a colon is a reference: pass
            such a secret as bytes.

    Raises:
        ConfigError: A secret is too weak, or a reference is misspelt.
        LacreError: A key cannot be loaded.
    """

    def __init__(self, secret_key: SecretKey | None = None) -> None:
        super().__init__([CattrStage()], name="sealed", is_binary=True)
        keyrings = _keyrings(secret_key)
        self._keyring = keyrings[-1] if keyrings else None
        self._values = SealedValues(keyrings)

    def original(self, store: bytes, path: Path) -> Path | None:
        """Returns the path of the original if a store is a copy, otherwise registers the store.

        Args:
            store: The id of the store.
            path: The path of the store.
        """
        return None if self._keyring is None else self._keyring.original(store, path)

    def copy(self) -> SealedSerializer:
        # It has no state that belongs to a storage.
        return self

    def set_decode_content(self, decode_content: bool) -> None:
        """Does nothing: encrypted bodies are never stored as values.

        Args:
            decode_content: Ignored.
        """

    def buffer(self, length: int) -> SealedBuffer:
        """Returns an empty buffer, which `loads` accepts instead of bytes.

        Args:
            length: The length of the sealed bytes.
        """
        return self._values.buffer(length)

    def dumps(self, value: LocatedValue) -> bytes:
        """Seals a value to its place.

        Args:
            value: The value with its place.
        """
        place, key, plain = _located(value)
        return self._values.seal(*place, key, super().dumps(plain), utcnow().timestamp())

    def loads(self, value: LocatedValue) -> Any:
        """Opens a sealed value.

        Args:
            value: The sealed bytes with their place.

        Raises:
            BadSignature: The value was sealed with another key or to another place, or was changed.
        """
        place, key, stored = _located(value)
        sealed = stored if type(stored) in (bytes, SealedBuffer) else encode(stored)
        found = self._values.open(*place, key, sealed, utcnow().timestamp())
        if not isinstance(found, LazyDict):
            return found
        # This package wrote it, so that every field can be read later.
        return (
            from_plain(found, PLAIN)
            if "_decoded_content" in found
            else CachedResponse.lazily(found, read_field)
        )


def _located(value: Any) -> LocatedValue:
    if not isinstance(value, LocatedValue):
        raise TypeError(
            "a sealed value needs a place, which a backend knows; pass this serializer to one"
        )
    return value


def choose_serializer(backend: Any, serializer: Any, secret_key: SecretKey | None) -> Any:
    """Returns the serializer of a session: sealed, unless it or its backend has another one.

    Args:
        backend: The backend or its alias.
        serializer: The serializer that the user has chosen.
        secret_key: The secret that the user has given.

    Raises:
        ConfigError: `secret_key` is given, but the backend or the serializer cannot seal.
    """
    if secret_key is None:
        by_name = str(backend or "sqlite").lower() if isinstance(backend, str | None) else None
        return (
            SealedSerializer() if serializer is None and by_name in _SEALED_BACKENDS else serializer
        )
    if not isinstance(backend, str | None):
        raise ConfigError(
            "secret_key needs a backend alias; pass SealedSerializer(secret_key) to your backend"
        )
    if serializer not in (None, "sealed"):
        raise ConfigError(
            "secret_key needs no serializer; to sign only, use safe_pickle_serializer(secret_key)"
        )
    return SealedSerializer(secret_key)


def _keyrings(secret_key: SecretKey | None) -> list[Keyring]:
    if secret_key is None:
        try:
            return [Keyring.user()]
        except ConfigError:
            raise
        except LacreError as error:
            remedy = "or pass secret_key=, a serializer= of requests-cache, or backend='memory'"
            raise LacreError(f"{error}; {remedy}") from None
    if isinstance(secret_key, str | bytes | Keyring):
        return [_keyring(secret_key)]
    return [_keyring(each) for each in secret_key]


def _keyring(secret: str | bytes | Keyring) -> Keyring:
    if isinstance(secret, Keyring):
        return secret
    return Keyring.of_text(secret) if isinstance(secret, str) else Keyring.of_secret(secret)
