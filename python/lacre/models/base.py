"""The base of models, under the name that requests-cache gives it."""

from .._repr import RichMixin as RichMixin
