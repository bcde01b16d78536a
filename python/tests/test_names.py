"""The public names and modules of requests-cache exist under both names of lacre."""

from __future__ import annotations

import collections.abc
import pkgutil
import subprocess
import sys
import typing
from importlib import import_module
from types import BuiltinFunctionType, FunctionType, ModuleType

import pytest
import requests_cache

import lacre
import lacre.requests_cache

#: Modules that only requests-cache itself uses.
INTERNAL = {"_utils"}
#: Names that users never import: internal helpers, and imports from other packages.
HELPERS = {
    "CACHE_NAME_KWARGS",
    "DATETIME_FORMAT",
    "KVList",
    "RegexPattern",
    "RequestContent",
    "VT",
    "ceil",
    "format_datetime",
    "get_504_response",
    "get_placeholder_class",
    "get_valid_kwargs",
    "init_converter",
    "logger",
    "make_decimal_timedelta_converter",
    "make_stage",
    "sqlite_template",
    "time_ns",
    "try_int",
    "warn",
}
#: Type aliases in modules that only use them. lacre has them at the top level and where defined.
TYPE_ALIASES = {
    ".backends.base": {"AnyRequest"},
    ".patcher": {"BackendSpecifier", "StrOrPath"},
    ".policy": {"RichMixin"},
    ".policy.actions": {"KeyCallback"},
    ".serializers.cattrs": {"DecodedContent"},
    ".session": {
        "AnyResponse",
        "BackendSpecifier",
        "ExpirationPatterns",
        "ExpirationTime",
        "FilterCallback",
        "KeyCallback",
        "SerializerType",
        "StrOrPath",
    },
}


def modules() -> list[str]:
    """Returns the modules of the released package, without its name."""
    found = pkgutil.walk_packages(requests_cache.__path__, "requests_cache.")
    names = [""] + [module.name.removeprefix("requests_cache") for module in found]
    return [name for name in names if name.lstrip(".") not in INTERNAL]


def public(module: ModuleType) -> set[str]:
    """Returns the public names of a module: its definitions, and exports of a package."""
    package = hasattr(module, "__path__")

    def is_theirs(name: str, value: object) -> bool:
        if isinstance(value, ModuleType):
            return package and value.__name__.startswith("requests_cache")
        if isinstance(value, type | FunctionType | BuiltinFunctionType):
            here = value.__module__
            return here.startswith("requests_cache") if package else here == module.__name__
        # A constant or type alias, unless it is one of Python.
        return value not in (getattr(typing, name, None), getattr(collections.abc, name, None))

    named = vars(module).items()
    return {name for name, value in named if not name.startswith("_") and is_theirs(name, value)}


@pytest.mark.parametrize("name", modules(), ids=lambda name: name or "top")
def test_every_public_name_of_requests_cache_exists(name: str) -> None:
    theirs, ours = (
        import_module(f"requests_cache{name}"),
        import_module(f"lacre.requests_cache{name}"),
    )
    missing = {each for each in public(theirs) if not hasattr(ours, each)}
    assert missing - HELPERS == TYPE_ALIASES.get(name, set())
    assert all(hasattr(lacre.requests_cache, each) for each in missing - HELPERS)


@pytest.mark.parametrize("name", [name for name in modules() if name])
def test_a_module_is_the_same_object_under_both_names(name: str) -> None:
    assert import_module(f"lacre.requests_cache{name}") is import_module(f"lacre{name}")
    stub = f"{lacre.requests_cache.__path__[0]}{name.replace('.', '/')}"
    module = import_module(f"lacre{name}")
    path = f"{stub}/__init__.pyi" if hasattr(module, "__path__") else f"{stub}.pyi"
    with open(path) as text:
        assert text.read() == f"from lacre{name} import *\n"


def test_public_names_equal_those_of_the_modules() -> None:
    for name in lacre.__all__:
        assert getattr(lacre, name) is getattr(lacre.requests_cache, name)
    with pytest.raises(AttributeError, match="no attribute 'no_such_name'"):
        _ = lacre.requests_cache.no_such_name
    assert set(lacre.__all__) <= set(dir(lacre))


PROGRAM = """
import sys
import lacre.requests_cache
lacre.requests_cache.stand_in()
lacre.requests_cache.stand_in()
import requests_cache
from requests_cache import CachedSession, session
from requests_cache.backends.sqlite import SQLiteCache
import lacre
assert requests_cache is lacre.requests_cache
assert CachedSession is lacre.CachedSession is requests_cache.session.CachedSession
assert SQLiteCache is lacre.SQLiteCache
assert requests_cache.backends.sqlite.SQLiteDict is lacre.SQLiteDict
assert session.__spec__.name == "lacre.session", session.__spec__
files = [getattr(module, "__file__", None) or "" for module in sys.modules.values()]
assert not any("site-packages/requests_cache" in file for file in files)
"""


def test_stand_in_replaces_requests_cache_on_import() -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", PROGRAM], check=True)


def test_stand_in_refuses_if_requests_cache_is_imported() -> None:
    with pytest.raises(ImportError, match="already imported"):
        lacre.requests_cache.stand_in()
    assert "lacre" not in (sys.modules["requests_cache"].__file__ or "")
