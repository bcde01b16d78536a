"""The `repr` of models and settings: the fields that differ from their defaults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from typing import Any


class RichMixin:
    """A mixin with a short `repr` of the public fields that differ from their defaults.

    It supports dataclasses, attrs classes, and pretty-printing with rich.
    """

    def __rich_repr__(self) -> Iterator[tuple[str, Any, Any]]:
        for name, default in _shown_fields(self):
            value = getattr(self, name)
            yield name, str(value) if isinstance(value, datetime) else value, default

    def __repr__(self) -> str:
        shown = [
            f"{name}={value!r}" for name, value, default in self.__rich_repr__() if value != default
        ]
        return f"{type(self).__name__}({', '.join(shown)})"


def _shown_fields(instance: Any) -> Iterator[tuple[str, Any]]:
    """Yields the names of the shown fields with their defaults."""
    if is_dataclass(instance):
        for field in fields(instance):
            if field.repr:
                make = field.default_factory
                yield field.name, field.default if make is MISSING else make()
    else:
        for attribute in type(instance).__attrs_attrs__:
            if attribute.repr:
                factory = getattr(attribute.default, "factory", None)
                yield attribute.name, factory() if factory else attribute.default
