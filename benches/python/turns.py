"""Times several ways to do the same, in turns, so that what else runs is in the way of all of them alike.

What is counted is the time that the processor spent, on all threads of this process: waiting costs nothing.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

Way = Callable[[int], None]


def medians(ways: dict[str, Way], *, rounds: int = 31, seconds: float = 0.02) -> dict[str, float]:
    """Microseconds of CPU that each way takes for one, the median of its rounds; a way is told how many to do."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    many = {name: _enough(way, seconds) for name, way in ways.items()}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way(many[name])
            times[name].append((time.process_time() - begun) / many[name] * 1e6)
    return {name: statistics.median(found) for name, found in times.items()}


def _enough(way: Way, seconds: float) -> int:
    """How many take about so long, once it is warm."""
    many = 1
    while True:
        begun = time.process_time()
        way(many)
        if time.process_time() - begun > seconds:
            return many
        many *= 2
