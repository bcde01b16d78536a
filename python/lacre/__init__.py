"""An HTTP cache that seals what it stores."""

from ._lacre import __version__ as __version__
