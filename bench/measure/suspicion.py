"""What a step that is too fast to be true would look like: remembered, not done, or not the one that was checked.

In the manner of MLPerf's TEST01 and TEST04 (measuring rule 24), around the timed steps themselves. A backend whose
answers are remembered is faster on a batch that it has met; one that returns early still works when it is read from.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np

from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.backend import Session
from weighbridge.bench.core.cell import Device, Precision
from weighbridge.bench.measure.parity import EXACT_DECISIONS, TOLERANCE, error

FASTEST_REPEAT = 1.10
"""MLPerf's limit of TEST04."""
MOST_SAMPLED = 4096
MOST_FRESH = 5
SECONDS = 0.5
"""About as long new batches are stepped, at most `MOST_FRESH` and at least one."""
ROUNDS, MOST_ROUNDS, STANDING_S = 4, 20, 2.0
"""A suspicion must stand so often, each time over twice as many steps more, and so long: a neighbour is no evidence."""
SHORT_S, COLD_BYTES, COLD_STEPS = 1e-3, 2**22, 100
"""Steps in which a few misses of a cache count; bytes that push all else out of a core's own (1 MiB on Zen 4, 2 MiB on
Sapphire Rapids); and steps whose median is taken."""
SHORTEST_S, DOUBTFUL = 1e-12, 0.25
"""Less than any clock tells; and the share of pairs that a neighbour is allowed."""
TRIES = 3
"""Of reading, the shortest counts."""
UNDONE = 0.10
"""More than this share of a step that is left to do when it is read is no rounding."""
COPY_BYTES_PER_S = 1e9
"""Slower than any device's copy to the host, its conversion included; what takes longer is not copying."""
READING_S, DEVICE_READING_S = 2e-4, 2e-3
"""What it may take to read the smallest output: a few calls of a framework, on a device a trip to it and back besides.

Reading 12 KB from an H200 at once took 0.2 and 0.3 ms longer than the allowance of a CPU (docs/devices.md).
"""


