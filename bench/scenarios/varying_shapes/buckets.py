"""Shapes that change: what a batch is padded to, what that wastes, and which set of lengths is best. Pure.

Best is a partition of the lengths that occur into runs, each padded to its longest: an optimum in one dimension, found
exactly by dynamic programming over the places where runs end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

Strategy = Literal["exact", "one_length", "powers_of_two", "best"]


class Shape(NamedTuple):
    """Rows and positions of a batch."""

    rows: int
    length: int

    @property
    def positions(self) -> int:
        """Count them, padding included."""
        return self.rows * self.length


StepCost = Callable[[Shape], float]
"""Seconds of a step of a shape, once compiled."""


def fixed(strategy: Strategy, longest: int) -> list[int]:
    """The bucket lengths of a strategy that needs no search; none of `exact`."""
    match strategy:
        case "one_length":
            return [longest]
        case "powers_of_two":
            return powers_of_two(longest)
        case "exact" | "best":
            return []


def powers_of_two(longest: int) -> list[int]:
    """16, 32, ... and the first that is not shorter than `longest`."""
    found = [16]
    while found[-1] < longest:
        found.append(2 * found[-1])
    return found


def bucket(length: int, lengths: Sequence[int]) -> int:
    """The smallest of sorted `lengths` that holds it; the length itself where there are none."""
    return lengths[bisect_left(lengths, length)] if lengths else length


def waste(real: int, shapes: Sequence[Shape]) -> float:
    """Share of positions that hold no token, of `real` tokens in batches of these shapes."""
    return 1 - real / sum(shape.positions for shape in shapes)


def best(batches: Sequence[Shape], step_s: StepCost, compile_s: float, passes: int) -> list[int]:
    """The bucket lengths, sorted, of the least total: `passes` times the steps, and a compilation a shape.

    `batches` are rows as they are run and the longest real row. Buckets end at lengths that occur: a longer one would
    cost more and hold no more. O(n^2) in the distinct lengths.
    """
    lengths = sorted({batch.length for batch in batches})
    at_length = {length: [batch.rows for batch in batches if batch.length == length] for length in lengths}
    least: list[float] = [0.0]
    start_of: list[int] = [0]
    for end in range(1, len(lengths) + 1):
        totals = _totals([at_length[length] for length in lengths[:end]], lengths[end - 1], step_s, compile_s, passes)
        found = [least[start] + totals[start] for start in range(end)]
        least.append(min(found))
        start_of.append(found.index(least[-1]))
    ends: list[int] = []
    end = len(lengths)
    while end:
        ends.append(lengths[end - 1])
        end = start_of[end]
    return ends[::-1]


def total_s(batches: Sequence[Shape], lengths: Sequence[int], step_s: StepCost, compile_s: float, passes: int) -> float:
    """Seconds of so many passes over batches padded to these lengths, and of a compilation a shape."""
    shapes = [Shape(rows, bucket(length, lengths)) for rows, length in batches]
    return passes * sum(map(step_s, shapes)) + compile_s * len(set(shapes))


def _totals(rows: Sequence[list[int]], length: int, step_s: StepCost, compile_s: float, passes: int) -> list[float]:
    """Return, for each start, what it costs to pad everything from there to the end to `length`."""
    costs: dict[int, float] = {}
    total, found = 0.0, list[float]()
    for here in reversed(rows):
        for count in here:
            if count not in costs:
                costs[count] = step_s(Shape(count, length))
                total += compile_s
            total += passes * costs[count]
        found.append(total)
    return found[::-1]


def fitted(shapes: Sequence[Shape], seconds: Sequence[float]) -> StepCost:
    """A step's seconds as a fixed part, a part a position and a part a pair of positions of one row, none negative.

    What a transformer does grows with the positions, and its attention with their pairs. Non-negative least squares
    (Lawson & Hanson 1974, scipy.optimize.nnls), relative, so that short steps count as much as long ones.
    """
    import numpy as np
    from scipy.optimize import nnls

    def terms(shape: Shape) -> list[float]:
        return [1.0, float(shape.positions), float(shape.positions * shape.length)]

    weights = 1 / np.maximum(np.array(seconds), 1e-9)
    factors, _ = nnls(np.array([terms(shape) for shape in shapes]) * weights[:, None], np.array(seconds) * weights)
    return lambda shape: float(np.dot(factors, terms(shape)))
