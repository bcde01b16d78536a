"""Where files of caches are."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import Union

StrOrPath = Union[str, Path]


def get_cache_path(path: StrOrPath, use_cache_dir: bool = False, use_temp: bool = False) -> Path:
    """The absolute path, below the folder for caches or for temporary files if asked; its parents exist then.

    Raises:
        FileExistsError: one of its parents is a file
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
            f"{path.parent} is a file, or below one, and not a directory; "
            "delete that file, or choose another path"
        ) from None
    return path


def user_cache_dir() -> Path:
    """The user's folder for caches, as the operating system has it."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def create_private(path: StrOrPath) -> None:
    """Makes an empty file that nobody else can read, if there is none."""
    with suppress(FileExistsError):
        made = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        # A umask may have taken our own rights away.
        if hasattr(os, "fchmod"):
            os.fchmod(made, 0o600)
        os.close(made)


def is_read_only(path: Path) -> bool:
    """Whether there is such a file, which this process may not change, or not put another beside."""
    return path.exists() and not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK))
