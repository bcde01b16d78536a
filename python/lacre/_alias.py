"""Imports of one package under the name of another."""

from __future__ import annotations

from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class Alias(MetaPathFinder, Loader):
    """Resolves imports below `name` to the modules below `package`.

    Both names give the same module objects: a patch or an exception class is the same under each.
    """

    def __init__(self, name: str, package: str) -> None:
        self._below, self._package = f"{name}.", f"{package}."
        self._specs: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not name.startswith(self._below):
            return None
        return ModuleSpec(name, self, is_package=hasattr(self._module(name), "__path__"))

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = self._module(spec.name)
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has replaced the module's own spec, which relative imports need.
        assert module.__spec__ is not None
        module.__spec__ = self._specs.pop(module.__spec__.name)

    def _module(self, name: str) -> ModuleType:
        return import_module(self._package + name.removeprefix(self._below))
