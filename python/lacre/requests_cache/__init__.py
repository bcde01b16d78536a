"""`import lacre.requests_cache as requests_cache`: every name and module of requests-cache, the same objects as in `lacre`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import lacre

from .._alias import Alias

if TYPE_CHECKING:
    from lacre import *
else:
    __all__ = [*lacre.__all__, "stand_in"]

    def __getattr__(name: str) -> Any:
        try:
            found = getattr(lacre, name)
        except AttributeError:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


_HERE = sys.modules[__name__]
_STAND_IN = Alias("requests_cache", lacre.__name__)

sys.meta_path.insert(0, Alias(__name__, lacre.__name__))


def stand_in() -> None:
    """Lets `import requests_cache` import this from now on, wherever it is written: for libraries that use it.

    Raises:
        ImportError: it has been imported before, and what was taken from it cannot be replaced
    """
    if sys.modules.setdefault("requests_cache", _HERE) is not _HERE:
        raise ImportError(
            "requests_cache is imported already; let lacre stand in for it before that"
        )
    if _STAND_IN not in sys.meta_path:
        sys.meta_path.insert(0, _STAND_IN)
