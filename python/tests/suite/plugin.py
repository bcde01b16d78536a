"""A pytest plugin for the suite of requests-cache: imports, ports and expected failures.

* `requests_cache` and all modules below it are those of lacre, unless `$LACRE_SUITE_PACKAGE` is the
  released package. They are the same module objects, so that a patch applies under both names.
* The fixed ports of its servers lead to those of this run (`$LACRE_SUITE_PORTS`); MongoDB is in
  memory.
* Tests in `expected.txt` must fail: one that passes fails the run until its line is removed. In a
  complete run (`$LACRE_SUITE_GATE`), a line that matches no test fails the run, and so does any
  other number of passed tests than the one in the file.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import mongodb

PUBLIC_NAME = "requests_cache"
PACKAGE = os.environ["LACRE_SUITE_PACKAGE"]
#: Seconds until the suite gives up on a backend.
CONNECT_TIMEOUT = 60.0
EXPECTED = Path(__file__).with_name("expected.txt")
#: The kinds of lines that apply to the package under test.
KINDS = {"both", "theirs"} if PACKAGE == PUBLIC_NAME else {"both", "differs", "internal", "pending"}


class Expected(NamedTuple):
    """A line of the file: tests that fail, and the reason."""

    kind: str
    pattern: str
    reason: str

    def matches(self, name: str) -> bool:
        start = self.pattern.removesuffix("*")
        return name == start or (start != self.pattern and name.startswith(start))


def expectations(text: str) -> tuple[int, list[Expected]]:
    """Returns the number of tests that pass, and the lines of those that fail."""
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


def redirect_ports(ports: dict[int, int]) -> None:
    """Redirects connections from ports to others."""
    resolve = socket.getaddrinfo

    def resolve_mapped(host: Any, port: Any, *arguments: Any, **named: Any) -> Any:
        return resolve(host, ports.get(port, port), *arguments, **named)

    socket.getaddrinfo = resolve_mapped


if PACKAGE != PUBLIC_NAME:
    import lacre.requests_cache

    lacre.requests_cache.stand_in()
mongodb.install()
pairs = [pair.split("=") for pair in os.environ["LACRE_SUITE_PORTS"].split()]
redirect_ports({int(fixed): int(ours) for fixed, ours in pairs})


def pytest_configure() -> None:
    # Many tests use relative cache names, which two workers must not share.
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    scratch = Path(os.environ["LACRE_SUITE_SCRATCH"], worker)
    scratch.mkdir(exist_ok=True)
    os.chdir(scratch)


def wait_longer_for_backends() -> None:
    """Raises the suite's limit of 5 seconds for a connection, which a busy machine exceeds."""
    conftest: Any = sys.modules["tests.conftest"]
    limit = conftest.timeout
    conftest.timeout = lambda _: limit(CONNECT_TIMEOUT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    wait_longer_for_backends()
    _, lines = expectations(EXPECTED.read_text())
    unused = set(lines)
    for item in items:
        line = next((line for line in lines if line.matches(item.nodeid)), None)
        if line is None:
            continue
        unused.discard(line)
        if line.kind in KINDS:
            reason = f"{line.kind}: {line.reason}"
            item.add_marker(pytest.mark.xfail(strict=True, reason=reason))
    if unused and "LACRE_SUITE_GATE" in os.environ:
        raise pytest.UsageError(f"{EXPECTED.name} has lines that match no test: {sorted(unused)}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or "LACRE_SUITE_GATE" not in os.environ or PACKAGE == PUBLIC_NAME:
        return
    passes, _ = expectations(EXPECTED.read_text())
    passed = len(reporter.stats.get("passed", []))
    if passed != passes:
        reporter.write_line(f"\n{EXPECTED.name} expects {passes} tests to pass, and {passed} did")
        session.exitstatus = session.exitstatus or 1
