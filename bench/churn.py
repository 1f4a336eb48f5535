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

from bench import buckets, server
from bench.buckets import Shape, Strategy
from bench.core import Cell
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
    pads_rows: bool = False
    """Whether rows were filled up to a power of two, too."""
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


class Padding(msgspec.Struct, frozen=True):
    """What batches are padded to."""

    lengths: list[int]
    rows: bool


def best_padding(cell: Cell, passed: Passed, passes: int) -> Padding:
    """The best for a backend, by what its `exact` trial took: buckets for rows as they come, or filled up."""
    step_s = buckets.fitted(passed.shapes, passed.steady_s)
    compile_s = cost(passed).compiling_s / len(set(passed.shapes))
    found: list[tuple[float, bool, list[int]]] = []
    for fills in (False, True):
        batches = [Shape(server.padded(rows, cell.batch_size) if fills else rows, at) for rows, at in passed.shapes]
        lengths = buckets.best(batches, step_s, compile_s, passes)
        found.append((buckets.total_s(batches, lengths, step_s, compile_s, passes), fills, lengths))
    _, fills, lengths = min(found)
    return Padding(lengths, fills)


def weigh(
    job: Job, journal: Path, watcher: Watcher, cells: Sequence[Cell], batches: int, passes: int,
    known: Sequence[Churned] = (),
) -> Iterator[Churned]:  # fmt: skip
    """Every strategy of every cell; what is `known` is not done again. `passes` is how often the work will be done."""
    study = Study(job, journal, watcher, cold=True)
    found = {trial.key: trial for trial in known}

    def trial(cell: Cell, strategy: Strategy, padding: Padding) -> Iterator[Churned]:
        if (cell, strategy) not in found:
            given = {"strategy": strategy, "lengths": padding.lengths, "pads_rows": padding.rows}
            request = Churn(lengths=padding.lengths, pads_rows=padding.rows, batches=batches)
            (made,) = study.trials([cell], Churned, _converse(strategy, request, watcher), given)
            found[cell, strategy] = made
            yield made

    for cell in cells:
        yield from trial(cell, "exact", Padding([], False))
        passed = found[cell, "exact"].passed
        if passed is None:
            continue
        compiles = job.backend(cell).compiles
        longest = max(shape.length for shape in passed.shapes)
        yield from trial(cell, "one length", Padding([longest], compiles))
        yield from trial(cell, "powers of two", Padding(buckets.powers_of_two(longest), compiles))
        best = best_padding(cell, passed, passes)
        if best.rows or len(best.lengths) < len({shape.length for shape in passed.shapes}):  # else it is `exact`
            yield from trial(cell, "best", best)


def _converse(strategy: Strategy, request: Churn, watcher: Watcher) -> Callable[..., dict[str, Any]]:
    def converse(cell: Cell, ask: Ask) -> dict[str, Any]:
        watcher.phase(f"churning, {strategy}")
        passed = msgspec.convert(ask(request), Passed)
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
