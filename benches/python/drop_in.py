"""Compares the drop-in with requests-cache: hits, misses, imports, sessions and memory, as ratios.

Run `python benches/python/drop_in.py` in a virtual environment with the package (`maturin develop
--release`), requests-cache, itsdangerous and CacheControl[filecache]. Every session has an adapter
that answers from memory, so that the result is the cost of the caches.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from email.utils import formatdate
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from statistics import median
from threading import Thread
from time import perf_counter
from typing import Any

import requests
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from turns import Way, medians
from urllib3 import HTTPResponse

URL = "http://example.test/items/1"
SECRET = "a secret of at least 32 random bytes"
SIZES = {"1 KB": 1_000, "10 KB": 10_000, "100 KB": 100_000, "1 MB": 1_000_000}


_places = iter(range(1_000_000))


class Origin(BaseAdapter):
    """Answers at once; each URL has its own body of one size."""

    def __init__(self, size: int, vary: str | None = None) -> None:
        super().__init__()
        self.body = os.urandom(size)
        self.headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(size),
            "Date": formatdate(usegmt=True),
            "ETag": '"0123456789abcdef"',
            "Cache-Control": "max-age=86400",
            "Server": "origin",
            "X-Request-Id": "0123456789abcdef",
        } | ({"Vary": vary} if vary else {})
        self.asked = 0

    def send(self, request: Any, **_: Any) -> requests.Response:
        self.asked += 1
        response = requests.Response()
        response.status_code, response.reason = 200, "OK"
        response.headers = CaseInsensitiveDict(self.headers)
        response.url, response.request = request.url, request
        response.raw = HTTPResponse(BytesIO(self.body), self.headers, 200, preload_content=False)
        return response

    def close(self) -> None:
        pass


def sides(folder: Path) -> dict[str, Callable[[], requests.Session]]:
    import cachecontrol
    import requests_cache
    from cachecontrol.caches import FileCache

    import lacre

    def place() -> Path:
        return folder / f"{next(_places)}.sqlite"

    signed = requests_cache.safe_pickle_serializer(secret_key=SECRET)
    return {
        "requests, no cache": requests.Session,
        "requests-cache, memory": lambda: requests_cache.CachedSession(backend="memory"),
        "requests-cache, SQLite": lambda: requests_cache.CachedSession(place()),
        "requests-cache, SQLite signed": lambda: requests_cache.CachedSession(
            place(), serializer=signed
        ),
        "CacheControl, files": lambda: cachecontrol.CacheControl(
            requests.Session(), FileCache(str(place()))
        ),
        "lacre, memory": lambda: lacre.CachedSession(backend="memory"),
        "lacre, SQLite": lambda: lacre.CachedSession(place(), secret_key=SECRET),
    }


def mounted(session: requests.Session, origin: Origin) -> str:
    """Mounts the origin in a session; returns the URL."""
    if type(session.adapters["http://"]).__name__ != "CacheControlAdapter":
        session.mount("http://", origin)
        return URL
    # CacheControl caches in its adapter, so it needs a socket. Hits do not use it; misses are not
    # compared.
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Served, origin))
    Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/items/1"


class Served(BaseHTTPRequestHandler):
    """Runs the origin behind a socket."""

    def __init__(self, origin: Origin, *args: Any) -> None:
        self.origin = origin
        super().__init__(*args)

    def do_GET(self) -> None:
        self.origin.asked += 1
        self.send_response(200)
        for name, value in self.origin.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.origin.body)

    def log_message(self, *_: Any) -> None:
        pass


def turns(calls: dict[str, Callable[[], Any]], **how: Any) -> dict[str, float]:
    """Returns the microseconds of CPU time of each call."""

    def way(call: Callable[[], Any]) -> Way:
        def many(count: int) -> None:
            for _ in range(count):
                call()

        return many

    gc.collect()
    gc.disable()
    try:
        return medians({name: way(call) for name, call in calls.items()}, **how)
    finally:
        gc.enable()


def hits(folder: Path, size: int, vary: str | None = None, **options: Any) -> dict[str, float]:
    origin = Origin(size, vary)
    calls: dict[str, Callable[[], Any]] = {}
    for name, make in sides(folder).items():
        session = make()
        url = mounted(session, origin)
        session.get(url, **options)
        before = origin.asked
        answered = session.get(url, **options)
        assert answered.content == origin.body, name
        assert name == "requests, no cache" or origin.asked == before, f"{name}: no hit"
        calls[name] = lambda session=session, url=url: session.get(url, **options).content
    return turns(calls)


def misses(folder: Path, size: int) -> dict[str, float]:
    origin = Origin(size)
    calls: dict[str, Callable[[], Any]] = {}
    numbers = iter(range(10_000_000))
    for name, make in sides(folder).items():
        if name == "CacheControl, files":
            continue
        session = make()
        mounted(session, origin)
        calls[name] = lambda session=session: session.get(f"{URL}/{next(numbers)}").content
    return turns(calls)


def threads(folder: Path, size: int) -> dict[str, tuple[float, float]]:
    """Returns hits per second with one thread and with eight."""
    origin = Origin(size)
    found = {}
    for name, make in sides(folder).items():
        if name == "CacheControl, files":
            continue
        session = make()
        mounted(session, origin)
        session.get(URL)

        def work(count: int, session: requests.Session = session) -> None:
            for _ in range(count):
                session.get(URL)

        rates = []
        for number in (1, 8):
            best = 0.0
            for _ in range(3):
                count = 40_000 if name.startswith("lacre") else 400
                workers = [Thread(target=work, args=(count // number,)) for _ in range(number)]
                started = perf_counter()
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                best = max(best, count / (perf_counter() - started))
            rates.append(best)
        found[name] = (rates[0], rates[1])
    return found


def sessions(folder: Path) -> dict[str, float]:
    """Opens a session on an existing file."""
    import requests_cache

    import lacre

    theirs, ours = folder / "theirs", folder / "ours"

    def requests_cache_session() -> None:
        requests_cache.CachedSession(theirs).close()

    def lacre_session() -> None:
        lacre.CachedSession(ours, secret_key=SECRET).close()

    def by_user() -> None:
        lacre.CachedSession(folder / "own").close()

    for make in (requests_cache_session, lacre_session, by_user):
        make()
    return turns(
        {
            "requests-cache": requests_cache_session,
            "lacre, secret_key": lacre_session,
            "lacre": by_user,
        }
    )


def imports() -> dict[str, float]:
    """Returns the milliseconds of an import, beyond those of requests."""
    programs = {
        "requests": "import requests",
        "requests-cache": "import requests; from requests_cache import CachedSession",
        "lacre": "import requests; from lacre import CachedSession",
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(15):
        for name, program in programs.items():
            started = perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True)
            times[name].append((perf_counter() - started) * 1e3)
    base = times.pop("requests")
    return {
        name: median(a - b for a, b in zip(each, base, strict=True)) for name, each in times.items()
    }


_PEAK = """
import resource, sys, os
sys.path.insert(0, {here!r})
from drop_in import Origin, mounted, sides
from pathlib import Path
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
origin = Origin(100_000_000)
session = sides(Path({folder!r}))[{side!r}]()
mounted(session, origin)
base = peak()
session.get("http://example.test/big").content
first = peak()
session.get("http://example.test/big").content
print(base, first, peak())
"""


def memory(folder: Path) -> dict[str, tuple[float, float]]:
    """Returns the rise in peak memory by a body of 100 MB, in lengths: on a miss, and a hit."""
    found = {}
    for side in ("requests, no cache", "requests-cache, SQLite", "lacre, SQLite"):
        program = _PEAK.format(here=str(Path(__file__).parent), folder=str(folder), side=side)
        out = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True
        ).stdout
        base, miss, hit = map(float, out.split())
        found[side] = ((miss - base) / 100, (hit - base) / 100)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", help="the parts to measure, by their first letters", default="hvomtisp"
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    arguments = parser.parse_args()
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CONFIG_HOME"] = name
        os.environ["XDG_DATA_HOME"] = name
        if "h" in arguments.only:
            report["hits"] = {title: hits(folder, size) for title, size in SIZES.items()}
            table("Microseconds of a hit", report["hits"])
            against(report["hits"])
        if "v" in arguments.only:
            report["vary"] = {
                "1 KB": hits(folder, 1_000, "Accept-Encoding"),
                "10 KB": hits(folder, 10_000, "Accept-Encoding"),
            }
            table("Microseconds of a hit of a response with Vary: Accept-Encoding", report["vary"])
            against(report["vary"])
        if "o" in arguments.only:
            given = {
                "params": hits(folder, 1_000, params={"page": "2", "sort": "name"}),
                "headers": hits(folder, 1_000, headers={"Accept": "application/json"}),
                "timeout": hits(folder, 1_000, timeout=10),
                "expire_after": hits_with(folder, expire_after=60),
                "auth": hits(folder, 1_000, auth=("user", "secret")),
            }
            report["options"] = given
            table("Microseconds of a hit of 1 KB, with an argument", given)
            against(given)
        if "m" in arguments.only:
            report["misses"] = {"10 KB": misses(folder, 10_000)}
            table("Microseconds of a miss", report["misses"])
        if "t" in arguments.only:
            report["threads"] = threads(folder, 1_000)
            for side, (one, eight) in report["threads"].items():
                print(
                    f"{side:32} {one:9.0f} hits/s with one thread, "
                    f"{eight:9.0f} with eight: {eight / one:.2f}"
                )
        if "s" in arguments.only:
            report["sessions"] = sessions(folder)
            table("Microseconds of a session on an existing file", {"": report["sessions"]})
        if "i" in arguments.only:
            report["imports"] = imports()
            for side, times in report["imports"].items():
                print(f"import {side:20} {times:6.1f} ms over requests")
        if "p" in arguments.only:
            report["memory"] = memory(folder)
            for side, (miss, hit) in report["memory"].items():
                print(
                    f"100 MB: {side:28} {miss:4.1f} times the body on a miss, "
                    f"{hit:4.1f} after a hit"
                )
    if arguments.json:
        arguments.json.write_text(json.dumps(report))


def hits_with(folder: Path, **options: Any) -> dict[str, float]:
    """Measures hits of the sessions that have the options of requests-cache."""
    origin = Origin(1_000)
    calls: dict[str, Callable[[], Any]] = {}
    for name, make in sides(folder).items():
        if name.startswith(("requests-cache", "lacre")):
            session = make()
            mounted(session, origin)
            session.get(URL, **options)
            calls[name] = lambda session=session: session.get(URL, **options).content
    return turns(calls)


def table(title: str, columns: dict[str, dict[str, float]]) -> None:
    print(f"\n{title}\n\n| | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    names = {name: None for seen in columns.values() for name in seen}
    for name in names:
        cells = [f"{seen[name]:.1f}" if name in seen else "" for seen in columns.values()]
        print(f"| {name} | {' | '.join(cells)} |")


def against(columns: dict[str, dict[str, float]]) -> None:
    print("\ntimes as fast")
    for fast, slow in (
        ("lacre, SQLite", "requests-cache, SQLite signed"),
        ("lacre, SQLite", "requests-cache, SQLite"),
        ("lacre, memory", "requests-cache, memory"),
    ):
        print(
            f"| {fast} as {slow} | "
            + " | ".join(f"{seen[slow] / seen[fast]:.1f}" for seen in columns.values())
            + " |"
        )


if __name__ == "__main__":
    main()
