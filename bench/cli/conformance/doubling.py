"""Whether a step is done when `sync` returns: twice the work must take longer before it, and not behind it.

A backend that returns early is as fast with twice the rows, until it is read from. To compare how both times grow
takes off what is the same for any number of rows: calls, copies of small outputs, a trip to a device and back.
"""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from weighbridge.bench.cli.conformance.subject import Case
from weighbridge.bench.core.backend import Session

FEWEST_ROWS, MOST_ROWS = 256, 2**14
ENOUGH_S = 0.008
"""What twice the rows must take longer, before `sync` or behind it: far more than a clock or a copy varies."""
ROUNDS, TRIES = 4, 3
"""The shortest of so many steps counts, for a neighbour only ever makes one longer; and a fault must show so often."""
LIMIT_S = 60.0
"""After which a clock that shows no growth is not asked for more."""


class Times(NamedTuple):
    """The shortest seconds of a step until `sync` returned, and of reading what it gave."""

    step_s: float
    read_s: float


def returns_early(session: Session, case: Case) -> str:
    """Say how much of the work lies behind `sync`; empty where it lies before, or twice the work takes no longer."""
    rows, seen, until = FEWEST_ROWS, 0, time.monotonic() + LIMIT_S
    while rows < MOST_ROWS and time.monotonic() < until:
        grown = growth(session, case, rows)
        if grown.step_s >= max(ENOUGH_S, grown.read_s):
            return ""
        if grown.read_s < ENOUGH_S:
            rows *= 1 if seen else 2  # what was long enough once was disturbed
            continue
        seen += 1
        if seen == TRIES:
            return _told(2 * rows, grown)
    return ""


def growth(session: Session, case: Case, rows: int) -> Times:
    """How much longer twice the rows take."""
    once, twice = (times(session, session.to_device(case.batch(size, 0))) for size in (rows, 2 * rows))
    return Times(twice.step_s - once.step_s, twice.read_s - once.read_s)


def _told(rows: int, grown: Times) -> str:
    return (
        f"sync returns before the work is done: {rows} rows take {grown.step_s * 1e3:.3g} ms longer than half as many "
        f"until sync returns, and {grown.read_s * 1e3:.3g} ms longer to be read after it"
    )


def times(session: Session, x: Any) -> Times:
    """Of one batch, after a step that may compile."""
    session.to_host(_step(session, x))
    found = [_timed(session, x) for _ in range(ROUNDS)]
    return Times(min(each.step_s for each in found), min(each.read_s for each in found))


def _timed(session: Session, x: Any) -> Times:
    begin = session.clock()
    y = _step(session, x)
    done = session.clock()
    session.to_host(y)
    return Times(done - begin, session.clock() - done)


def _step(session: Session, x: Any) -> Any:
    y = session.step(x)
    session.sync(y)
    return y
