"""The base classes of all backends, and the backend in memory."""

from __future__ import annotations

import sys
from abc import ABC
from collections import UserDict
from collections.abc import Iterable, Iterator, MutableMapping
from contextlib import suppress
from datetime import datetime
from logging import getLogger
from pathlib import Path
from pickle import PickleError
from typing import TYPE_CHECKING, Any, TypeVar
from warnings import warn

from requests import Request, Response

from .. import _lacre
from .._herd import Leads
from ..cache_keys import create_key, redact_response
from ..models import CachedResponse
from ..policy import DEFAULT_CACHE_NAME, CacheSettings, ExpirationTime
from ..serializers import SealedSerializer, SerializerType, init_serializer
from ..serializers.sealed import LocatedValue, StoreTable

if TYPE_CHECKING:
    from ..models import AnyRequest

#: The usual errors of reading what another version or format has stored.
DESERIALIZE_ERRORS = (AttributeError, ImportError, PickleError, TypeError, ValueError)

KT = TypeVar("KT")
VT = TypeVar("VT")

logger = getLogger(__name__)


def is_tampering(error: BaseException) -> bool:
    """Returns whether an error is a wrong signature or seal, which is never ignored silently.

    Args:
        error: The error.
    """
    if isinstance(error, _lacre.BadSignature):
        return True
    # An error of a module that is not imported cannot have been raised.
    itsdangerous = sys.modules.get("itsdangerous")
    return itsdangerous is not None and isinstance(error, itsdangerous.BadData)


