"""A pytest plugin around requests-cache's suite: what it imports, whom it talks to, what is expected of it.

* `requests_cache` and every module below it are those of lacre, which stands in for it, unless
  `$LACRE_SUITE_PACKAGE` is the released one: the same module objects, so that what a test patches in the one
  is patched in the other.
* The fixed ports of its servers lead to those of this run (`$LACRE_SUITE_PORTS`); MongoDB is in memory.
* What is listed in `expected.txt` is expected to fail, strictly: a test that passes nevertheless fails
  the run, until its line is removed. In a run of everything (`$LACRE_SUITE_GATE`) a line that fits no
  test fails it too, and so does any other number of passed tests than the one that is written there.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import mongodb

PUBLIC_NAME = "requests_cache"
PACKAGE = os.environ["LACRE_SUITE_PACKAGE"]
EXPECTED = Path(__file__).with_name("expected.txt")
#: Which lines count for the package that is under test.
KINDS = {"both", "theirs"} if PACKAGE == PUBLIC_NAME else {"both", "differs", "internal", "pending"}


class Expected(NamedTuple):
    """One line: why tests are not expected to pass."""

    kind: str
    pattern: str
    reason: str

    def fits(self, name: str) -> bool:
        start = self.pattern.removesuffix("*")
        return name == start or (start != self.pattern and name.startswith(start))


def expectations(text: str) -> tuple[int, list[Expected]]:
    """How many tests pass, and the lines on those that do not."""
    passes, found = 0, []
    for line in text.splitlines():
        words = line.split(maxsplit=2)
        if not words or line.startswith("#"):
            continue
        if words[0] == "passes":
            passes = int(words[1])
        else:
            kind, pattern, reason = words
            found.append(Expected(kind, pattern, reason))
    return passes, found


def lead_ports_to(ports: dict[int, int]) -> None:
    """Makes every connection to a port on the left one to that on the right."""
    resolve = socket.getaddrinfo

    def resolve_mapped(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        return resolve(host, ports.get(port, port), *arguments, **named)

    socket.getaddrinfo = resolve_mapped


if PACKAGE != PUBLIC_NAME:
    import lacre.requests_cache

    lacre.requests_cache.stand_in()
mongodb.install()
pairs = [pair.split("=") for pair in os.environ["LACRE_SUITE_PORTS"].split()]
lead_ports_to({int(fixed): int(ours) for fixed, ours in pairs})


def pytest_configure() -> None:
    # Caches are named relatively in many tests, and two workers must not share them.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    scratch = Path(os.environ["LACRE_SUITE_SCRATCH"], worker)
    scratch.mkdir(exist_ok=True)
    os.chdir(scratch)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    _, lines = expectations(EXPECTED.read_text())
    unused = set(lines)
    for item in items:
        line = next((line for line in lines if line.fits(item.nodeid)), None)
        if line is None:
            continue
        unused.discard(line)
        if line.kind in KINDS:
            reason = f"{line.kind}: {line.reason}"
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
    if unused and "LACRE_SUITE_GATE" in os.environ:
        raise pytest.UsageError(f"{EXPECTED.name} names tests that do not exist: {sorted(unused)}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or "LACRE_SUITE_GATE" not in os.environ or PACKAGE == PUBLIC_NAME:
        return
    passes, _ = expectations(EXPECTED.read_text())
    passed = len(reporter.stats.get("passed", []))
    if passed != passes:
        reporter.write_line(f"\n{EXPECTED.name} expects {passes} tests to pass, and {passed} did")
        session.exitstatus = session.exitstatus or 1
