"""What all caches have in common, and the one in memory."""

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
from ..serializers.sealed import Place, Placed

if TYPE_CHECKING:
    from ..models import AnyRequest

#: What usually goes wrong when something was stored by another version, or in another format.
DESERIALIZE_ERRORS = (AttributeError, ImportError, PickleError, TypeError, ValueError)

KT = TypeVar("KT")
VT = TypeVar("VT")

logger = getLogger(__name__)


def is_tampering(error: BaseException) -> bool:
    """Whether something is not signed as it should be: the one thing that is never passed over in silence."""
    if isinstance(error, _lacre.BadSignature):
        return True
    # Only what has been imported can have been raised.
    itsdangerous = sys.modules.get("itsdangerous")
    return itsdangerous is not None and isinstance(error, itsdangerous.BadData)


class BaseCache:
    """Responses, and redirects to them, in two mappings. As it is, in memory; with other mappings, elsewhere.

    Args:
        cache_name: a name
        kwargs: what classes below this one take
    """

    def __init__(self, cache_name: str = DEFAULT_CACHE_NAME, **kwargs: Any) -> None:
        self.cache_name = cache_name
        self.responses: Any = DictStorage()
        self.redirects: Any = DictStorage()
        self._settings = CacheSettings()
        self._herd = Leads()

    @property
    def db_path(self) -> str | Path:
        """The file that it is in.

        Raises:
            NotImplementedError: it is in none
        """
        raise NotImplementedError

    def get_response(self, key: str | None, default: Any = None) -> CachedResponse | None:
        """The response stored under `key`, or redirected to from there; `default` if there is none."""
        try:
            found: CachedResponse | None = self.responses.get(key)
            # A response is false if its status is that of an error.
            if found is not None:
                return found
            target: CachedResponse = self.responses[self.redirects[key]]
            return target if self._was_reached_by(key, target) else default
        except (AttributeError, KeyError):
            return default  # type: ignore[no-any-return]

    def save_response(
        self, response: Response, cache_key: str | None = None, expires: datetime | None = None
    ) -> None:
        """Stores a response without what is to be ignored in it, and the redirects that led to it.

        Args:
            cache_key: where; by default under the key of its request
            expires: when it is to expire
        """
        key = cache_key or self.create_key(response.request)
        stored = CachedResponse.from_response(response, expires=expires)
        stored.expires = expires
        hops = (
            [] if stored.revalidated else [self.create_key(hop.request) for hop in response.history]
        )
        # Said of the answer that is being given, not of those that will be given from here.
        stored.revalidated = False
        self.responses[key] = redact_response(stored, self._settings.ignored_parameters)
        for hop in hops:
            self.redirects[hop] = key

    def _was_reached_by(self, key: str | None, response: CachedResponse) -> bool:
        """Whether a redirect led from `key` to it, as is sealed with it; the redirects themselves are not."""
        if not isinstance(self.responses.serializer, SealedSerializer):
            return True
        return any(self.create_key(hop.request) == key for hop in response.history)

    def clear(self) -> None:
        """Deletes everything."""
        logger.info("clearing the cache")
        self.responses.clear()
        self.redirects.clear()

    def close(self) -> None:
        """Closes what is open."""
        self.responses.close()
        self.redirects.close()

    def create_key(
        self, request: AnyRequest, match_headers: Iterable[str] | bool | None = None, **kwargs: Any
    ) -> str:
        """The key of a request under the settings of the session."""
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
        """Whether something is stored under a key, for a request, or for a GET request of a URL.

        Args:
            verify: whether it was requested with certificates verified
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
        """Deletes what fits one of the conditions.

        Args:
            expired: what has expired
            invalid: what cannot be read
            older_than: what was received longer ago
            requests: what is stored for these
            urls: what is stored for GET requests of these
            verify: whether those were requested with certificates verified
        """
        doomed = list(keys)
        wanted = [*(requests or ()), *(Request("GET", url).prepare() for url in urls or ())]
        doomed += [self.create_key(request, verify=verify) for request in wanted]
        found = self.filter(valid=False, expired=expired, invalid=invalid, older_than=older_than)
        doomed += [response.cache_key for response in found if response.cache_key]
        self.responses.bulk_delete(doomed)
        self._prune_redirects()

    def _prune_redirects(self) -> None:
        """Deletes redirects to nowhere."""
        nowhere = [hop for hop, key in self.redirects.items() if key not in self.responses]
        self.redirects.bulk_delete(nowhere)

    def filter(
        self,
        valid: bool = True,
        expired: bool = True,
        invalid: bool = False,
        older_than: ExpirationTime = None,
    ) -> Iterator[CachedResponse]:
        """The responses that fit one of the conditions.

        Args:
            valid: those that are neither expired nor invalid
            expired: those that have expired
            invalid: those that cannot be read, each as an empty response with status 504
            older_than: those received longer ago
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
            of_age = expired if response.is_expired else valid
            if of_age or (older_than is not None and response.is_older_than(older_than)):
                yield response

    def _readable(self, key: str) -> CachedResponse | None:
        """The response under a key; `None` also where it was tampered with: one bad row hides no others."""
        try:
            return self.get_response(key)
        except Exception as error:
            if not is_tampering(error):
                raise
            logger.error("a stored response is not signed as it should be")
            return None

    def recreate_keys(self) -> None:
        """Stores everything anew, under the keys that it has by the present settings."""
        for old in list(self.responses.keys()):
            response = self._readable(old)
            if response is None:
                continue
            # Before 1.0, requests without a body were stored so.
            if response.request.body == b"None":
                response.request.body = b""
            new = self.create_key(response.request)
            if new != old:
                self.responses[new] = response
                del self.responses[old]

    def remove_expired_responses(self, expire_after: ExpirationTime = None) -> None:
        """The former name of `delete(expired=True, invalid=True)`, after `reset_expiration`."""
        warn(
            "remove_expired_responses() is deprecated; please use delete(expired=True) instead",
            DeprecationWarning,
            stacklevel=2,
        )
        if expire_after:
            self.reset_expiration(expire_after)
        self.delete(expired=True, invalid=True)

    def reset_expiration(self, expire_after: ExpirationTime = None) -> None:
        """Lets everything expire then, counted from now."""
        for response in self.filter():
            response.reset_expiration(expire_after)
            self.responses[response.cache_key] = response

    def update(self, other: BaseCache) -> None:
        """Copies everything from another cache."""
        self.responses.update(other.responses)
        self.redirects.update(other.redirects)

    def urls(self, **kwargs: Any) -> list[str]:
        """The URLs of responses, each once, in order; takes the conditions of `filter`."""
        return sorted({response.url for response in self.filter(**kwargs) if response.url})

    def __str__(self) -> str:
        return f"<{type(self).__name__}(name={self.cache_name})>"

    __repr__ = __str__


