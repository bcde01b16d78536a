"""Plays scenarios against one package and prints the events of each step as a line of JSON.

The events are all that a program could observe: responses, errors, the requests that the origin
received, and the state of the cache.
"""

from __future__ import annotations

import json
import logging
import sys
import tempfile
from datetime import datetime, timedelta, timezone
from importlib import import_module
from pathlib import Path
from typing import Any

import requests
import time_machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from requests import PreparedRequest, Response

from origin import Origin, answer
from scenarios import Scenario, Step, generate

START = datetime(2026, 3, 1, tzinfo=timezone.utc)
#: The request headers that are compared; requests sets the others.
SHOWN_HEADERS = ("Accept", "Cache-Control", "If-None-Match", "If-Modified-Since", "X-Other")


class Player:
    """Plays one scenario with one session and one origin."""

    def __init__(self, package: Any, scenario: Scenario, folder: str) -> None:
        self.scenario = scenario
        name = str(Path(folder, f"cache-{scenario['number']}"))
        self.session = package.CachedSession(
            name, backend=scenario["backend"], **scenario["settings"]
        )
        self.origin = Origin(self.respond)
        self.session.mount("http://", self.origin)
        self.fails = False

    def respond(self, request: PreparedRequest) -> Response:
        if self.fails:
            raise requests.ConnectionError("scripted by the scenario")
        path = request.path_url.partition("?")[0]
        habits = self.scenario["origin"][path]
        turn = sum(asked.path_url == request.path_url for asked in self.origin.requests) - 1
        status = habits["statuses"][turn % len(habits["statuses"])]
        headers = {name.replace("-", "_"): value for name, value in habits["headers"].items()}
        validated = ("If-None-Match", "ETag"), ("If-Modified-Since", "Last_Modified")
        if status == 200 and any(
            name in request.headers and own in headers for name, own in validated
        ):
            return answer("", 304, **headers)(request)
        text = f"{request.path_url} {turn} {request.headers.get('Accept')}"
        body = json.dumps({"text": text}) if path == "/json" else text
        return answer("" if request.method == "HEAD" else body, status, **headers)(request)

    def play(self, step: Step) -> dict[str, Any]:
        before = len(self.origin.requests)
        self.fails = step.get("fails", False)
        try:
            seen = self.ask(step) if "ask" in step else self.request(step)
        except Exception as error:
            seen = {"error": type(error).__name__}
        seen["sent"] = [
            [sent.method, sent.url, {name: sent.headers.get(name) for name in SHOWN_HEADERS}]
            for sent in self.origin.requests[before:]
        ]
        return seen

    def request(self, step: Step) -> dict[str, Any]:
        response = self.session.request(**step["request"])
        expires = response.expires
        return {
            "from_cache": response.from_cache,
            "status": response.status_code,
            "body": response.text,
            "headers": dict(response.headers),
            "url": response.url,
            "hops": [[hop.status_code, hop.url] for hop in response.history],
            "is_expired": response.is_expired,
            "revalidated": response.revalidated,
            "stored": response.cache_key is not None,
            "expires": expires and (expires - START).total_seconds(),
        }

    def ask(self, step: Step) -> dict[str, Any]:
        cache = self.session.cache
        match step["ask"]:
            case "urls":
                return {"urls": cache.urls()}
            case "count":
                return {"responses": len(cache.responses), "redirects": len(cache.redirects)}
            case "contains":
                return {"contains": bool(cache.contains(url=step["url"]))}
            case "delete expired":
                cache.delete(expired=True)
            case "filter":
                found = cache.filter(valid=False, expired=True)
                return {"expired": sorted(response.url for response in found)}
            case "reset":
                # Iterating over all at once does not end with SQLite in requests-cache.
                for key in list(cache.responses.keys()):
                    response = cache.responses[key]
                    response.reset_expiration(30)
                    cache.responses[key] = response
            case "clear":
                cache.clear()
        return {"done": step["ask"]}


def main(package: str, seed: int, count: int) -> None:
    """Prints one line for each scenario."""
    logging.disable()
    module = import_module(package)
    with tempfile.TemporaryDirectory() as folder:
        for scenario in generate(seed, count):
            with time_machine.travel(START, tick=False) as clock:
                player = Player(module, scenario, folder)
                seen = []
                for step in scenario["steps"]:
                    clock.shift(timedelta(seconds=step["wait"]))
                    seen.append(player.play(step))
                player.session.close()
            print(json.dumps(seen, sort_keys=True))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
