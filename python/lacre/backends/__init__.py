"""Storage backends."""

from __future__ import annotations

from importlib import import_module
from logging import getLogger
from typing import TYPE_CHECKING, Any, Union
from warnings import warn

from .._utils import get_placeholder_class
from ._paths import StrOrPath as StrOrPath
from .base import BaseCache as BaseCache
from .base import BaseStorage as BaseStorage
from .base import DictStorage as DictStorage

if TYPE_CHECKING:
    from .dynamodb import DynamoDbCache as DynamoDbCache
    from .dynamodb import DynamoDbDict as DynamoDbDict
    from .filesystem import FileCache as FileCache
    from .filesystem import FileDict as FileDict
    from .filesystem import LRUFileDict as LRUFileDict
    from .gridfs import GridFSCache as GridFSCache
    from .gridfs import GridFSDict as GridFSDict
    from .mongodb import MongoCache as MongoCache
    from .mongodb import MongoDict as MongoDict
    from .redis import RedisCache as RedisCache
    from .redis import RedisDict as RedisDict
    from .redis import RedisHashDict as RedisHashDict
    from .sqlite import SQLiteCache as SQLiteCache
    from .sqlite import SQLiteDict as SQLiteDict

#: A backend or its alias.
BackendSpecifier = Union[str, BaseCache]

_MODULES = {
    "DynamoDbCache": "dynamodb",
    "DynamoDbDict": "dynamodb",
    "FileCache": "filesystem",
    "FileDict": "filesystem",
    "LRUFileDict": "filesystem",
    "GridFSCache": "gridfs",
    "GridFSDict": "gridfs",
    "MongoCache": "mongodb",
    "MongoDict": "mongodb",
    "RedisCache": "redis",
    "RedisDict": "redis",
    "RedisHashDict": "redis",
    "SQLiteCache": "sqlite",
    "SQLiteDict": "sqlite",
}

#: The class of each alias, or its name until first use: most need an optional library.
BACKEND_CLASSES: dict[str, Any] = {
    "dynamodb": "DynamoDbCache",
    "filesystem": "FileCache",
    "gridfs": "GridFSCache",
    "memory": BaseCache,
    "mongodb": "MongoCache",
    "redis": "RedisCache",
    "sqlite": "SQLiteCache",
}

#: The names of `cache_name` in the backend classes.
CACHE_NAME_KWARGS = ("db_path", "db_name", "namespace", "table_name")

logger = getLogger(__name__)


def __getattr__(name: str) -> Any:
    """Imports a backend class or module on first use.

    A class whose library is missing is replaced by a placeholder that raises on use.
    """
    if name in _MODULES.values():
        return import_module(f".{name}", __name__)
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        found = getattr(import_module(f".{_MODULES[name]}", __name__), name)
    except ImportError as error:
        return get_placeholder_class(error)
    globals()[name] = found
    return found


def init_backend(
    cache_name: StrOrPath, backend: BackendSpecifier | None = None, **kwargs: Any
) -> BaseCache:
    """Makes the backend of an alias, or returns the given backend.

    Args:
        cache_name: The path, prefix or namespace of the cache, depending on the backend.
        backend: A backend or its alias; "sqlite" by default.
        kwargs: Arguments of the backend class.

    Raises:
        ValueError: The alias is unknown.
        ImportError: A library is missing.
    """
    other_names = [kwargs.pop(name) for name in CACHE_NAME_KWARGS if name in kwargs]
    cache_name = cache_name or other_names[0]
    if isinstance(backend, BaseCache):
        from ..policy import DEFAULT_CACHE_NAME

        if cache_name and cache_name != DEFAULT_CACHE_NAME:
            backend.cache_name = str(cache_name)
            warn(
                "`cache_name` cannot be set after backend initialization; "
                "please pass it to the backend class instead",
                DeprecationWarning,
                stacklevel=3,
            )
        return backend
    alias = str(backend or "sqlite").lower()
    if alias not in BACKEND_CLASSES:
        raise ValueError(
            f"Invalid backend: {alias}. Provide a backend instance, or choose from one of the "
            f"following aliases: {list(BACKEND_CLASSES)}"
        )
    found = BACKEND_CLASSES[alias]
    if isinstance(found, str):
        found = globals().get(found) or __getattr__(found)
    return found(cache_name, **kwargs)  # type: ignore[no-any-return]