class BaseStorage(MutableMapping[KT, VT], ABC):
    """A mapping that is kept somewhere: one table, hash or folder.

    Args:
        serializer: what its values go through; without one they are kept as they are
        decode_content: bodies of JSON and text as values
        kwargs: what classes below this one take
    """

    def __init__(
        self, serializer: SerializerType | None = None, decode_content: bool = False, **kwargs: Any
    ) -> None:
        self.serializer = init_serializer(serializer, decode_content)
        if (
            isinstance(self.serializer, SealedSerializer)
            and type(self)._place is BaseStorage._place
        ):
            raise _lacre.ConfigError(
                f"{type(self).__name__} cannot be sealed; SQLite, files and Redis can"
            )

    def bulk_delete(self, keys: Iterable[KT]) -> None:
        """Deletes what is there of `keys`."""
        for key in keys:
            with suppress(KeyError):
                del self[key]

    def close(self) -> None:
        """Closes what is open."""

    def _place(self) -> Place:
        """Where its values are sealed to. What can be sealed says it."""
        raise NotImplementedError

    def pack(self, key: KT, value: Any) -> Any:
        """What is kept under `key` for `value`."""
        return self.serialize(self._placed(key, value))

    def _placed(self, key: KT, value: Any) -> Any:
        if not isinstance(self.serializer, SealedSerializer):
            return value
        return Placed(self._place(), str(key), value)

    def serialize(self, value: Any) -> Any:
        """What is kept for `value`."""
        return self.serializer.dumps(value) if self.serializer else value

    def deserialize(self, key: KT, value: Any) -> Any:
        """What was kept as `value`; `None`, and a line in the log, if it cannot be read.

        Raises:
            BadSignature: that of lacre or of itsdangerous
        """
        if not self.serializer:
            return value
        try:
            found = self.serializer.loads(self._placed(key, value))
        except Exception as error:
            if is_tampering(error):
                raise
            # What the error says may be what was stored.
            logger.error("Unable to deserialize response: %s", type(error).__name__)
            return None
        if isinstance(found, Response):
            found.cache_key = key  # type: ignore[attr-defined]
        return found

    def __str__(self) -> str:
        return str(list(self.keys()))


class DictStorage(UserDict, BaseStorage):  # type: ignore[type-arg]
    """A mapping in memory, of the very objects that were put there."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.serializer = None

    def __getitem__(self, key: Any) -> Any:
        item = super().__getitem__(key)
        if isinstance(item, CachedResponse):
            item.rewind()
            item.cache_key = key
        return item
