"""The clock. The only module that times, so that every figure of every backend is taken the same way.

Two figures, never mixed (MEASURING.md, rule 1): a *latency* block synchronises after every step; a *queued*
block hands in all its steps and synchronises once, which is what throughput means where dispatch is
asynchronous. A step that is short beside the clock's own cost is repeated between two readings (rule 8).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import numpy as np

from bench.core import Session

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


def clock_cost_s(session: Session) -> float:
    """Median seconds between two readings of the session's clock with nothing in between."""
    readings = [session.clock() for _ in range(CLOCK_READINGS)]
    return float(np.median(np.diff(readings)))


def repeats_for(step_s: float, clock_cost_s: float) -> int:
    """How many steps go between two readings so that the clock stays under 1 % of what it reads."""
    shortest = SHORTEST_STEP_IN_CLOCK_COSTS * clock_cost_s
    return 1 if step_s <= 0 or step_s >= shortest else int(np.ceil(shortest / step_s))


def first_step_s(session: Session, x: Any) -> float:
    """Seconds of the first step of a shape, compilation included."""
    begin = session.clock()
    session.sync(session.step(x))
    return session.clock() - begin


def lead_in(session: Session, x: Any, steps: int) -> None:
    """Untimed steps, so that the timed ones find the caches as a loop leaves them."""
    for _ in range(steps):
        session.sync(session.step(x))


def latency_block(session: Session, x: Any, steps: int, repeats: int = 1) -> list[float]:
    """Seconds of each of `steps` steps, every one synchronised; each the mean of `repeats` in a row."""
    clock, step, sync = session.clock, session.step, session.sync
    samples: list[float] = []
    with quiet_collector():
        for _ in range(steps):
            begin = clock()
            for _ in range(repeats):
                sync(step(x))
            samples.append((clock() - begin) / repeats)
    return samples


def queued_block(session: Session, x: Any, steps: int) -> float:
    """Seconds a step of `steps` steps that are handed in one after the other and waited for once."""
    clock, step = session.clock, session.step
    with quiet_collector():
        begin = clock()
        last = step(x)
        for _ in range(steps - 1):
            last = step(x)
        session.sync(last)
        return (clock() - begin) / steps
