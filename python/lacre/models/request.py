"""The model of a stored request."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from requests import PreparedRequest
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from .._repr import RichMixin
from .._utils import copy_headers, encode


@dataclass(repr=False)
class CachedRequest(RichMixin):
    """The data of a `requests.PreparedRequest`.

    Args:
        body: The body.
        cookies: The cookies.
        headers: The headers.
        method: The method.
        url: The URL.
    """

    body: Any = None
    cookies: RequestsCookieJar = field(default_factory=RequestsCookieJar)
    headers: CaseInsensitiveDict[str] = field(default_factory=CaseInsensitiveDict)
    method: str | None = None
    url: str | None = None

    def __post_init__(self) -> None:
        self.body = encode(self.body)

    @classmethod
    def from_request(cls, original_request: Any) -> CachedRequest:
        """Copies a request of any type.

        Args:
            original_request: The request.
        """
        cookies = getattr(original_request, "_cookies", None)
        return cls(
            body=getattr(original_request, "body", None),
            cookies=RequestsCookieJar() if cookies is None else cookies.copy(),
            headers=copy_headers(original_request.headers),
            method=original_request.method,
            url=original_request.url,
        )

    @property
    def path_url(self) -> str:
        """The path and query of the URL."""
        parts = urlsplit(self.url or "")
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    def copy(self) -> CachedRequest:
        """Returns an equal request."""
        return CachedRequest.from_request(self)

    def prepare(self) -> PreparedRequest:
        """Returns a request that can be sent."""
        prepared = PreparedRequest()
        prepared.prepare(
            self.method, self.url, headers=self.headers, data=self.body, cookies=self.cookies
        )
        return prepared

    @property
    def _cookies(self) -> RequestsCookieJar:
        # The name of the attribute in `PreparedRequest`.
        return self.cookies

    def __str__(self) -> str:
        return f"{self.method} {self.url}"
