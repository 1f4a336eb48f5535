"""The highest rate that a server holds: a bisection over runs, and a longer one to confirm. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable

import msgspec

RESOLUTION = 0.05
"""Rates closer than this, relative, are not told apart."""
LOWEST_SHARE, HIGHEST_SHARE = 1 / 8, 8.0
"""Of the guess: outside the search ends. Who cannot hold an eighth of the offline rate is too slow by itself."""
MOST_CONFIRMATIONS = 5


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """One run of a server at one rate. Times in seconds."""

    rate: float
    """Requests a second that were due."""
    passed: bool
    confirms: bool = False
    """Whether it was a longer run, at a rate that had passed before."""
    queries: int
    over: int
    """Later than the bound, or rejected."""
    rejected: int
    abandoned: bool
    """Whether it ended as soon as it could no longer pass: its percentiles are of what came until then."""
    p50_s: float | None
    p90_s: float | None
    p99_s: float | None
    """Plain percentiles; None where the percentile falls on a rejected request."""
    error_p99_s: float
    """How late the generator was, 99th percentile."""
    error_max_s: float
    mean_batch: float
    wall_s: float
    latencies_s: list[float]
    """Of every answered query, from the moment at which it was due."""


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found."""

    best: Probe | None
    """The confirming run at the highest rate that held; None where none did."""
    probes: list[Probe]


def highest(probe: Callable[[float, bool, int], Probe], guess: float, resolution: float = RESOLUTION) -> Search:
    """The highest rate that passes, to `resolution`; from half of `guess` upwards until one fails, or downwards.

    `probe(rate, confirms, seed)` runs the server. A rate must pass twice, the second time longer and with other
    arrivals: the highest of many runs is the luckiest one, too. A confirmation that fails lowers the rate.
    """
    probes: list[Probe] = []

    def ask(rate: float, confirms: bool) -> Probe:
        probes.append(probe(rate, confirms, len(probes)))
        return probes[-1]

    rate = _bisected(lambda rate: ask(rate, False).passed, guess, resolution)
    for _ in range(MOST_CONFIRMATIONS):
        if rate is None:
            break
        if (found := ask(rate, True)).passed:
            return Search(best=found, probes=probes)
        rate /= 1 + resolution
    return Search(best=None, probes=probes)


def _bisected(passes: Callable[[float], bool], guess: float, resolution: float) -> float | None:
    held, failed, rate = 0.0, math.inf, guess / 2
    while guess * LOWEST_SHARE <= rate <= guess * HIGHEST_SHARE and failed > held * (1 + resolution):
        held, failed = (rate, failed) if passes(rate) else (held, rate)
        rate = _between(held, failed)
    return held or None


def _between(held: float, failed: float) -> float:
    if not held:
        return failed / 2
    return held * math.sqrt(2) if math.isinf(failed) else math.sqrt(held * failed)
