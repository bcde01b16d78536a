"""The filesystem backend: one file for each response, in the layout of requests-cache."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging import getLogger
from pathlib import Path
from tempfile import NamedTemporaryFile
from threading import RLock
from typing import Any

from ..serializers import SealedSerializer, SerializerPipeline, SerializerType, json_serializer
from ..serializers.sealed import StoreTable
from ._connections import lock_timeout
from ._lru import LRUDict as LRUDict
from ._paths import StrOrPath, get_cache_path
from .base import BaseCache, BaseStorage
from .sqlite import SQLiteDict

#: The file that holds the id of a directory.
_STORE_ID = "lacre-store-id"
_EXTENSIONS = {"safe_pickle": "pkl", "pickle": "pkl", "orjson": "json", "ujson": "json"}

logger = getLogger(__name__)


class FileCache(BaseCache):
    """A cache in a directory.

    Args:
        cache_name: The path of the directory.
        use_temp: Put it in the directory for temporary files.
        decode_content: Store JSON and text bodies as values instead of bytes.
        serializer: A serializer, instead of JSON.
        kwargs: `use_cache_dir`, `extension` and `lock` of `FileDict`; with `max_cache_bytes`, the
            arguments of `LRUFileDict`.
    """

    responses: FileDict
    redirects: SQLiteDict

    def __init__(
        self,
        cache_name: StrOrPath = "http_cache",
        use_temp: bool = False,
        decode_content: bool = True,
        serializer: SerializerType | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(cache_name=str(cache_name), **kwargs)
        chosen: dict[str, Any] = {"serializer": serializer} if serializer else {}
        storage = LRUFileDict if "max_cache_bytes" in kwargs else FileDict
        self.responses = storage(
            cache_name, use_temp=use_temp, decode_content=decode_content, **chosen, **kwargs
        )
        with self.lock:
            self.redirects = SQLiteDict(
                self.cache_dir / "redirects.sqlite", "redirects", serializer=None, **kwargs
            )

    @property
    def lock(self) -> Any:
        """The lock among threads."""
        return self.responses.lock

    @property
    def cache_dir(self) -> Path:
        """The directory."""
        return self.responses.cache_dir

    def paths(self) -> Iterator[Path]:
        """Returns the files of all responses."""
        return self.responses.paths()

    def clear(self) -> None:
        with self.lock:
            super().clear()

    def delete(self, *args: Any, **kwargs: Any) -> None:
        """Deletes responses; see `BaseCache.delete`.

        Args:
            args: Keys of responses.
            kwargs: Conditions.
        """
        with self.lock:
            super().delete(*args, **kwargs)


class FileDict(BaseStorage[str, Any]):
    """A mapping in a directory, with a file for each value.

    Args:
        cache_name: The path of the directory.
        use_temp: Put it in the directory for temporary files.
        use_cache_dir: Put it in the user's cache directory.
        extension: The extension of the files, instead of that of the serializer.
        serializer: The serializer of values.
        lock: A lock among threads, instead of a new one.
        kwargs: Arguments of `BaseStorage`.
    """

    def __init__(
        self,
        cache_name: StrOrPath,
        use_temp: bool = False,
        use_cache_dir: bool = False,
        extension: str | None = None,
        serializer: SerializerType | None = json_serializer,
        lock: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(serializer=serializer, **kwargs)
        self.cache_dir = get_cache_path(cache_name, use_cache_dir=use_cache_dir, use_temp=use_temp)
        self.extension = f".{extension}" if extension else _extension(self.serializer)
        self.is_binary = self.serializer is not None and self.serializer.is_binary
        self._lock = RLock() if lock is None else lock
        self.cache_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        if isinstance(self.serializer, SealedSerializer):
            self._table_id = StoreTable.of(self._ensure_own_id(self.serializer), "responses")

    def _ensure_own_id(self, serializer: SealedSerializer) -> bytes:
        """Returns the id of the directory.

        A copy of a directory that still exists is emptied and gets a new id.
        """
        found = _store_id(self.cache_dir)
        if len(found) != 16 or (original := serializer.original(found, self.cache_dir)) is None:
            return found
        if not os.access(self.cache_dir, os.W_OK):
            logger.warning(
                "%s is a copy of %s, which still exists: its entries cannot be opened here",
                self.cache_dir,
                original,
            )
            return os.urandom(16)
        logger.warning(
            "%s is a copy of %s, which still exists: both have the same id. Copied entries open "
            "only in the original; this copy is emptied and gets a new id",
            self.cache_dir,
            original,
        )
        (self.cache_dir / _STORE_ID).unlink(missing_ok=True)
        for pattern in (f"*{self.extension}", "lru.db*"):
            for path in list(self.cache_dir.glob(pattern)):
                path.unlink(missing_ok=True)
        found = _store_id(self.cache_dir)
        serializer.original(found, self.cache_dir)
        return found

    def _store_table(self) -> StoreTable:
        return self._table_id

    @property
    def lock(self) -> Any:
        """The lock among threads."""
        return self._lock

    @contextmanager
    def _io(self, key: str) -> Iterator[None]:
        try:
            with self._lock:
                yield
        except OSError as error:
            raise KeyError(key) from error

    def _key2path(self, key: str) -> Path:
        return self.cache_dir / f"{key}{self.extension}"

    def __getitem__(self, key: str) -> Any:
        with self._io(key):
            path = self._key2path(key)
            content = path.read_bytes() if self.is_binary else path.read_text("utf-8")
        return self.deserialize(key, content)

    def __setitem__(self, key: str, value: Any) -> None:
        content = self.pack(key, value)
        with self._io(key):
            self._write(key, content)

    def _write(self, key: str, content: str | bytes) -> None:
        # Readers never see a partial file, and the file is private from the start.
        with NamedTemporaryFile(
            dir=self.cache_dir, prefix="lacre-", suffix=".tmp", delete=False
        ) as made:
            try:
                made.write(content.encode() if isinstance(content, str) else content)
                made.close()
                os.replace(made.name, self._key2path(key))
            except BaseException:
                os.unlink(made.name)
                raise

    def __delitem__(self, key: str) -> None:
        with self._io(key):
            self._key2path(key).unlink()

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return self._key2path(str(key)).exists()

    def __iter__(self) -> Iterator[str]:
        return iter([path.stem for path in self.paths()])

    def keys(self) -> Any:
        """Returns the keys as a list."""
        return list(self)

    def __len__(self) -> int:
        return sum(1 for _ in self.paths())

    def clear(self) -> None:
        # Keep the directory: others may have it open, and it may hold other files.
        with self._lock:
            for path in list(self.paths()):
                path.unlink(missing_ok=True)

    def paths(self) -> Iterator[Path]:
        """Returns the files of all values."""
        with self._lock:
            return self.cache_dir.glob(f"*{self.extension}")

    def size(self) -> int:
        """Returns the size of all files in bytes."""
        with self._lock:
            return sum(path.stat().st_size for path in self.paths())


class LRUFileDict(FileDict):
    """A mapping in a directory of limited size. It evicts the least recently used values.

    Args:
        args: Arguments of `FileDict`.
        block_bytes: The block size of the disk; file sizes are rounded up to it.
        max_cache_bytes: The size limit of all files.
        max_file_bytes: The size limit of one file; `max_cache_bytes` by default.
        sync_index: Rebuild the index from the files on disk first.
        kwargs: Keyword arguments of `FileDict`.

    Raises:
        ValueError: The sizes contradict each other.
    """

    def __init__(
        self,
        *args: Any,
        block_bytes: int = 1,
        max_cache_bytes: int = 100 * 1024 * 1024,
        max_file_bytes: int | None = None,
        sync_index: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.max_cache_bytes = max_cache_bytes
        self.max_file_bytes = max_file_bytes or max_cache_bytes
        self.block_bytes = block_bytes
        if not 1 <= self.block_bytes <= self.max_file_bytes <= self.max_cache_bytes:
            raise ValueError(
                "invalid sizes: expected 1 <= block_bytes <= max_file_bytes <= max_cache_bytes"
            )
        self.lru_index = LRUDict(self.cache_dir / "lru.db", "lru", **kwargs)
        if sync_index or len(self.lru_index) == 0:
            self._sync_lru_index()

    def __getitem__(self, key: str) -> Any:
        value = super().__getitem__(key)
        # The value is good even if its use cannot be recorded.
        with lock_timeout(0.0), suppress(sqlite3.OperationalError):
            self._record_use(key)
        return value

    def _record_use(self, key: str) -> None:
        """Records that a key was used now."""
        try:
            self.lru_index.update_access_time(key)
        except KeyError:
            # Another process has created the file.
            path = self._key2path(key)
            if path.exists():
                self.lru_index[key] = self._get_size_on_disk(path.stat().st_size)

    def __setitem__(self, key: str, value: Any) -> None:
        content = self.pack(key, value)
        content = content.encode() if isinstance(content, str) else content
        size = self._get_size_on_disk(len(content))
        if size > self.max_file_bytes:
            logger.debug("a response is not stored: it is larger than max_file_bytes")
            return
        with self._io(key):
            self.bulk_delete([key])
            self._evict(size)
            self._write(key, content)
            self.lru_index[key] = size

    def __delitem__(self, key: str) -> None:
        self.lru_index.bulk_delete([key])
        super().__delitem__(key)

    def _evict(self, desired_free_bytes: int) -> None:
        excess = self.lru_index.total_size() + desired_free_bytes - self.max_cache_bytes
        if excess > 0:
            self.bulk_delete(self.lru_index.get_lru(excess))

    def _sync_lru_index(self) -> None:
        with self._lock:
            self.lru_index.clear()
            for path in self.paths():
                self.lru_index[path.stem] = self._get_size_on_disk(path.stat().st_size)

    def _get_size_on_disk(self, file_size: int) -> int:
        """Rounds a size away from zero to whole blocks."""
        blocks = -(-abs(file_size) // self.block_bytes)
        return blocks * self.block_bytes * (1 if file_size >= 0 else -1)

    def clear(self) -> None:
        with self._lock:
            super().clear()
            self.lru_index.clear()

    def size(self) -> int:
        return self.lru_index.total_size()


def _store_id(directory: Path) -> bytes:
    """Returns the id of a directory; creates it if absent."""
    path = directory / _STORE_ID
    if not path.exists():
        with (
            NamedTemporaryFile(dir=directory, prefix="lacre-", suffix=".tmp") as made,
            suppress(FileExistsError),
        ):
            made.write(os.urandom(16))
            made.flush()
            os.link(made.name, path)
    return path.read_bytes()


def _extension(serializer: SerializerPipeline | None) -> str:
    name = serializer.name if serializer is not None else None
    return f".{_EXTENSIONS.get(name, name)}" if name else ".dat"
