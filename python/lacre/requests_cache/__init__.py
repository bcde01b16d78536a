"""The names and modules of requests-cache, as the same objects that `lacre` has.

Use `import lacre.requests_cache as requests_cache`, or `stand_in` for libraries that import
requests-cache themselves.
"""

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
    """Makes `import requests_cache` import this package from now on, in all libraries.

    Raises:
        ImportError: requests-cache is already imported, and its objects may be in use.
    """
    if sys.modules.setdefault("requests_cache", _HERE) is not _HERE:
        raise ImportError(
            "requests_cache is already imported; call stand_in() before any import of it"
        )
    if _STAND_IN not in sys.meta_path:
        sys.meta_path.insert(0, _STAND_IN)
