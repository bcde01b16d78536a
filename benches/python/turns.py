"""Times several alternatives in turns, so that other load affects all of them alike.

It measures the CPU time of all threads of this process, so that waiting costs nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Way = Callable[[int], None]


def medians(ways: dict[str, Way], *, rounds: int = 31, seconds: float = 0.02) -> dict[str, float]:
    """Returns the median CPU microseconds per iteration of each alternative.

    An alternative is a function of the number of iterations.
    """
    times: dict[str, list[float]] = {name: [] for name in ways}
    many = {name: _enough(way, seconds) for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way(many[name])
            times[name].append((time.process_time() - begun) / many[name] * 1e6)
    return {name: statistics.median(found) for name, found in times.items()}


def _enough(way: Way, seconds: float) -> int:
    """Returns how many iterations take about so long, after a warm-up."""
    many = 1
    while True:
        begun = time.process_time()
        way(many)
        if time.process_time() - begun > seconds:
            return many
        many *= 2
