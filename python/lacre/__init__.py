"""An HTTP cache that encrypts and authenticates what it stores.

The package has two parts:

- A drop-in replacement for requests-cache 1.3 that never unpickles: `CachedSession`,
  `install_cache`, the backends and the serializers. `lacre.requests_cache` can stand in for
  `import requests_cache`.
- lacre's own cache by RFC 9111, `Cache`, with drivers for httpx (`lacre.httpx`), aiohttp
  (`lacre.aiohttp`) and niquests (`lacre.niquests`).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._lacre import __version__ as __version__

if TYPE_CHECKING:
    from ._lacre import BadSignature as BadSignature
    from ._lacre import BrokenData as BrokenData
    from ._lacre import Cache as Cache
    from ._lacre import CacheInfo as CacheInfo
    from ._lacre import ConfigError as ConfigError
    from ._lacre import Keyring as Keyring
    from ._lacre import LacreError as LacreError
    from ._options import RequestOptions as RequestOptions
    from .backends import *
    from .cache_keys import *
    from .models import *
    from .patcher import *
    from .policy import *
    from .serializers import *
    from .session import *

#: The public names by module. A module is imported on first use.
_PUBLIC: dict[str, tuple[str, ...]] = {
    "_lacre": (
        "BadSignature",
        "BrokenData",
        "Cache",
        "CacheInfo",
        "ConfigError",
        "Keyring",
        "LacreError",
    ),
    "_options": ("RequestOptions",),
    "backends": (
        "BACKEND_CLASSES",
        "BackendSpecifier",
        "BaseCache",
        "BaseStorage",
        "DictStorage",
        "DynamoDbCache",
        "DynamoDbDict",
        "FileCache",
        "FileDict",
        "GridFSCache",
        "GridFSDict",
        "LRUFileDict",
        "MongoCache",
        "MongoDict",
        "RedisCache",
        "RedisDict",
        "RedisHashDict",
        "SQLiteCache",
        "SQLiteDict",
        "StrOrPath",
        "init_backend",
    ),
    "cache_keys": (
        "create_key",
        "normalize_body",
        "normalize_headers",
        "normalize_params",
        "normalize_request",
        "normalize_url",
    ),
    "models": (
        "AnyPreparedRequest",
        "AnyRequest",
        "AnyResponse",
        "BaseResponse",
        "CachedHTTPResponse",
        "CachedRequest",
        "CachedResponse",
        "DecodedContent",
        "OriginalResponse",
        "RichMixin",
    ),
    "patcher": (
        "clear",
        "delete",
        "disabled",
        "enabled",
        "get_cache",
        "install_cache",
        "is_installed",
        "uninstall_cache",
    ),
    "policy": (
        "ALL_METHODS",
        "AUTH_HEADERS",
        "AUTH_PARAMS",
        "CacheActions",
        "CacheDirectives",
        "CacheSettings",
        "DEFAULT_CACHE_NAME",
        "DEFAULT_IGNORED_PARAMS",
        "DEFAULT_METHODS",
        "DEFAULT_STATUS_CODES",
        "DO_NOT_CACHE",
        "EXPIRE_IMMEDIATELY",
        "ExpirationPattern",
        "ExpirationPatterns",
        "ExpirationTime",
        "FilterCallback",
        "HeaderDict",
        "KeyCallback",
        "NEVER_EXPIRE",
        "add_tzinfo",
        "get_expiration_datetime",
        "get_expiration_seconds",
        "get_url_expiration",
        "set_request_headers",
        "utcnow",
    ),
    "serializers": (
        "CattrStage",
        "SERIALIZERS",
        "SealedSerializer",
        "SerializerPipeline",
        "SerializerType",
        "Stage",
        "bson_document_serializer",
        "bson_serializer",
        "dict_serializer",
        "dynamodb_document_serializer",
        "init_serializer",
        "json_serializer",
        "orjson_serializer",
        "pickle_serializer",
        "safe_pickle_serializer",
        "ujson_serializer",
        "utf8_encoder",
        "utf8_serializer",
        "yaml_serializer",
    ),
    "session": ("CacheMixin", "CachedSession"),
}
_SOURCES = {name: module for module, names in _PUBLIC.items() for name in names}
#: Modules that requests-cache also exposes at its top level.
_MODULES = {
    "expiration": "policy.expiration",
    "settings": "policy.settings",
    "directives": "policy.directives",
    "actions": "policy.actions",
    "base": "models.base",
    "raw_response": "models.raw_response",
    "request": "models.request",
    "response": "models.response",
    "dynamodb": "backends.dynamodb",
    "filesystem": "backends.filesystem",
    "gridfs": "backends.gridfs",
    "mongodb": "backends.mongodb",
    "redis": "backends.redis",
    "sqlite": "backends.sqlite",
}

# Type checkers see the imports above only.
if not TYPE_CHECKING:
    __all__ = ["__version__", *_SOURCES]

    def __getattr__(name: str) -> Any:
        if name in _SOURCES:
            found = getattr(import_module(f".{_SOURCES[name]}", __name__), name)
        elif name in _MODULES:
            found = import_module(f".{_MODULES[name]}", __name__)
        elif name in _PUBLIC:
            return import_module(f".{name}", __name__)
        else:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
