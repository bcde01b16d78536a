"""Shared fixtures."""

import os
from pathlib import Path

import pytest


def shared(name: str) -> Path:
    """Returns a data file from LACRE_SHARED, or beside the checkout; skips the test without it."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("LACRE_SHARED", beside)) / name
    if not path.exists():
        pytest.skip(f"NOT CHECKED: no {name}; set LACRE_SHARED to the directory that has it")
    return path


@pytest.fixture(autouse=True)
def _keyring_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Isolates tests from the keyring of the user."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))


@pytest.fixture(autouse=True)
def _certificates_as_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Removes variables that name certificates, since these are part of cache keys."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
