"""Where answers may differ from requests-cache's, on purpose. docs/python.md says why."""

from __future__ import annotations

from collections.abc import Callable

from scenarios import DO_NOT_CACHE, Scenario, Step

#: Whether the first difference of a scenario, at a step, may be this one.
Explains = Callable[[Scenario, list[Step]], bool]


def requested(steps: list[Step]) -> list[dict[str, object]]:
    """The requests among the steps."""
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


DIFFERENCES: dict[str, Explains] = {
    "DO_NOT_CACHE for a request also keeps it from being stored": _do_not_cache,
    "DO_NOT_CACHE in a setting is stronger than the headers of a response": _do_not_cache_obeyed,
    "expire_after replaces a max-age that the request has already": _two_lifetimes,
}
