"""The clock. The only module that times, so that every figure of every backend is taken the same way.

Two figures, never mixed (measuring rule 1): a *latency* block synchronises after every step; a *queued*
block hands in all its steps and synchronises once, which is what throughput means where dispatch is
asynchronous. A step that is short beside the clock's own cost is repeated between two readings (rule 8).
"""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any, NamedTuple

import numpy as np

from weighbridge.bench.core.backend import Session
from weighbridge.bench.measure import memory

CLOCK_READINGS = 200
SHORTEST_STEP_IN_CLOCK_COSTS = 100


def forget_garbage() -> None:
    """Collects once and exempts what is left, so that later collections look only at what a block leaves behind.

    A framework's modules are half a million objects: walking them between blocks took longer than the blocks.
    """
    gc.collect()
    gc.freeze()


def repeated(work: Callable[[], None], at_least_s: float, at_least: int) -> list[float]:
    """Seconds of each repetition of work that is done when it returns; two go before, untimed."""
    for _ in range(2):
        work()
    samples: list[float] = []
    end = time.perf_counter() + at_least_s
    while len(samples) < at_least or time.perf_counter() < end:
        begin = time.perf_counter()
        work()
        samples.append(time.perf_counter() - begin)
    return samples


@contextmanager
def quiet_collector() -> Generator[None]:
    """No garbage collection inside the block: it would land in some steps and not in others."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class ClockError(Exception):
    """A session's clock that stands still, runs backwards, or tells no time."""


def elapsed(seconds: float) -> float:
    """Seconds between two readings as they are; raises ClockError where nothing can have taken so long."""
    if not 0 < seconds < math.inf:
        raise ClockError(f"its clock says that work took {seconds:g} s")
    return seconds


def clock_cost_s(session: Session) -> float:
    """Median seconds between two readings of the session's clock with nothing in between."""
    readings = [session.clock() for _ in range(CLOCK_READINGS)]
    return float(np.median(np.diff(readings)))


def repeats_for(step_s: float, clock_cost_s: float) -> int:
    """Return how many steps go between two readings so that the clock stays under 1 % of what it reads."""
    shortest = SHORTEST_STEP_IN_CLOCK_COSTS * clock_cost_s
    return 1 if step_s <= 0 or step_s >= shortest else int(np.ceil(shortest / step_s))


def first_step(session: Session, x: Any) -> tuple[float, Any]:
    """Seconds of the first step of a shape, compilation included, and what it gave."""
    begin = session.clock()
    y = session.step(x)
    session.sync(y)
    return elapsed(session.clock() - begin), y


def lead_in(session: Session, xs: Sequence[Any], steps: int) -> None:
    """Untimed steps, so that the timed ones find the caches as a loop leaves them."""
    for x in islice(cycle(xs), steps):
        session.sync(session.step(x))


class Timed(NamedTuple):
    """A block of steps that took turns through batches."""

    samples: list[float]
    """Seconds a step."""
    faults: float
    """Minor page faults a step."""
    last: Any
    """What the last step gave, done."""
    of: int
    """The index of the batch that it was given."""


def latency_block(session: Session, xs: Sequence[Any], steps: int, repeats: int = 1) -> Timed:
    """Seconds of each of `steps` steps, every one synchronised; each the mean of `repeats` in a row."""
    clock, step, sync = session.clock, session.step, session.sync
    samples: list[float] = []
    batches, last = cycle(xs), None
    with quiet_collector():
        faults = memory.minor_faults()
        for left in reversed(range(steps)):
            begin = clock()
            for _ in range(repeats - 1):
                sync(step(next(batches)))
            last = step(next(batches))
            sync(last)
            if left:
                last = None  # given back where a loop gives it back: before the next step, inside of this one's time
            samples.append((clock() - begin) / repeats)
        elapsed(min(samples))
        elapsed(max(samples))
        faults = memory.minor_faults() - faults
    count = steps * repeats
    return Timed(samples, faults / count, last, (count - 1) % len(xs))


def queued_block(session: Session, xs: Sequence[Any], steps: int) -> Timed:
    """Seconds a step of `steps` steps that are handed in one after the other and waited for once."""
    clock, step = session.clock, session.step
    batches, last = cycle(xs), None
    with quiet_collector():
        faults = memory.minor_faults()
        begin = clock()
        for _ in range(steps):
            last = step(next(batches))
        session.sync(last)
        whole_s = clock() - begin
        faults = memory.minor_faults() - faults
    return Timed([elapsed(whole_s) / steps], faults / steps, last, (steps - 1) % len(xs))
