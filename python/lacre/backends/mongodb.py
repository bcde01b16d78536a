"""The MongoDB backend: responses as documents that can be read and queried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from logging import getLogger
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure

from .._utils import get_valid_kwargs
from ..policy import NEVER_EXPIRE, get_expiration_seconds
from ..serializers import SerializerType, bson_document_serializer
from .base import BaseCache, BaseStorage

_TTL_INDEX = "ttl_idx"

logger = getLogger(__name__)


class MongoCache(BaseCache):
    """A cache in MongoDB.

    Args:
        db_name: The name of the database.
        connection: A client, instead of one made from `kwargs`.
        decode_content: Store JSON and text bodies as values instead of bytes.
        serializer: A serializer, instead of documents.
        kwargs: Arguments of `pymongo.MongoClient`.
    """

    responses: MongoDict

    def __init__(
        self,
        db_name: str = "http_cache",
        connection: MongoClient[Any] | None = None,
        decode_content: bool = True,
        serializer: SerializerType | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cache_name=db_name, **kwargs)
        chosen = {"serializer": serializer} if serializer else {}
        self.responses = MongoDict(
            db_name, "responses", connection, decode_content=decode_content, **chosen, **kwargs
        )
        self.redirects = MongoDict(
            db_name, "redirects", self.responses.connection, serializer=None, **kwargs
        )

    def get_ttl(self) -> int | None:
        """Returns the age in seconds at which MongoDB deletes responses, or None."""
        return self.responses.get_ttl()

    def set_ttl(self, ttl: int | timedelta | None, overwrite: bool = False) -> None:
        """Creates an index by which MongoDB deletes old responses. This may take a while.

        Args:
            ttl: The age in seconds at which responses are deleted; None for never.
            overwrite: Replace an existing index.
        """
        self.responses.set_ttl(ttl, overwrite=overwrite)


class MongoDict(BaseStorage[str, Any]):
    """A mapping in a MongoDB collection. Values other than dicts are in the field `data`.

    Args:
        db_name: The name of the database.
        collection_name: The name of the collection.
        connection: A client, instead of one made from `kwargs`.
        serializer: The serializer of values.
        kwargs: Arguments of `pymongo.MongoClient`.
    """

    def __init__(
        self,
        db_name: str,
        collection_name: str = "http_cache",
        connection: MongoClient[Any] | None = None,
        serializer: SerializerType | None = bson_document_serializer,
        **kwargs: Any,
    ) -> None:
        super().__init__(serializer=serializer, **kwargs)
        self.connection = connection or MongoClient(
            **get_valid_kwargs(MongoClient.__init__, kwargs)
        )
        self.collection = self.connection[db_name][collection_name]

    def get_ttl(self) -> int | None:
        """Returns the age in seconds at which MongoDB deletes values, or None."""
        index = self.collection.index_information().get(_TTL_INDEX, {})
        seconds: int | None = index.get("expireAfterSeconds")
        return seconds

    def set_ttl(self, ttl: int | timedelta | None, overwrite: bool = False) -> None:
        """Creates an index by which MongoDB deletes old values.

        Args:
            ttl: The age in seconds at which values are deleted; None for never.
            overwrite: Replace an existing index.
        """
        seconds = get_expiration_seconds(ttl)
        try:
            if overwrite:
                self.collection.drop_index(_TTL_INDEX)
            if seconds and seconds != NEVER_EXPIRE:
                self.collection.create_index(
                    "created_at", name=_TTL_INDEX, expireAfterSeconds=seconds
                )
        except OperationFailure as error:
            logger.warning("the TTL index was not changed (%s)", type(error).__name__)

    def __getitem__(self, key: str) -> Any:
        document = self.collection.find_one({"_id": key})
        if document is None:
            raise KeyError(key)
        return self.deserialize(key, document.get("data", document))

    def __setitem__(self, key: str, item: Any) -> None:
        value = self.serialize(item)
        document = value if isinstance(value, Mapping) else {"data": value}
        self.collection.replace_one({"_id": key}, document, upsert=True)

    def __delitem__(self, key: str) -> None:
        if self.collection.find_one_and_delete({"_id": key}, {"_id": True}) is None:
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        for document in self.collection.find({}, {"_id": True}):
            yield document["_id"]

    def __len__(self) -> int:
        return int(self.collection.estimated_document_count())

    def bulk_delete(self, keys: Iterable[str]) -> None:
        self.collection.delete_many({"_id": {"$in": list(keys)}})

    def clear(self) -> None:
        self.collection.drop()

    def close(self) -> None:
        self.connection.close()
