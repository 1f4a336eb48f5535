"""The most that a machine can do: the best of several repetitions."""

from __future__ import annotations

from collections.abc import Callable

from weighbridge.bench.core.backend import Work
from weighbridge.bench.measure.clock import repeated

SECONDS = 1.5
"""Each piece of work is repeated for as long."""
FEWEST = 5


def best(work: Work, clock: Callable[[Callable[[], None], float, int], list[float]] = repeated) -> float:
    """Amount a second, of the shortest repetition."""
    return work.amount / min(clock(work.run, SECONDS, FEWEST))
