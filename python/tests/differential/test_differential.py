"""Plays two thousand scenarios against requests-cache and this package."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from differences import DIFFERENCES
from scenarios import generate

pytest.importorskip("requests_cache", reason="NOT CHECKED: requests-cache is not installed")
SEED, COUNT = "1", 2000


def played(*packages: str) -> Iterator[tuple[list[object], ...]]:
    """Returns the events of each scenario by package. Each package runs in its own process."""
    play = [sys.executable, str(Path(__file__).with_name("play.py"))]
    players = [
        subprocess.Popen([*play, package, SEED, str(COUNT)], stdout=subprocess.PIPE)
        for package in packages
    ]
    printed = [player.stdout for player in players if player.stdout]
    for lines in zip(*printed, strict=True):
        yield tuple(json.loads(line) for line in lines)
    for player in players:
        player.communicate()
        assert player.returncode == 0


def test_answers_differ_only_in_listed_ways() -> None:
    unexplained, met = [], set()
    scenarios = generate(int(SEED), COUNT)
    for scenario, (theirs, ours) in zip(scenarios, played("requests_cache", "lacre"), strict=True):
        assert len(theirs) == len(ours) == len(scenario["steps"])
        pairs = enumerate(zip(theirs, ours, strict=True), start=1)
        # After the first difference, the caches have different content.
        first = next((step for step, (their, our) in pairs if their != our), None)
        if first is None:
            continue
        steps = scenario["steps"][:first]
        reasons = {name for name, explains in DIFFERENCES.items() if explains(scenario, steps)}
        met |= reasons
        if not reasons:
            unexplained.append((scenario["number"], steps[-1], theirs[first - 1], ours[first - 1]))
    assert not unexplained
    assert met == set(DIFFERENCES), "a listed difference never occurs"
