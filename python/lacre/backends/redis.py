"""The Redis backend: each response under `NAMESPACE:KEY`, redirects in one hash."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from redis import Redis, StrictRedis

from .._utils import chunkify, decode, encode, get_valid_kwargs
from ..serializers import SealedSerializer, SerializerType, pickle_serializer, utf8_encoder
from ..serializers.sealed import StoreTable
from .base import BaseCache, BaseStorage

#: How many seconds an expired response is kept, so that it can still be validated.
DEFAULT_TTL_OFFSET = 3600
#: The maximum number of names in one delete command.
_BULK = 1000
#: Special characters in patterns of Redis.
_PATTERN_CHARACTERS = re.compile(r"([\\*?\[\]])")


class RedisCache(BaseCache):
    """A cache in Redis.

    Args:
        namespace: The prefix of all names.
        connection: A client, instead of one made from `kwargs`.
        serializer: A serializer, instead of pickle.
        ttl: Let Redis delete expired responses.
        ttl_offset: How many seconds after their expiry.
        kwargs: Arguments of `redis.Redis`.
    """

    def __init__(
        self,
        namespace: str = "http_cache",
        connection: Redis | None = None,
        serializer: SerializerType | None = None,
        ttl: bool = True,
        ttl_offset: int = DEFAULT_TTL_OFFSET,
        **kwargs: Any,
    ) -> None:
        super().__init__(cache_name=namespace, **kwargs)
        chosen: dict[str, Any] = {"serializer": serializer} if serializer else {}
        self.responses = RedisDict(
            namespace, connection=connection, ttl=ttl, ttl_offset=ttl_offset, **chosen, **kwargs
        )
        self.redirects = RedisHashDict(
            namespace, collection_name="redirects", connection=self.responses.connection, **kwargs
        )


class RedisDict(BaseStorage[str, Any]):
    """A mapping in strings of Redis, which deletes them some time after they expire.

    Args:
        namespace: The prefix of all names.
        collection_name: Ignored.
        connection: A client, instead of one made from `kwargs`.
        serializer: The serializer of values.
        ttl: Let Redis delete expired values.
        ttl_offset: How many seconds after their expiry.
        kwargs: Arguments of `redis.Redis`.
    """

    def __init__(
        self,
        namespace: str,
        collection_name: str | None = None,
        connection: Redis | None = None,
        serializer: SerializerType | None = pickle_serializer,
        ttl: bool = True,
        ttl_offset: int = DEFAULT_TTL_OFFSET,
        **kwargs: Any,
    ) -> None:
        super().__init__(serializer=serializer, **kwargs)
        self.connection = connection or StrictRedis(**get_valid_kwargs(Redis.__init__, kwargs))
        self.namespace = namespace
        self.ttl = ttl
        self.ttl_offset = ttl_offset
        if isinstance(self.serializer, SealedSerializer):
            name = f"{namespace}-lacre-store"
            self.connection.set(name, os.urandom(16), nx=True)
            self._table_id = StoreTable.of(encode(self.connection.get(name)), "responses")

    def _store_table(self) -> StoreTable:
        return self._table_id

    def _name(self, key: str) -> bytes:
        return encode(f"{self.namespace}:{key}")

    def __contains__(self, key: object) -> bool:
        return bool(self.connection.exists(self._name(str(key))))

    def __getitem__(self, key: str) -> Any:
        value = self.connection.get(self._name(key))
        if value is None:
            raise KeyError(key)
        return self.deserialize(key, value)

    def __setitem__(self, key: str, item: Any) -> None:
        remaining = getattr(item, "expires_delta", None)
        seconds = None if remaining is None or not self.ttl else remaining + self.ttl_offset
        if seconds is not None and seconds > 0:
            self.connection.setex(self._name(key), seconds, self.pack(key, item))
        else:
            self.connection.set(self._name(key), self.pack(key, item))

    def __delitem__(self, key: str) -> None:
        if not self.connection.delete(self._name(key)):
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        start = f"{self.namespace}:"
        for name in self.connection.scan_iter(_PATTERN_CHARACTERS.sub(r"\\\1", start) + "*"):
            yield decode(name).removeprefix(start)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def bulk_delete(self, keys: Iterable[str]) -> None:
        for some in chunkify(keys, _BULK):
            self.connection.delete(*map(self._name, some))

    def clear(self) -> None:
        self.bulk_delete(self)

    def close(self) -> None:
        self.connection.close()


class RedisHashDict(BaseStorage[str, Any]):
    """A mapping in one hash of Redis, `NAMESPACE-COLLECTION`.

    Args:
        namespace: The first part of the name.
        collection_name: The second part of the name.
        connection: A client, instead of one made from `kwargs`.
        serializer: The serializer of values.
        kwargs: Arguments of `redis.Redis`.
    """

    def __init__(
        self,
        namespace: str = "http_cache",
        collection_name: str | None = None,
        connection: Redis | None = None,
        serializer: SerializerType | None = utf8_encoder,
        **kwargs: Any,
    ) -> None:
        super().__init__(serializer=serializer, **kwargs)
        self.connection = connection or StrictRedis(**get_valid_kwargs(Redis.__init__, kwargs))
        self._hash = f"{namespace}-{collection_name}"

    def __contains__(self, key: object) -> bool:
        return bool(self.connection.hexists(self._hash, encode(key)))

    def __getitem__(self, key: str) -> Any:
        value = self.connection.hget(self._hash, encode(key))
        if value is None:
            raise KeyError(key)
        return self.deserialize(key, value)

    def __setitem__(self, key: str, item: Any) -> None:
        self.connection.hset(self._hash, encode(key), self.serialize(item))

    def __delitem__(self, key: str) -> None:
        if not self.connection.hdel(self._hash, encode(key)):
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        for key, _ in self.connection.hscan_iter(self._hash):
            yield decode(key)

    def __len__(self) -> int:
        return int(self.connection.hlen(self._hash))

    def items(self) -> Any:
        """Yields keys and values, in as few round trips as Redis allows."""
        for key, value in self.connection.hscan_iter(self._hash):
            yield decode(key), self.deserialize(decode(key), value)

    def values(self) -> Any:
        """Returns the values."""
        return (value for _, value in self.items())

    def bulk_delete(self, keys: Iterable[str]) -> None:
        for some in chunkify(keys, _BULK):
            self.connection.hdel(self._hash, *map(encode, some))

    def clear(self) -> None:
        self.connection.delete(self._hash)
