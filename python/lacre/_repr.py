"""How models and settings show themselves: what differs from the defaults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from typing import Any


class RichMixin:
    """A short `repr`, also for pretty-printing with rich: public fields that are not as they are by default.

    For dataclasses and for classes made by attrs.
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
    """The names of the fields, with their defaults."""
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