class BaseCache:
    """The backend in memory, and the base class of all backends.

    It keeps responses, and redirects to them, in two mappings.

    Args:
        cache_name: The name of the cache.
        kwargs: Ignored here; subclasses take more arguments.
    """

    def __init__(self, cache_name: str = DEFAULT_CACHE_NAME, **kwargs: Any) -> None:
        self.cache_name = cache_name
        self.responses: Any = DictStorage()
        self.redirects: Any = DictStorage()
        self._settings = CacheSettings()
        self._herd = Leads()

    @property
    def db_path(self) -> str | Path:
        """The path of the database file.

        Raises:
            NotImplementedError: The backend has no such file.
        """
        raise NotImplementedError

    def get_response(self, key: str | None, default: Any = None) -> CachedResponse | None:
        """Returns the response under a key, or the one that the key redirects to.

        Args:
            key: The key.
            default: The result if there is none.
        """
        try:
            found: CachedResponse | None = self.responses.get(key)
            # A response with an error status is falsy.
            if found is not None:
                return found
            target: CachedResponse = self.responses[self.redirects[key]]
            return target if self._was_reached_by(key, target) else default
        except (AttributeError, KeyError):
            return default  # type: ignore[no-any-return]

    def save_response(
        self, response: Response, cache_key: str | None = None, expires: datetime | None = None
    ) -> None:
        """Stores a response, redacted, and the redirects that led to it.

        Args:
            response: The response.
            cache_key: The key; by default that of its request.
            expires: When it expires.
        """
        key = cache_key or self.create_key(response.request)
        stored = CachedResponse.from_response(response, expires=expires)
        stored.expires = expires
        hops = (
            [] if stored.revalidated else [self.create_key(hop.request) for hop in response.history]
        )
        # It describes this answer, not later ones from the cache.
        stored.revalidated = False
        self.responses[key] = redact_response(stored, self._settings.ignored_parameters)
        for hop in hops:
            self.redirects[hop] = key

    def _was_reached_by(self, key: str | None, response: CachedResponse) -> bool:
        """Checks a redirect by the history of the response, since redirects are not sealed."""
        if not isinstance(self.responses.serializer, SealedSerializer):
            return True
        return any(self.create_key(hop.request) == key for hop in response.history)

    def clear(self) -> None:
        """Deletes all responses and redirects."""
        logger.info("clearing the cache")
        self.responses.clear()
        self.redirects.clear()

    def close(self) -> None:
        """Closes open files and connections."""
        self.responses.close()
        self.redirects.close()

    def create_key(
        self, request: AnyRequest, match_headers: Iterable[str] | bool | None = None, **kwargs: Any
    ) -> str:
        """Computes the key of a request with the settings of the session.

        Args:
            request: The request.
            match_headers: Headers that are part of the key, instead of those of the settings.
            kwargs: Other arguments of `lacre.cache_keys.create_key`.
        """
        make = self._settings.key_fn or create_key
        return make(
            request=request,
            ignored_parameters=self._settings.ignored_parameters,
            content_root_key=self._settings.content_root_key,
            match_headers=match_headers or self._settings.match_headers,
            serializer=self.responses.serializer,
            **kwargs,
        )

    def contains(
        self,
        key: str | None = None,
        request: AnyRequest | None = None,
        url: str | None = None,
        verify: bool = True,
    ) -> bool:
        """Returns whether a response is stored under a key, for a request or for a URL.

        Args:
            key: The key.
            request: The request.
            url: The URL of a GET request.
            verify: Whether the request verified certificates, which is part of its key.
        """
        if url:
            request = Request("GET", url)
        if request is not None and not key:
            key = self.create_key(request, verify=verify)
        return key in self.responses or key in self.redirects

    def delete(
        self,
        *keys: str,
        expired: bool = False,
        invalid: bool = False,
        older_than: ExpirationTime = None,
        requests: Iterable[AnyRequest] | None = None,
        urls: Iterable[str] | None = None,
        verify: bool = True,
    ) -> None:
        """Deletes the responses that match any of the conditions.

        Args:
            keys: Keys of responses.
            expired: Delete expired responses.
            invalid: Delete responses that cannot be read.
            older_than: Delete responses received before this time, or longer ago than this.
            requests: Delete the responses to these requests.
            urls: Delete the responses to GET requests of these URLs.
            verify: Whether these requests verified certificates, which is part of their keys.
        """
        keys_to_delete = list(keys)
        wanted = [*(requests or ()), *(Request("GET", url).prepare() for url in urls or ())]
        keys_to_delete += [self.create_key(request, verify=verify) for request in wanted]
        found = self.filter(valid=False, expired=expired, invalid=invalid, older_than=older_than)
        keys_to_delete += [response.cache_key for response in found if response.cache_key]
        self.responses.bulk_delete(keys_to_delete)
        self._prune_redirects()

    def _prune_redirects(self) -> None:
        """Deletes redirects to responses that are gone."""
        dangling = [hop for hop, key in self.redirects.items() if key not in self.responses]
        self.redirects.bulk_delete(dangling)

    def filter(
        self,
        valid: bool = True,
        expired: bool = True,
        invalid: bool = False,
        older_than: ExpirationTime = None,
    ) -> Iterator[CachedResponse]:
        """Yields the responses that match any of the conditions.

        Args:
            valid: Responses that are neither expired nor invalid.
            expired: Expired responses.
            invalid: Responses that cannot be read, each as an empty response with status 504.
            older_than: Responses received before this time, or longer ago than this.
        """
        if not (valid or expired or invalid or older_than):
            return
        for key in list(self.responses.keys()):
            response = self._readable(key)
            if response is None:
                if invalid:
                    placeholder = CachedResponse(status_code=504)
                    placeholder.cache_key = key
                    yield placeholder
                continue
            selected = expired if response.is_expired else valid
            if selected or (older_than is not None and response.is_older_than(older_than)):
                yield response

    def _readable(self, key: str) -> CachedResponse | None:
        """Returns the response under a key, or None if it is missing or was tampered with.

        One bad row must not hide the others.
        """
        try:
            return self.get_response(key)
        except Exception as error:
            if not is_tampering(error):
                raise
            logger.error("the signature of a stored response is missing or wrong; it is skipped")
            return None

    def recreate_keys(self) -> None:
        """Moves all responses to the keys that they have with the current settings."""
        for old in list(self.responses.keys()):
            response = self._readable(old)
            if response is None:
                continue
            # requests-cache before 1.0 stored an absent body so.
            if response.request.body == b"None":
                response.request.body = b""
            new = self.create_key(response.request)
            if new != old:
                self.responses[new] = response
                del self.responses[old]

    def remove_expired_responses(self, expire_after: ExpirationTime = None) -> None:
        """Deletes expired and invalid responses. Deprecated: use `delete(expired=True)`.

        Args:
            expire_after: A lifetime that all responses get first; see `reset_expiration`.
        """
        warn(
            "remove_expired_responses() is deprecated; please use delete(expired=True) instead",
            DeprecationWarning,
            stacklevel=2,
        )
        if expire_after:
            self.reset_expiration(expire_after)
        self.delete(expired=True, invalid=True)

    def reset_expiration(self, expire_after: ExpirationTime = None) -> None:
        """Sets a new lifetime for all responses.

        Args:
            expire_after: The lifetime, counted from now.
        """
        for response in self.filter():
            response.reset_expiration(expire_after)
            self.responses[response.cache_key] = response

    def update(self, other: BaseCache) -> None:
        """Copies all responses and redirects of another cache.

        Args:
            other: The other cache.
        """
        self.responses.update(other.responses)
        self.redirects.update(other.redirects)

    def urls(self, **kwargs: Any) -> list[str]:
        """Returns the URLs of responses, sorted and without duplicates.

        Args:
            kwargs: Conditions, as for `filter`.
        """
        return sorted({response.url for response in self.filter(**kwargs) if response.url})

    def __str__(self) -> str:
        return f"<{type(self).__name__}(name={self.cache_name})>"

    __repr__ = __str__


