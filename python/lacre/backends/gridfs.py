"""The GridFS backend, for bodies above the 16 MB limit of MongoDB documents."""

from __future__ import annotations

from collections.abc import Iterator
from logging import getLogger
from threading import RLock
from typing import Any

from gridfs import GridFS
from gridfs.errors import CorruptGridFile, FileExists
from pymongo import MongoClient

from .._utils import get_valid_kwargs
from ..serializers import SerializerType, pickle_serializer
from .base import BaseCache, BaseStorage
from .mongodb import MongoDict

logger = getLogger(__name__)


class GridFSCache(BaseCache):
    """A cache in GridFS. Redirects are in a collection of the same database.

    Args:
        db_name: The name of the database.
        connection: A client, instead of one made from `kwargs`.
        decode_content: Store JSON and text bodies as values instead of bytes.
        serializer: A serializer, instead of pickle.
        kwargs: Arguments of `pymongo.MongoClient`.
    """

    responses: GridFSDict

    def __init__(
        self,
        db_name: str,
        connection: MongoClient[Any] | None = None,
        decode_content: bool = False,
        serializer: SerializerType | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cache_name=db_name, **kwargs)
        chosen: dict[str, Any] = {"serializer": serializer} if serializer else {}
        self.responses = GridFSDict(
            db_name, connection=connection, decode_content=decode_content, **chosen, **kwargs
        )
        self.redirects = MongoDict(
            db_name, "redirects", self.responses.connection, serializer=None, **kwargs
        )

    def delete(self, *args: Any, **kwargs: Any) -> None:
        """Deletes responses; see `BaseCache.delete`.

        Args:
            args: Keys of responses.
            kwargs: Conditions.
        """
        with self.responses.lock:
            super().delete(*args, **kwargs)


class GridFSDict(BaseStorage[str, Any]):
    """A mapping in the GridFS of a database.

    Args:
        db_name: The name of the database.
        collection_name: Ignored.
        connection: A client, instead of one made from `kwargs`.
        serializer: The serializer of values.
        kwargs: Arguments of `pymongo.MongoClient`.
    """

    def __init__(
        self,
        db_name: str,
        collection_name: str | None = None,
        connection: MongoClient[Any] | None = None,
        serializer: SerializerType | None = pickle_serializer,
        **kwargs: Any,
    ) -> None:
        super().__init__(serializer=serializer, **kwargs)
        self.connection = connection or MongoClient(
            **get_valid_kwargs(MongoClient.__init__, kwargs)
        )
        self.db = self.connection[db_name]
        self.fs = GridFS(self.db)
        #: Replacing a file takes two steps.
        self.lock = RLock()

    def __getitem__(self, key: str) -> Any:
        try:
            with self.lock:
                file = self.fs.find_one({"_id": key})
                if file is None:
                    raise KeyError(key)
                value = file.read()
        except CorruptGridFile as error:
            logger.warning("a file in GridFS is incomplete (%s)", type(error).__name__)
            raise KeyError(key) from error
        return self.deserialize(key, value)

    def __setitem__(self, key: str, item: Any) -> None:
        value = self.serialize(item)
        encoding = None if isinstance(value, bytes) else "utf-8"
        with self.lock:
            self.fs.delete(key)
            try:
                self.fs.put(value, encoding=encoding, _id=key)
            except FileExists:
                # Another process wrote between the two steps.
                logger.warning("another process has written the same file in GridFS")

    def __delitem__(self, key: str) -> None:
        with self.lock:
            if self.fs.find_one({"_id": key}) is None:
                raise KeyError(key)
            self.fs.delete(key)

    def __iter__(self) -> Iterator[str]:
        for file in self.db["fs.files"].find({}, {"_id": True}):
            yield file["_id"]

    def __len__(self) -> int:
        return int(self.db["fs.files"].estimated_document_count())

    def clear(self) -> None:
        self.db["fs.files"].drop()
        self.db["fs.chunks"].drop()

    def close(self) -> None:
        self.connection.close()
