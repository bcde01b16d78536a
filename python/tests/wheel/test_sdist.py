"""The source distribution contains what a build and its users need."""

from __future__ import annotations

import os
import re
import subprocess
import tarfile
from pathlib import Path

import pytest

WHEELS = Path(os.environ["LACRE_WHEELS"])


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (packed,) = WHEELS.glob("*.tar.gz")
    folder = tmp_path_factory.mktemp("sdist")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    return folder / packed.name.removesuffix(".tar.gz")


def test_it_contains_the_files_that_users_need(unpacked: Path) -> None:
    names = {path.name for path in unpacked.rglob("*") if path.is_file()}
    assert {"PKG-INFO", "pyproject.toml", "README.md", "LICENSE-APACHE", "LICENSE-MIT"} <= names
    assert {"py.typed", "_lacre.pyi"} <= names
    assert "An HTTP cache that seals what it stores" in (unpacked / "PKG-INFO").read_text()


def test_cargo_finds_every_crate_at_its_locked_version(unpacked: Path) -> None:
    (manifest,) = unpacked.rglob("lacre-py/Cargo.toml")
    lock = unpacked / "Cargo.lock"
    before = packages(lock)
    # Only the crates that are absent may disappear from the lock file.
    resolve = ["metadata", "--offline", "--format-version=1", "--manifest-path", str(manifest)]
    cargo = os.environ.get("CARGO", "cargo")
    done = subprocess.run([cargo, *resolve], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert packages(lock) < before


def packages(lock: Path) -> set[tuple[str, str]]:
    """Returns the name and version of each package."""
    return set(re.findall(r'name = "(.+)"\nversion = "(.+)"', lock.read_text()))
