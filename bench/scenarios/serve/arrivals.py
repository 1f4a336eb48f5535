"""An open-loop generator: requests come when they are due, however the server fares.

A process of its own, so that neither a step nor an interpreter's lock can hold it up, and one that imports nothing
beyond the standard library. It hands each request in as eight bytes on a pipe, the moment at which it did; the pipe is
where requests wait that the server has not looked at yet. Arrivals are Poisson, drawn from a seed on both sides.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import struct
import sys
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from contextlib import suppress

PR_SET_PDEATHSIG, PR_SET_TIMERSLACK = 1, 29
MOMENT = struct.Struct("<d")


def schedule(rate: float, count: int, seed: int) -> array[float]:
    """Seconds from the start at which `count` requests are due: gaps are exponential, their mean is 1 / `rate`."""
    rng, now, found = random.Random(seed), 0.0, array("d")
    for _ in range(count):
        now += rng.expovariate(rate)
        found.append(now)
    return found


def issue(
    due_s: Sequence[float],
    hand_in: Callable[[bytes], object],
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> None:
    """Hands each request in as soon as it is due; `clock` counts from the start. Late ones go at once, together."""
    at = 0
    while at < len(due_s):
        now = clock()
        until = bisect_right(due_s, now, at)
        if until > at:
            hand_in(MOMENT.pack(now) * (until - at))
            at = until
        else:
            sleep(due_s[at] - now)


def be_punctual() -> None:
    """Wakes when it is time, not within Linux's 50 microseconds of slack; and before others, where that is allowed."""
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def main() -> None:
    """Arguments: the pipe, the start on the monotonic clock, the rate, the count, the seed, the parent."""
    pipe, count, seed, parent = (int(sys.argv[index]) for index in (1, 4, 5, 6))
    start, rate = float(sys.argv[2]), float(sys.argv[3])
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        return
    be_punctual()
    due = schedule(rate, count, seed)
    with suppress(BrokenPipeError):
        issue(due, lambda message: whole(pipe, message), lambda: time.monotonic() - start, time.sleep)


def whole(pipe: int, message: bytes) -> None:
    """Writes all of it, in as many pieces as the pipe takes."""
    while message:
        message = message[os.write(pipe, message) :]


if __name__ == "__main__":
    main()
