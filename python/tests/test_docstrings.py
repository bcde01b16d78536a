"""Every public class and function has a docstring that describes all its parameters."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import lacre
from lacre import _lacre

#: The modules that users import from; a client module needs its client.
MODULES = [
    "lacre",
    "lacre.aiohttp",
    "lacre.backends",
    "lacre.backends.base",
    "lacre.backends.dynamodb",
    "lacre.backends.filesystem",
    "lacre.backends.gridfs",
    "lacre.backends.mongodb",
    "lacre.backends.redis",
    "lacre.backends.sqlite",
    "lacre.cache_keys",
    "lacre.httpx",
    "lacre.models",
    "lacre.niquests",
    "lacre.patcher",
    "lacre.policy.actions",
    "lacre.policy.directives",
    "lacre.policy.expiration",
    "lacre.policy.settings",
    "lacre.requests_cache",
    "lacre.serializers",
    "lacre.serializers.cattrs",
    "lacre.serializers.pipeline",
    "lacre.serializers.preconf",
    "lacre.serializers.sealed",
    "lacre.session",
]
STUB = Path(lacre.__file__).with_name("_lacre.pyi")


def is_ours(value: Any) -> bool:
    """Whether a class or function is defined in this package."""
    return str(getattr(value, "__module__", "")).split(".")[0] == "lacre"


def public(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """Yields the public classes and functions of a module, not those that it only imports."""
    exported = getattr(module, "__all__", ())
    for name in exported or [name for name in vars(module) if name[0] != "_"]:
        value = getattr(module, name)
        is_documented = inspect.isclass(value) or inspect.isroutine(value)
        if is_ours(value) and is_documented and (exported or value.__module__ == module.__name__):
            yield name, value


def parameters(function: Any) -> list[str]:
    """Returns the names of the parameters; none if Python cannot tell."""
    try:
        names = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return []
    return [name for name in names if name not in ("self", "cls") and name[0] != "_"]


def undocumented(name: str, value: Any) -> Iterator[str]:
    """Yields what lacks a docstring or a description."""
    doc = inspect.getdoc(value) or ""
    if not doc.strip():
        yield f"{name} has no docstring"
    for parameter in parameters(value):
        if f"{parameter}:" not in doc:
            yield f"{name} does not describe {parameter}"


def members(owner: type) -> Iterator[tuple[str, Any]]:
    """Yields the public methods and properties that this package defines for a class."""
    for base in owner.__mro__:
        if not is_ours(base):
            continue
        for name, member in vars(base).items():
            if name[0] == "_" or inspect.isclass(member) or isinstance(member, ModuleType):
                continue
            if isinstance(member, property) or inspect.isgetsetdescriptor(member):
                yield name, member
            elif callable(getattr(owner, name)):
                yield name, getattr(owner, name)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings_with_their_parameters(name: str) -> None:
    client = name.rpartition(".")[2]
    pytest.importorskip(client if client in ("aiohttp", "httpx", "niquests") else "requests")
    module = importlib.import_module(name)
    assert (module.__doc__ or "").strip(), f"{name} has no docstring"
    found: list[str] = []
    for label, value in public(module):
        if inspect.isclass(value) and issubclass(value, dict):
            # A `TypedDict` comments its fields.
            found += [] if inspect.getdoc(value) else [f"{label} has no docstring"]
            continue
        found += undocumented(label, value)
        if inspect.isclass(value):
            for member, function in members(value):
                found += undocumented(f"{label}.{member}", function)
    assert found == []


def stub_docstrings() -> Iterator[tuple[str, str]]:
    """Yields the names and docstrings of the stub of the compiled module."""

    def walk(node: ast.Module | ast.ClassDef, prefix: str) -> Iterator[tuple[str, str]]:
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef):
                doc = ast.get_docstring(child)
                if doc is not None:
                    yield prefix + child.name, doc
            if isinstance(child, ast.ClassDef):
                yield from walk(child, f"{prefix}{child.name}.")

    return walk(ast.parse(STUB.read_text("utf-8")), "")


def test_the_stub_has_the_docstrings_of_the_compiled_module() -> None:
    for name, doc in stub_docstrings():
        owner, _, member = name.rpartition(".")
        # Only the stub has the types of dicts.
        if not hasattr(_lacre, name.partition(".")[0]):
            continue
        found = getattr(getattr(_lacre, owner) if owner else _lacre, member)
        assert doc == inspect.getdoc(found), name
    documented = {name for name, _ in stub_docstrings()}
    for name in _lacre.__all__:
        assert name in documented or name == "__version__", f"the stub says nothing about {name}"
