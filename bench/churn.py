"""Shape churn: the same work with the real lengths of a task's data, padded by one strategy after the other.

Each strategy of a cell has a process and an empty compile cache of its own. The first pass over the batches meets every
shape for the first time; the others meet none. The difference, where programs were compiled, is what churn costs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import msgspec

from bench import buckets, server
from bench.buckets import Shape, Strategy
from bench.core.cell import Cell
from bench.core.record import DEFAULT_FLOOR
from bench.core.trial import Trial
from bench.group import Job, Watcher
from bench.shapes import Churn, Passed
from bench.study import Study
from bench.weigh import Ask

JOURNAL = "churn.jsonl"
HOPELESS = ("skipped", "parity_failed")
"""After these, no other padding can do better."""


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


class Padding(msgspec.Struct, frozen=True):
    """What batches are padded to."""

    lengths: list[int]
    rows: bool


def price_s(passed: Passed) -> float:
    """What one more shape costs a backend that made a program for each; nothing where programs serve any shape."""
    found, shapes = cost(passed), len(set(passed.shapes))
    return found.compiling_s / shapes if (found.programs or 0) >= shapes else 0.0


def best_padding(cell: Cell, passed: Passed, passes: int) -> Padding:
    """The best for a backend, by what its `exact` trial took: buckets for rows as they come, or filled up."""
    step_s, compile_s = buckets.fitted(passed.shapes, passed.steps_s), price_s(passed)
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
    found = {trial.key: trial for trial in known if trial.passes in (None, passes)}

    def trial(cell: Cell, strategy: Strategy, padding: Padding) -> Iterator[Churned]:
        if (cell, strategy) not in found:
            given: dict[str, Any] = {"strategy": strategy, "lengths": padding.lengths, "pads_rows": padding.rows}
            given |= {"passes": passes} if strategy == "best" else {}
            request = Churn(strategy=strategy, lengths=padding.lengths, pads_rows=padding.rows, batches=batches)
            (made,) = study.trials([cell], Churned, _converse(request, watcher), given)
            found[cell, strategy] = made
            yield made

    for cell in cells:
        yield from trial(cell, "exact", Padding([], False))
        exact = found[cell, "exact"]
        if exact.status in HOPELESS:
            continue
        pads_rows = job.backend(cell).program_a_shape
        yield from trial(cell, "one length", Padding([], pads_rows))
        yield from trial(cell, "powers of two", Padding([], pads_rows))
        if exact.passed is None:
            continue
        best = best_padding(cell, exact.passed, passes)
        if best.rows or len(best.lengths) < len({shape.length for shape in exact.passed.shapes}):  # else it is `exact`
            yield from trial(cell, "best", best)


def _converse(request: Churn, watcher: Watcher) -> Callable[..., dict[str, Any]]:
    def converse(cell: Cell, ask: Ask) -> dict[str, Any]:
        watcher.phase(f"churning, {request.strategy}")
        passed = msgspec.convert(ask(request), Passed)
        return {"passed": passed, "lengths": passed.lengths}

    return converse


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
