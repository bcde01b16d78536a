"""The first stage of most serializers: it converts responses to dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..models import CachedResponse
from .pipeline import Stage
from .plain import PLAIN, Notation, from_plain, to_plain

if TYPE_CHECKING:
    from cattrs import BaseConverter


class CattrStage(Stage):
    """Converts responses to dicts of plain data and back. Other values pass through unchanged.

    Args:
        factory: Makes a cattrs converter for the values of the dict, for formats that this package
            does not have. Only this needs cattrs.
        decode_content: Store JSON and text bodies as values instead of bytes.
        notation: How the format represents bytes, times and durations.
    """

    def __init__(
        self,
        factory: Callable[..., BaseConverter] | None = None,
        decode_content: bool = False,
        *,
        notation: Notation = PLAIN,
        **_kwargs: Any,
    ) -> None:
        self.factory = factory
        self.decode_content = decode_content
        self.notation = notation
        self._converter: BaseConverter | None = None

    @property
    def converter(self) -> BaseConverter:
        """The converter of cattrs."""
        if self._converter is None:
            from cattrs import Converter

            self._converter = (self.factory or Converter)()
        return self._converter

    def copy(self) -> CattrStage:
        copy = CattrStage(self.factory, self.decode_content, notation=self.notation)
        copy._converter = self._converter
        return copy

    def dumps(self, value: Any) -> Any:
        """Converts a response to a dict.

        Args:
            value: A response; other values are returned unchanged.
        """
        if not isinstance(value, CachedResponse):
            return value
        plain = to_plain(value, self.notation, self.decode_content)
        return self.converter.unstructure(plain) if self.factory else plain

    def loads(self, value: Any) -> Any:
        """Converts a dict to a response.

        Args:
            value: A dict; other values are returned unchanged.
        """
        if not isinstance(value, Mapping):
            return value
        notation = self.notation
        if self.factory:
            notation = Notation(bytes_in=lambda stored: self.converter.structure(stored, bytes))
        return from_plain(value, notation)
