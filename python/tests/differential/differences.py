"""The deliberate differences from requests-cache; docs/python.md lists them for users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scenarios import DO_NOT_CACHE, Scenario, Step

#: A predicate: whether a difference explains the first mismatch of a scenario, at a step.
Explains = Callable[[Scenario, list[Step]], bool]


def requested(steps: list[Step]) -> list[dict[str, Any]]:
    """Returns the requests among the steps."""
    return [step["request"] for step in steps if "request" in step]


def _do_not_cache(scenario: Scenario, steps: list[Step]) -> bool:
    return any(request.get("expire_after") == DO_NOT_CACHE for request in requested(steps))


def _do_not_cache_obeyed(scenario: Scenario, steps: list[Step]) -> bool:
    settings = scenario["settings"]
    by_setting = settings.get("expire_after") == DO_NOT_CACHE or "urls_expire_after" in settings
    return by_setting and settings.get("cache_control", False)


def _two_lifetimes(scenario: Scenario, steps: list[Step]) -> bool:
    last = steps[-1].get("request", {})
    return "expire_after" in last and "max-age" in last["headers"].get("Cache-Control", "")


def _range(scenario: Scenario, steps: list[Step]) -> bool:
    return any("Range" in request["headers"] for request in requested(steps))


def _star_in_vary(scenario: Scenario, steps: list[Step]) -> bool:
    varied = any("/vary" in request["url"] for request in requested(steps))
    return varied and scenario["origin"]["/vary"]["headers"]["Vary"] == "Accept, *"


def _header(name: str, *values: str) -> Explains:
    """Returns whether `cache_control` is on and a response of the origin has this header."""

    def explains(scenario: Scenario, steps: list[Step]) -> bool:
        stated = [habits["headers"].get(name) for habits in scenario["origin"].values()]
        return scenario["settings"].get("cache_control", False) and any(
            value is not None and (not values or value in values) for value in stated
        )

    return explains


def _unsafe(scenario: Scenario, steps: list[Step]) -> bool:
    unsafe = {"POST", "PUT", "DELETE"}.intersection(
        request["method"] for request in requested(steps)
    )
    return scenario["settings"].get("cache_control", False) and bool(unsafe)


def _any_staleness(scenario: Scenario, steps: list[Step]) -> bool:
    return any(
        request["headers"].get("Cache-Control") == "max-stale" for request in requested(steps)
    )


def _stale_if_error(scenario: Scenario, steps: list[Step]) -> bool:
    asked = [request["headers"].get("Cache-Control", "") for request in requested(steps)]
    return any("stale-if-error" in stated for stated in asked)


def _ignored_in_hops(scenario: Scenario, steps: list[Step]) -> bool:
    redirected = any("/old" in request["url"] for request in requested(steps))
    return redirected and bool(scenario["settings"].get("ignored_parameters"))


def _only_if_cached(scenario: Scenario, steps: list[Step]) -> bool:
    last = requested(steps)[-1]
    return bool(last.get("only_if_cached")) and "/vary" in last["url"]


def _rewritten(scenario: Scenario, steps: list[Step]) -> bool:
    return scenario["backend"] == "filesystem" and "/json" in steps[-1].get("request", {}).get(
        "url", ""
    )


DIFFERENCES: dict[str, Explains] = {
    "DO_NOT_CACHE for a request also prevents storing": _do_not_cache,
    "DO_NOT_CACHE in a setting overrides the headers of a response": _do_not_cache_obeyed,
    "expire_after replaces max-age in the request": _two_lifetimes,
    "a partial response is neither stored nor served from the cache": _range,
    "`*` anywhere in Vary prevents reuse": _star_in_vary,
    "only_if_cached never sends, even if another variant is stored": _only_if_cached,
    "stale-if-error of a request also applies to error statuses": _stale_if_error,
    "max-stale without a number accepts any staleness": _any_staleness,
    "Age reduces max-age": _header("Age"),
    "an invalid Expires date has expired": _header("Expires", "soon", "0"),
    "the first of two equal directives applies, and a malformed max-age is 0": _header(
        "Cache-Control", "max-age=5, max-age=60", "max-age=soon"
    ),
    "stale-if-error of a response is obeyed": _header(
        "Cache-Control", "max-age=5, stale-if-error=60"
    ),
    "a response that must be validated is not used if the request fails": _header(
        "Cache-Control", "no-cache", "must-revalidate"
    ),
    "ignored parameters are redacted in redirects, too": _ignored_in_hops,
    "a JSON body in files is returned byte for byte": _rewritten,
    "an unsafe request invalidates the responses of its URL": _unsafe,
}
