"""Bodies of requests that are files: read for their key, and put back, so that they can still be sent."""

from __future__ import annotations

from contextlib import suppress
from os import SEEK_END
from typing import Any

#: The longest file, in bytes, that is read to tell requests apart. A request with a longer one is not looked up.
MAX_FILE = 16 << 20


def reread(file: Any, most: int = MAX_FILE) -> bytes | None:
    """What is left of a file, which is then where it was; `None` if it cannot be read again, or is longer than `most`."""
    at = place(file, most)
    if at is None:
        return None
    try:
        content = file.read()
    finally:
        file.seek(at)
    return content.encode() if isinstance(content, str) else bytes(content)


def place(file: Any, most: int = MAX_FILE) -> int | None:
    """Where a file is; `None` if it cannot be read again from there, or if more than `most` bytes are left of it."""
    with suppress(AttributeError, OSError, TypeError, ValueError):
        if not file.seekable():
            return None
        at: int = file.tell()
        left = file.seek(0, SEEK_END) - at
        file.seek(at)
        return at if left <= most else None
    return None
