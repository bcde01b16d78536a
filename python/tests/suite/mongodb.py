"""MongoDB for the suite: mongomock, since neither PyPI nor Debian has a server."""

from __future__ import annotations

import inspect
from typing import Any

import mongomock
import pymongo
from mongomock.gridfs import enable_gridfs_integration
from mongomock.store import ServerStore

RealClient = pymongo.MongoClient


class Client(mongomock.MongoClient):  # type: ignore[misc]
    """A client of one database in memory; with a host, a real client that never connects."""

    store = ServerStore()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return RealClient(*args, **kwargs) if "host" in kwargs else super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, _store=self.store, **kwargs)

    # Both packages read the arguments of a client from its signature.
    __init__.__signature__ = inspect.signature(RealClient.__init__)  # type: ignore[attr-defined]


def install() -> None:
    """Replaces the client of pymongo."""
    enable_gridfs_integration()
    pymongo.MongoClient = Client  # type: ignore[misc]
