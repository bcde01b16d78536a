"""An origin without a network: an adapter of requests with scripted responses."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPResponse

Answer = Callable[[PreparedRequest], Response]


def answer(body: str | bytes = "hello", status: int = 200, **headers: str) -> Answer:
    """Makes the same response to every request. `_` in header names stands for `-`."""
    content = body.encode() if isinstance(body, str) else body
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def make(request: PreparedRequest) -> Response:
        response = Response()
        response.status_code = status
        response.headers = CaseInsensitiveDict(named)
        response.url = request.url or ""
        response.request = request
        response.raw = HTTPResponse(BytesIO(content), named, status, preload_content=False)
        return response

    return make


class Origin(BaseAdapter):
    """Answers with the function of a path, and records the requests."""

    def __init__(self, default: Answer | None = None) -> None:
        super().__init__()
        self.answers: dict[str, Answer] = {}
        self.default = default or answer()
        self.requests: list[PreparedRequest] = []

    def send(self, request: PreparedRequest, **_: Any) -> Response:  # type: ignore[override]
        self.requests.append(request.copy())
        return self.answers.get(request.path_url, self.default)(request)

    def close(self) -> None:
        pass
