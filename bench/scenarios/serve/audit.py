"""Self-audit in the manner of MLPerf's TEST01 and TEST04 (measuring rule 24).

TEST01: outputs given under load equal those of the scoring mode. Batches differ, and with them the order of sums, so
that equal means a relative error far below what a wrong program shows, and the same decision. TEST04: one sample over
and over is at most 10 % faster than different ones; more would mean that answers are remembered.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.cell import Precision
from weighbridge.bench.measure.parity import TOLERANCE, error, worst
from weighbridge.bench.measure.suspicion import FASTEST_REPEAT

MOST_LOGGED, MOST_LOGGED_BYTES = 128, 2**26
"""Samples of one run whose outputs are kept, and after how much it ends: a row of logits can have 50 MB."""
PAIRS, STEPS_A_TURN = 10, 3


class Log:
    """The first outputs of one run under load: copying them all would be a load of its own."""

    def __init__(self) -> None:
        self.outputs: dict[int, Arrays] = {}
        self.bytes = 0

    def note(self, chosen: Sequence[int], outputs: Arrays) -> None:
        """Keeps the row of each new sample, while there is room."""
        for place, sample in enumerate(chosen):
            if sample not in self.outputs and len(self.outputs) < MOST_LOGGED and self.bytes < MOST_LOGGED_BYTES:
                self.outputs[sample] = row(outputs, place)
                self.bytes += sum(array.nbytes for array in self.outputs[sample].values())


class Repeats(msgspec.Struct, frozen=True):
    """Seconds of turns of one sample, and of turns of varied samples, taken in pairs."""

    same_s: list[float]
    varied_s: list[float]


class AuditResult(msgspec.Struct, frozen=True, kw_only=True):
    """The verdicts and what they rest on."""

    samples: int
    """Whose outputs under load were held to the scoring mode's."""
    error: float | None
    """The largest relative error among them; None where it is not finite."""
    tolerance: float
    decisions_equal: float | None
    """Share of equal argmax; None where the task has no decision."""
    same_outputs: bool
    """TEST01."""
    repeat_speedup: float
    """How many times as fast one sample over and over is: the median of pairs."""
    no_memory: bool
    """TEST04."""

    @property
    def passed(self) -> bool:
        """Whether TEST01 and TEST04 passed."""
        return self.same_outputs and self.no_memory

    @property
    def reason(self) -> str:
        """Why it did not pass; empty where it did."""
        if not self.same_outputs:
            error = "not finite" if self.error is None else f"{self.error:.1e}"
            return f"answers under load are not those of scoring (TEST01): error {error}, limit {self.tolerance:g}"
        if not self.no_memory:
            times = f"{self.repeat_speedup:.2f} times as fast"
            return f"one sample over and over is {times} (TEST04, limit {FASTEST_REPEAT:.2f}): answers are remembered"
        return ""


def row(outputs: Arrays, place: int) -> Arrays:
    """One sample's outputs, copied."""
    return {name: np.array(array[place]) for name, array in outputs.items()}


def rows(chosen: Sequence[int], outputs: Arrays) -> dict[int, Arrays]:
    """Sample -> its outputs."""
    return {sample: row(outputs, place) for place, sample in enumerate(chosen)}


Loaded = Sequence[tuple[int, Arrays]]
"""Samples, and what was answered under load."""


def audited(
    loaded: Loaded, scored: Mapping[int, Arrays], precision: Precision, decision: str, repeats: Repeats
) -> AuditResult:
    """Return both tests. No output under load is a failure, not a pass."""
    errors = [error(outputs, scored[sample]) for sample, outputs in loaded]
    largest = worst(errors)
    equal = _decisions(loaded, scored, decision) if decision and loaded else None
    speedup = statistics.median(v / s for s, v in zip(repeats.same_s, repeats.varied_s, strict=True))
    return AuditResult(
        samples=len(loaded), error=largest if math.isfinite(largest) else None, tolerance=TOLERANCE[precision],
        decisions_equal=equal, same_outputs=bool(largest <= TOLERANCE[precision] and equal in (None, 1.0)),
        repeat_speedup=speedup, no_memory=speedup <= FASTEST_REPEAT,
    )  # fmt: skip


def _decisions(loaded: Loaded, scored: Mapping[int, Arrays], decision: str) -> float:
    same = [
        np.array_equal(np.argmax(outputs[decision], -1), np.argmax(scored[sample][decision], -1))
        for sample, outputs in loaded
    ]
    return sum(same) / len(same)
