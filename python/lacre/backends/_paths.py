"""Paths of cache files."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Union

StrOrPath = Union[str, Path]


def get_cache_path(path: StrOrPath, use_cache_dir: bool = False, use_temp: bool = False) -> Path:
    """Returns the absolute path of a cache, and creates its parent directories.

    Args:
        path: The path.
        use_cache_dir: Resolve a relative path in the user's cache directory.
        use_temp: Resolve a relative path in the directory for temporary files.

    Raises:
        FileExistsError: A parent is a file.
    """
    path = Path(path).expanduser()
    if use_cache_dir and not path.is_absolute():
        path = user_cache_dir() / path
    elif use_temp and not path.is_absolute():
        path = Path(gettempdir(), path)
    path = path.absolute()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise FileExistsError(
            f"{path.parent} is not a directory, or is below a file; "
            "delete the file or choose another path"
        ) from None
    return path


def user_cache_dir() -> Path:
    """Returns the cache directory of the user."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def create_private(path: StrOrPath) -> None:
    """Creates an empty file that only this user can read, unless it exists."""
    with suppress(FileExistsError):
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        # The umask may have removed the owner's rights.
        if hasattr(os, "fchmod"):
            os.fchmod(made, 0o600)
        os.close(made)


def is_read_only(path: Path) -> bool:
    """Returns whether a file exists, and it or its directory is not writable."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
