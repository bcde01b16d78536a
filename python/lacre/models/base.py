"""How models show themselves."""

from .._repr import RichMixin as RichMixin