def sample(outputs: Arrays) -> Arrays:
    """Some figures of each output, at even distances: whole ones would be booked on the model's memory."""
    flat = {name: np.ravel(array) for name, array in outputs.items()}
    return {name: array[:: max(1, len(array) // MOST_SAMPLED)].copy() for name, array in flat.items()}


def difference(timed: Arrays, checked: Arrays, precision: Precision) -> str:
    """Say where what was timed is not what was checked; half types may differ in a token, and in all after it."""
    decided = any(np.issubdtype(array.dtype, np.integer) for array in checked.values())
    if decided and precision not in EXACT_DECISIONS:
        timed, checked = ({name: array[:1] for name, array in each.items()} for each in (timed, checked))
    found = error(timed, checked)
    if found <= TOLERANCE[precision]:
        return ""
    return f"what was timed is not what was checked: relative error {found:.2g}, at most {TOLERANCE[precision]:g}"


def fresh_batches(rows: Arrays, size: int) -> Iterator[Arrays]:
    """Batches of the same shapes that no step has met: rows drawn anew, shuffled along their longest axis.

    One that came twice would be met by who remembers all, and vouch for it: turned rows of thirteen columns soon do.
    """
    rng = np.random.default_rng(1)
    count = max(len(array) for array in rows.values() if array.ndim)
    while True:
        chosen, seed = rng.integers(count, size=size), int(rng.integers(2**32))
        yield {name: _shuffled(array[chosen], seed) if array.ndim else array for name, array in rows.items()}


def _shuffled(batch: np.ndarray, seed: int) -> np.ndarray:
    """Arrays of one width, as tokens and their mask, are shuffled alike; those of one number a row not at all."""
    if batch.ndim < 2:
        return batch
    axis = 1 + int(np.argmax(batch.shape[1:]))
    return np.take(batch, np.random.default_rng(seed).permutation(batch.shape[axis]), axis)


def reason(session: Session, x: Any, fresh: Iterator[Arrays], step_s: float, device: Device = "cpu") -> str:
    """Why a session's steps cannot be believed; empty where nothing speaks against them."""
    return remembers(session, x, fresh, step_s) or returns_early(session, x, step_s, device)


def remembers(session: Session, x: Any, fresh: Iterator[Arrays], step_s: float) -> str:
    """Say by how much a batch over and over is faster than new ones; empty where by little.

    As many of each are compared, in turns. Beside a neighbour that is always busy few steps are undisturbed, so that a
    suspicion must stand while they become ever more.

    A batch that was just stepped lies in the core's own cache, and a new one does not: of an honest step of 13 µs that
    is a quarter (docs/lab-notes.md). So a suspicion of a short step must stand with neither there.
    """
    if step_s > SECONDS and _step_s(session, session.to_device(next(fresh))) <= FASTEST_REPEAT * step_s:
        return ""  # a new batch that takes no longer than what was timed is enough, where a step is as long
    few = max(1, min(MOST_FRESH, int(SECONDS / max(step_s, 1e-9))))
    begin, varied, same = session.clock(), list[float](), list[float]()
    for again in range(MOST_ROUNDS):
        for batch in [session.to_device(batch) for batch in islice(fresh, few * 2**again)]:
            varied.append(_step_s(session, batch))
            _step_s(session, x)
            same.append(_step_s(session, x))
        speedup = _speedup(varied, same)
        if speedup <= FASTEST_REPEAT:
            return ""
        if again + 1 >= ROUNDS and session.clock() - begin >= STANDING_S:
            speedup = min(speedup, _speedup_when_cold(session, x, fresh)) if step_s < SHORT_S else speedup
            told = f"it remembers: one batch over and over is {speedup:.3g} times as fast as new ones"
            return told if speedup > FASTEST_REPEAT else ""
    return ""


def _speedup(varied: Sequence[float], same: Sequence[float]) -> float:
    """By the shortest of either side, and in all but a quarter of the pairs that stood side by side: the smaller.

    A neighbour only ever makes a step longer. One that comes and goes by seconds leaves a long step of one side
    undisturbed and none of the other, which is no evidence; what remembers is faster in its pair, too.
    """
    shortest, pairs = min(varied) / max(min(same), SHORTEST_S), np.divide(varied, np.maximum(same, SHORTEST_S))
    return min(shortest, float(np.quantile(pairs, DOUBTFUL)))


def _speedup_when_cold(session: Session, x: Any, fresh: Iterator[Arrays]) -> float:
    """How much faster one batch is than new ones, by medians, where both come from beyond the core's own cache.

    The least of a few times: what remembers does so each time.
    """
    held = np.zeros(COLD_BYTES // 8)
    found: list[float] = []
    for _ in range(ROUNDS):
        varied, same = list[float](), list[float]()
        for batch in [session.to_device(batch) for batch in islice(fresh, COLD_STEPS)]:
            varied.append(_cold_step_s(session, batch, held))
            _step_s(session, x)
            same.append(_cold_step_s(session, x, held))
        found.append(float(np.median(varied) / max(np.median(same), SHORTEST_S)))
    return min(found)


def _cold_step_s(session: Session, x: Any, held: np.ndarray) -> float:
    np.add(held, 1.0, out=held)
    return _step_s(session, x)


def _step_s(session: Session, x: Any) -> float:
    begin = session.clock()
    session.sync(session.step(x))
    return session.clock() - begin


def returns_early(session: Session, x: Any, step_s: float, device: Device = "cpu") -> str:
    """Say how much work is left when a step is said to be done; empty where none is.

    Reading at once takes longer than reading after a while ever does, or than any copy takes: a copy of 50 MB varies by
    more than a step of a millisecond.
    """
    tries = TRIES if step_s < SECONDS else 1
    reading_s = READING_S if device == "cpu" else DEVICE_READING_S
    most_s = max(UNDONE * step_s, reading_s / 4)
    soon_s, size = min(_read_s(session, x, 0.0) for _ in range(tries))
    if soon_s <= most_s:
        return ""
    later = [_read_s(session, x, min(step_s, 1.0))[0] for _ in range(tries)]
    left_s = max(soon_s - max(later), soon_s - size / COPY_BYTES_PER_S - reading_s)
    if left_s <= most_s:
        return ""
    return f"it returns early: {left_s:.3g} s of work are left when a step of {step_s:.3g} s is said to be done"


def _read_s(session: Session, x: Any, wait_s: float) -> tuple[float, int]:
    """Seconds to read what a step gave, some time after it was said to be done, and its bytes."""
    y = session.step(x)
    session.sync(y)
    time.sleep(wait_s)
    begin = session.clock()
    outputs = session.to_host(y)
    return session.clock() - begin, sum(array.nbytes for array in outputs.values())