class BaseStorage(MutableMapping[KT, VT], ABC):
    """The base class of mappings that are stored: one table, hash or directory.

    Args:
        serializer: The serializer of values; None stores them as they are.
        decode_content: Store JSON and text bodies as values instead of bytes.
        kwargs: Ignored here; subclasses take more arguments.
    """

    def __init__(
        self, serializer: SerializerType | None = None, decode_content: bool = False, **kwargs: Any
    ) -> None:
        self.serializer = init_serializer(serializer, decode_content)
        if (
            isinstance(self.serializer, SealedSerializer)
            and type(self)._store_table is BaseStorage._store_table
        ):
            raise _lacre.ConfigError(
                f"{type(self).__name__} does not support sealing; use SQLite, files or Redis"
            )

    def bulk_delete(self, keys: Iterable[KT]) -> None:
        """Deletes several keys. Missing keys are ignored.

        Args:
            keys: The keys.
        """
        for key in keys:
            with suppress(KeyError):
                del self[key]

    def close(self) -> None:
        """Closes open files and connections."""

    def _store_table(self) -> StoreTable:
        """Returns the table that values are sealed to. Sealable mappings override it."""
        raise NotImplementedError

    def pack(self, key: KT, value: Any) -> Any:
        """Serializes a value for a key, to which sealed values are bound.

        Args:
            key: The key.
            value: The value.
        """
        return self.serialize(self._located(key, value))

    def _located(self, key: KT, value: Any) -> Any:
        if not isinstance(self.serializer, SealedSerializer):
            return value
        return LocatedValue(self._store_table(), str(key), value)

    def serialize(self, value: Any) -> Any:
        """Serializes a value.

        Args:
            value: The value.
        """
        return self.serializer.dumps(value) if self.serializer else value

    def deserialize(self, key: KT, value: Any) -> Any:
        """Deserializes a stored value. One that cannot be read is logged, and None is returned.

        Args:
            key: The key, to which sealed values are bound.
            value: The stored value.

        Raises:
            BadSignature: The signature or seal is wrong (of lacre or of itsdangerous).
        """
        if not self.serializer:
            return value
        try:
            found = self.serializer.loads(self._located(key, value))
        except Exception as error:
            if is_tampering(error):
                raise
            # The message of the error may contain stored data.
            logger.error("Unable to deserialize response: %s", type(error).__name__)
            return None
        if isinstance(found, Response):
            found.cache_key = key  # type: ignore[attr-defined]
        return found

    def __str__(self) -> str:
        return str(list(self.keys()))


class DictStorage(UserDict, BaseStorage):  # type: ignore[type-arg]
    """A mapping in memory, which stores the objects themselves.

    Args:
        args: Initial items, as for `dict`.
        kwargs: Initial items, as for `dict`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.serializer = None

    def __getitem__(self, key: Any) -> Any:
        item = super().__getitem__(key)
        if isinstance(item, CachedResponse):
            item.rewind()
            item.cache_key = key
        return item
