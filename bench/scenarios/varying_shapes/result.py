"""What became of a cell under shapes that change."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import msgspec

from bench.core.cell import Cell
from bench.core.record import DEFAULT_FLOOR
from bench.core.trial import Trial
from bench.scenarios.varying_shapes import buckets
from bench.scenarios.varying_shapes.buckets import Shape, Strategy
from bench.scenarios.varying_shapes.requests import Passed

JOURNAL = "churn.jsonl"


class Churned(Trial, frozen=True, kw_only=True):
    """What one strategy did to one cell."""

    strategy: Strategy = "exact"
    lengths: list[int] = []
    """The buckets; none where every batch keeps its longest row's length."""
    pads_rows: bool = False
    """Whether rows were filled up to a power of two, too."""
    passes: int | None = None
    """Over which `best` was sought; None of the other strategies, which do not depend on it."""
    passed: Passed | None = None

    @property
    def key(self) -> tuple[Cell, str]:
        """A cell has a trial a strategy."""
        return self.cell, self.strategy


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What follows from a trial. Seconds."""

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


def cost(passed: Passed) -> Cost:
    """Of one trial."""
    steps_s = passed.steps_s
    steady_s = sum(steps_s)
    return Cost(
        cold_s=sum(passed.cold_s),
        steady_s=steady_s,
        compiling_s=sum(max(0.0, passed.cold_s[at] - steps_s[at]) for at in passed.compiled_at),
        programs=passed.programs[0] if passed.programs else None,
        again=passed.programs[1] if passed.programs else None,
        waste=buckets.waste(passed.tokens, passed.shapes),
        tokens_per_s=passed.tokens / steady_s,
    )


def total_s(trial: Churned, passes: int) -> float:
    """Seconds of so many passes, the first of which compiles."""
    if trial.passed is None:
        return float("inf")
    found = cost(trial.passed)
    return found.compiling_s + passes * found.steady_s


def drift(a: Churned, b: Churned) -> float | None:
    """How much longer steps of equal shapes took in one trial than in the other, once compiled: a share.

    Padding cannot be the cause, since there is the same; None where no step has the same shape.
    """
    if a.passed is None or b.passed is None:
        return None
    pairs = zip(a.passed.shapes, b.passed.shapes, a.passed.steps_s, b.passed.steps_s, strict=False)
    same = [(ours, theirs) for shape, other, ours, theirs in pairs if shape == other]
    if not same:
        return None
    ours, theirs = (sum(part) for part in zip(*same, strict=True))
    return max(ours, theirs) / min(ours, theirs) - 1


def noise(trials: Sequence[Churned]) -> float:
    """What a difference between these trials must exceed to be one: their largest drift, at least the machine's."""
    drifts = [drift(a, b) for a, b in combinations(trials, 2)]
    return max([DEFAULT_FLOOR, *(found for found in drifts if found is not None)])


def as_fast(trials: Sequence[Churned], passes: int) -> list[Churned]:
    """The fastest, and those of other shapes that are no slower beyond the noise; the fastest first."""
    ranked = sorted((trial for trial in trials if trial.passed), key=lambda trial: total_s(trial, passes))
    first, most = ranked[0], (1 + noise(ranked)) * total_s(ranked[0], passes)
    others = [trial for trial in ranked[1:] if shapes_of(trial) != shapes_of(first)]
    return [first, *(trial for trial in others if total_s(trial, passes) <= most)]


def shapes_of(trial: Churned) -> list[Shape]:
    """As they were run."""
    return trial.passed.shapes if trial.passed else []
