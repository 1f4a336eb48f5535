"""Shape churn: the same work with the real lengths of a task's data, padded by one strategy after the other.

Each strategy of a cell has a process and an empty compile cache of its own. The first pass over the batches meets every
shape for the first time; the second meets none. The difference, where programs were compiled, is what churn costs.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bench import buckets
from bench.buckets import Shape, Strategy
from bench.core import Cell, WeighbridgeError
from bench.group import Job, Watcher
from bench.shapes import Churn, Passed
from bench.study import Study, Trial
from bench.weigh import Ask

JOURNAL = "churn.jsonl"


class Churned(Trial, frozen=True, kw_only=True):
    """What one strategy did to one cell."""

    strategy: Strategy = "exact"
    lengths: list[int] = []
    """The buckets; none where every batch keeps its longest row's length."""
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
    """What steps that compiled took longer than the same steps of the second pass."""
    programs: int | None
    """Compiled in the first pass; None where nothing is compiled."""
    again: int | None
    """Compiled in the second pass: none, unless programs are thrown away."""
    waste: float
    tokens_per_s: float
    """Real ones, in the second pass."""


def cost(passed: Passed) -> Cost:
    """Of one trial."""
    steady_s = sum(passed.steady_s)
    grown = passed.compiled_at
    return Cost(
        cold_s=sum(passed.cold_s),
        steady_s=steady_s,
        compiling_s=sum(max(0.0, passed.cold_s[at] - passed.steady_s[at]) for at in grown),
        programs=passed.programs[0] if passed.programs else None,
        again=passed.programs[1] if passed.programs else None,
        waste=buckets.waste(passed.tokens, passed.shapes),
        tokens_per_s=passed.tokens / steady_s,
    )


def best_lengths(exact: Churned, passes: int) -> list[int]:
    """The best buckets for a backend, by what its `exact` trial took; raises WeighbridgeError where that failed."""
    passed = exact.passed
    if passed is None:
        raise WeighbridgeError(f"no exact trial of {exact.cell}: {exact.reason}")
    step_s = buckets.fitted(passed.shapes, passed.steady_s)
    compile_s = cost(passed).compiling_s / len(set(passed.shapes))
    return buckets.best(passed.shapes, step_s, compile_s, passes)


def weigh(
    job: Job, journal: Path, watcher: Watcher, cells: Sequence[Cell], batches: int, passes: int,
    known: Sequence[Churned] = (),
) -> Iterator[Churned]:  # fmt: skip
    """Every strategy of every cell; what is `known` is not done again. `passes` is how often the work will be done."""
    study = Study(job, journal, watcher)
    found = {trial.key: trial for trial in known}

    def trial(cell: Cell, strategy: Strategy, lengths: Callable[[], list[int]]) -> Iterator[Churned]:
        if (cell, strategy) not in found:
            chosen = lengths()
            given = {"strategy": strategy, "lengths": chosen}
            (made,) = study.trials([cell], Churned, _converse(strategy, chosen, batches, watcher), given)
            found[cell, strategy] = made
            yield made

    for cell in cells:
        yield from trial(cell, "exact", list)
        exact = found[cell, "exact"]
        if exact.status != "ok" or exact.passed is None:
            continue
        longest = max(shape.length for shape in exact.passed.shapes)
        yield from trial(cell, "one length", lambda longest=longest: [longest])
        yield from trial(cell, "powers of two", lambda longest=longest: buckets.powers_of_two(longest))
        yield from trial(cell, "best", lambda exact=exact: best_lengths(exact, passes))


def _converse(strategy: Strategy, lengths: list[int], batches: int, watcher: Watcher) -> Callable[..., dict[str, Any]]:
    def converse(cell: Cell, ask: Ask) -> dict[str, Any]:
        watcher.phase(f"churning, {strategy}")
        passed = msgspec.convert(ask(Churn(lengths=lengths, batches=batches)), Passed)
        return {"passed": passed}

    return converse


def fastest(trials: Sequence[Churned], passes: int) -> Churned:
    """The strategy with the least measured total: compiling once, and so many steady passes."""
    return min(trials, key=lambda trial: total_s(trial, passes))


def total_s(trial: Churned, passes: int) -> float:
    """Seconds of so many passes, the first of which compiles."""
    if trial.passed is None:
        return float("inf")
    found = cost(trial.passed)
    return found.compiling_s + passes * found.steady_s


def median_length(trial: Churned) -> float:
    """Of batches: their longest row."""
    return statistics.median(shape.length for shape in trial.passed.shapes) if trial.passed else 0.0


def shapes_of(trial: Churned) -> set[Shape]:
    """The different ones."""
    return set(trial.passed.shapes) if trial.passed else set()
