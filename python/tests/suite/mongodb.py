"""MongoDB for the suite: mongomock, as there is no server that could be installed from PyPI or Debian."""

from __future__ import annotations

import inspect
from typing import Any

import mongomock
import pymongo
from mongomock.gridfs import enable_gridfs_integration
from mongomock.store import ServerStore

RealClient = pymongo.MongoClient


class Client(mongomock.MongoClient):  # type: ignore[misc]
    """A client of one database in memory; a real one, which does not connect, where a test names a host."""

    store = ServerStore()

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return RealClient(*args, **kwargs) if "host" in kwargs else super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, _store=self.store, **kwargs)

    # Both packages look here for the arguments that a client takes.
    __init__.__signature__ = inspect.signature(RealClient.__init__)  # type: ignore[attr-defined]


def install() -> None:
    """Puts it in the place of the client of pymongo."""
    enable_gridfs_integration()
    pymongo.MongoClient = Client  # type: ignore[misc]
