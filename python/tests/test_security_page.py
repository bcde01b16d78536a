"""Runs the snippets of the security page of requests-cache with lacre."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import shared
from lacre import CachedSession
from origin import Origin, answer


def snippets() -> list[str]:
    """Returns the snippets of the page; a prompt starts each statement."""
    return re.findall(r"```python (.*?)```", shared("seed/requests-cache-security.txt").read_text())


def statements(snippet: str) -> list[str]:
    """Returns the input at each prompt; the last one includes the expected output."""
    return [typed.strip() for typed in snippet.split(">>> ")[1:]]


@pytest.fixture(params=["environment", "keyring"])
def secret_key(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Provides the secret as the page does: in the environment, or in the keyring of the user."""
    secret = "the secret of the reader of the page"
    if request.param == "environment":
        monkeypatch.setenv("SECRET_KEY", secret)
        yield "import os"
        return
    import keyring
    from keyring.backend import KeyringBackend

    class InMemory(KeyringBackend):
        priority = 1  # type: ignore[assignment]

        def get_password(self, service: str, username: str) -> str | None:
            return (
                secret if (service, username) == ("requests-cache-example", "secret_key") else None
            )

        def set_password(self, service: str, username: str, password: str) -> None:
            raise NotImplementedError

        def delete_password(self, service: str, username: str) -> None:
            raise NotImplementedError

    before = keyring.get_keyring()
    keyring.set_keyring(InMemory())
    yield "import keyring"
    keyring.set_keyring(before)


def test_the_snippets_end_in_a_bad_signature(
    secret_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = snippets()
    assert len(page) == 5
    # The page has one snippet for each source of the secret.
    ways = [snippet for snippet in page if "secret_key = " in snippet]
    chosen = [snippet for snippet in page if snippet not in ways or secret_key in snippet]
    typed = [line for snippet in chosen for line in statements(snippet)]
    assert len(typed) == 2 + 4 + 4 + 1
    last, expected = typed.pop().split(" BadSignature: ")

    origin = Origin(answer("what the origin says"))
    monkeypatch.setattr(CachedSession, "get_adapter", lambda *_, **__: origin)
    monkeypatch.chdir(tmp_path)
    world: dict[str, Any] = {}
    for line in typed:
        exec(line.replace("from requests_cache import", "from lacre import"), world)
    assert len(origin.requests) == 1
    # The message is that of requests-cache.
    pattern = re.escape(re.sub(r"b'.*'", "SIGNATURE", expected)).replace("SIGNATURE", "b'.*'")
    with pytest.raises(Exception, match=f"^{pattern}$") as refused:
        exec(last, world)
    assert type(refused.value).__name__ == "BadSignature"
    assert len(origin.requests) == 1
