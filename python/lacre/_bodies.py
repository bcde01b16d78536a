"""Request bodies that are files: read for the cache key and rewound, so that they can be sent."""

from __future__ import annotations

from contextlib import suppress
from os import SEEK_END
from typing import Any

#: The size limit of a file that is read for the cache key. A larger one is not cached.
MAX_FILE_BYTES = 16 << 20


def read_and_rewind(file: Any, limit: int = MAX_FILE_BYTES) -> bytes | None:
    """Reads the rest of a file and returns to the position before.

    Returns None if the file cannot be rewound or has more than `limit` bytes left.
    """
    position = rewindable_position(file, limit)
    if position is None:
        return None
    try:
        content = file.read()
    finally:
        file.seek(position)
    return content.encode() if isinstance(content, str) else bytes(content)


def rewindable_position(file: Any, limit: int = MAX_FILE_BYTES) -> int | None:
    """Returns the position of a file.

    Returns None if the file cannot be rewound or has more than `limit` bytes left.
    """
    with suppress(AttributeError, OSError, TypeError, ValueError):
        if not file.seekable():
            return None
        position: int = file.tell()
        left = file.seek(0, SEEK_END) - position
        file.seek(position)
        return position if left <= limit else None
    return None
