"""What follows from what a strategy gave, and which strategies can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import msgspec

from weighbridge.bench.core.record import DEFAULT_FLOOR, Record
from weighbridge.bench.scenarios.base import result_of
from weighbridge.bench.scenarios.varying_shapes import buckets
from weighbridge.bench.scenarios.varying_shapes.buckets import Shape, Strategy
from weighbridge.bench.scenarios.varying_shapes.requests import ShapesResult
from weighbridge.bench.scenarios.varying_shapes.settings import strategy


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one strategy: its record, and what was told of it, if anything was."""

    record: Record
    strategy: Strategy
    result: ShapesResult | None

    @property
    def lengths(self) -> list[int]:
        """The buckets."""
        return self.result.lengths if self.result else []


def outcome(record: Record) -> Outcome:
    """Return what became of a cell."""
    return Outcome(record=record, strategy=strategy(record.cell), result=read(record))


def read(record: Record) -> ShapesResult | None:
    """Return what a cell's process told; None where it failed, or a later version told it."""
    return result_of(record.processes[0], ShapesResult) if record.processes and record.status == "ok" else None


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a result. Seconds."""

    cold_s: float
    steady_s: float
    compiling_s: float
    """What steps that compiled took longer than the same steps of the later passes."""
    programs: int | None
    """Compiled in the first pass; None where nothing is compiled."""
    again: int | None
    """Compiled in later passes: none, unless programs are thrown away."""
    waste: float
    tokens_per_s: float
    """Real ones, in a later pass."""


def cost(told: ShapesResult) -> Cost:
    """Return what follows from a result."""
    steps_s = told.steps_s
    steady_s = sum(steps_s)
    return Cost(
        cold_s=sum(told.cold_s),
        steady_s=steady_s,
        compiling_s=sum(max(0.0, told.cold_s[at] - steps_s[at]) for at in told.compiled_at),
        programs=told.programs[0] if told.programs else None,
        again=told.programs[1] if told.programs else None,
        waste=buckets.waste(told.tokens, told.shapes),
        tokens_per_s=told.tokens / steady_s,
    )


def total_s(tried: Outcome, passes: int) -> float:
    """Return the seconds of so many passes, the first of which compiles."""
    if tried.result is None:
        return float("inf")
    found = cost(tried.result)
    return found.compiling_s + passes * found.steady_s


def drift(a: Outcome, b: Outcome) -> float | None:
    """Return how much longer steps of equal shapes took in one process than in the other, once compiled: a share.

    Padding cannot be the cause, since there is the same; None where no step has the same shape.
    """
    if a.result is None or b.result is None:
        return None
    pairs = zip(a.result.shapes, b.result.shapes, a.result.steps_s, b.result.steps_s, strict=False)
    same = [(ours, theirs) for shape, other, ours, theirs in pairs if shape == other]
    if not same:
        return None
    ours, theirs = (sum(part) for part in zip(*same, strict=True))
    return max(ours, theirs) / min(ours, theirs) - 1


def noise(tried: Sequence[Outcome]) -> float:
    """Return what a difference must exceed to be one: the largest drift, at least the machine's."""
    drifts = [drift(a, b) for a, b in combinations(tried, 2)]
    return max([DEFAULT_FLOOR, *(found for found in drifts if found is not None)])


def as_fast(tried: Sequence[Outcome], passes: int) -> list[Outcome]:
    """Return the fastest, and those of other shapes that are no slower beyond the noise; the fastest first."""
    ranked = sorted((each for each in tried if each.result), key=lambda each: total_s(each, passes))
    first, most = ranked[0], (1 + noise(ranked)) * total_s(ranked[0], passes)
    others = [each for each in ranked[1:] if shapes_of(each) != shapes_of(first)]
    return [first, *(each for each in others if total_s(each, passes) <= most)]


def shapes_of(tried: Outcome) -> list[Shape]:
    """Return the padded shape of every batch."""
    return tried.result.shapes if tried.result else []
