"""Steps of two speeds: where a median tips from one to the other, and with it a verdict. Pure.

A step that hands work to another thread waits for it to wake, or does not: a few tens of microseconds, which is nothing
to most steps and more than the whole of a short one. How many steps of a hundred wait changes from minute to minute, so
that the median of the same program was 30 µs in one run and 72 in another, each with a narrow interval. So where a
tenth of the steps takes that much longer than a tenth, the ratio's interval reaches from fast steps to slow ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from weighbridge.bench.measure import statistics

TENTH = 0.1
FEWEST_STEPS = 20
"""Of a block that can show its tenths."""
APART = 1.75
"""The slow tenth of steps takes so many times as long as the fast one: docs/design/011-neighbours-outside.md."""


class Speeds(NamedTuple):
    """Seconds of a fast step and of a slow one: the tenth and the ninetieth percentile, of blocks and processes."""

    fast: float
    slow: float


class HasTimes(Protocol):
    """Whatever of a process tells its steps and their blocks."""

    @property
    def step_s(self) -> list[float]: ...

    @property
    def blocks(self) -> list[int]: ...


def speeds(processes: Sequence[HasTimes]) -> Speeds | None:
    """Return both speeds of processes whose samples fill their blocks; None where they have only one."""
    known = [found for each in processes if (found := _tenths(each.step_s, each.blocks))]
    if not known:
        return None
    fast, slow = (statistics.interval([[each[end] for each in process] for process in known]).value for end in (0, 1))
    return Speeds(fast, slow) if slow >= APART * fast else None


def _tenths(steps: Sequence[float], sizes: Sequence[int]) -> list[tuple[float, float]]:
    """Return both tenths of each block that is long enough."""
    found: list[tuple[float, float]] = []
    start = 0
    for size in sizes:
        if size >= FEWEST_STEPS:
            block = sorted(steps[start : start + size])
            at = int(TENTH * size)
            found.append((block[at], block[size - 1 - at]))
        start += size
    return found


def covering(ratio: statistics.Interval, over: Speeds, under: Speeds) -> statistics.Interval:
    """The ratio's interval, with the ratio of fast steps and that of slow ones inside."""
    ends = (over.fast / under.fast, over.slow / under.slow)
    return statistics.Interval(ratio.value, min(ratio.low, *ends), max(ratio.high, *ends))
