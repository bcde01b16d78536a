"""An index of files by last use and size."""

from __future__ import annotations

from collections.abc import Iterator
from time import time_ns
from typing import Any

from .sqlite import SQLiteDict

_SORT_KEYS = {"access_time", "size", "key"}


class LRUDict(SQLiteDict):
    """A mapping of keys to sizes in bytes, ordered by last use."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["serializer"] = None
        super().__init__(*args, **kwargs)

    def init_db(self) -> None:
        self.close()
        table = self.table_name
        with self.connection(commit=True) as connection:
            connection.execute(
                f"CREATE TABLE IF NOT EXISTS {table} "
                "(key TEXT PRIMARY KEY, access_time INTEGER NOT NULL, size INTEGER NOT NULL)"
            )
            connection.execute(
                f"CREATE INDEX IF NOT EXISTS idx_access_time ON {table}(access_time)"
            )
            connection.execute(f"CREATE INDEX IF NOT EXISTS idx_size ON {table}(size)")

    def __getitem__(self, key: str) -> int:
        rows = self._rows(f"SELECT size FROM {self.table_name} WHERE key=?", key)
        if not rows:
            raise KeyError(key)
        return int(rows[0][0])

    def __setitem__(self, key: str, value: Any) -> None:
        with self.connection(commit=True) as connection:
            connection.execute(
                f"INSERT OR REPLACE INTO {self.table_name} (key, access_time, size) "
                "VALUES (?, ?, ?)",
                (key, time_ns(), value),
            )

    def count(self, expired: bool = True) -> int:
        return super().count()

    def get_lru(self, total_size: int) -> list[str]:
        """Returns the least recently used keys that free `total_size` bytes.

        Args:
            total_size: The number of bytes.
        """
        found: list[str] = []
        rows = self._rows(f"SELECT key, size FROM {self.table_name} ORDER BY access_time")
        for key, size in rows:
            if total_size <= 0:
                break
            found.append(key)
            total_size -= size
        return found

    def sorted(  # type: ignore[override]
        self, key: str = "access_time", reversed: bool = False, limit: int | None = None, **_: Any
    ) -> Iterator[str]:
        """Returns the keys in an order.

        Args:
            key: "access_time", "size" or "key".
            reversed: Sort in descending order.
            limit: The maximum number of keys.

        Raises:
            ValueError: The sort key is unknown.
        """
        if key not in _SORT_KEYS:
            raise ValueError(f"Invalid sort key: {key}")
        order = f"ORDER BY {key} {'DESC' if reversed else 'ASC'}"
        bound = f"LIMIT {int(limit)}" if limit else ""
        return (
            name for (name,) in self._rows(f"SELECT key FROM {self.table_name} {order} {bound}")
        )

    def total_size(self) -> int:
        """Returns the sum of all sizes."""
        return int(self._rows(f"SELECT COALESCE(SUM(size), 0) FROM {self.table_name}")[0][0])

    def update_access_time(self, key: str) -> None:
        """Records that a key was used now.

        Args:
            key: The key.

        Raises:
            KeyError: The key does not exist.
        """
        with self.connection(commit=True) as connection:
            statement = f"UPDATE {self.table_name} SET access_time=? WHERE key=?"
            if not connection.execute(statement, (time_ns(), key)).rowcount:
                raise KeyError(key)
