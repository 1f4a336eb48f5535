"""Every padding strategy of every cell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.core.cell import Cell
from bench.run.jobs import Job
from bench.run.study import Study
from bench.run.watcher import Watcher
from bench.scenarios.base import Ask
from bench.scenarios.varying_shapes.buckets import Strategy
from bench.scenarios.varying_shapes.padding import HOPELESS, Padding, best_padding
from bench.scenarios.varying_shapes.requests import Churn
from bench.scenarios.varying_shapes.result import Churned


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
        passed = ask(request)
        return {"passed": passed, "lengths": passed.lengths}

    return converse
