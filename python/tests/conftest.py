"""What tests share."""

import os
from pathlib import Path

import pytest


def shared(name: str) -> Path:
    """A file of data beside the checkout, or where LACRE_SHARED says; the test is skipped without it."""
    beside = Path(__file__).resolve().parents[3] / "shared"
    path = Path(os.environ.get("LACRE_SHARED", beside)) / name
    if not path.exists():
        pytest.skip(f"NOT CHECKED: no {name}; set LACRE_SHARED to the directory that has it")
    return path


@pytest.fixture(autouse=True)
def _keyring_of_its_own(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No test makes, or depends on, the keyring of whoever runs it."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))


@pytest.fixture(autouse=True)
def _certificates_as_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on the bundle of certificates that the machine names to whoever runs it: it is part of keys."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
