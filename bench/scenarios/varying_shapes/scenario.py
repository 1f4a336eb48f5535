"""`varying_shapes`: the same work in its real lengths, padded by several strategies; each is a cell of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import get_args

import msgspec

from weighbridge.bench.core.card import TaskCard
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.effort import Effort
from weighbridge.bench.core.record import Record
from weighbridge.bench.core.settings import Pairs, Value, pairs, parse
from weighbridge.bench.scenarios.steps.requests import StepsRequest
from weighbridge.bench.scenarios.steps.scenario import Scenario
from weighbridge.bench.scenarios.varying_shapes.answer import ShapesAnswers
from weighbridge.bench.scenarios.varying_shapes.buckets import Strategy
from weighbridge.bench.scenarios.varying_shapes.measure import Varying
from weighbridge.bench.scenarios.varying_shapes.padding import HOPELESS, best_padding
from weighbridge.bench.scenarios.varying_shapes.requests import StepThrough
from weighbridge.bench.scenarios.varying_shapes.result import read
from weighbridge.bench.scenarios.varying_shapes.settings import ShapesSettings, of, strategy

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)


class VaryingShapes(Scenario):
    """`exact` goes first: what it gives decides whether others are worth it, and the buckets of `best`."""

    name = "varying_shapes"
    in_turns = False
    Settings = ShapesSettings
    requests = StepsRequest | StepThrough
    answers, weighing = ShapesAnswers, Varying

    def fits(self, task: TaskCard) -> bool:
        """Whether a task has examples of several lengths."""
        return task.varies and super().fits(task)

    def processes(self, effort: Effort) -> int:
        """One, with an empty compile cache; its passes tell the steady state."""
        return 1

    def variants(self, task: TaskCard, given: Mapping[str, Value]) -> list[Pairs]:
        """A cell a strategy; how often the work will be done is a matter of `best` alone."""
        told = parse(ShapesSettings, given, "-S")
        wanted: Sequence[Strategy] = [told.strategy] if told.strategy else STRATEGIES
        return [pairs(_of_strategy(told, each)) for each in wanted]

    def ready(self, cells: Sequence[Cell], found: Mapping[Cell, Record]) -> list[Cell]:
        """Return what can be weighed once `exact` is known; `best` with its buckets, unless it would be `exact`."""
        planned = set(cells)
        return list(dict.fromkeys(each for cell in cells for each in _ready(cell, planned, found)))


def _of_strategy(told: ShapesSettings, name: Strategy) -> ShapesSettings:
    passes = told.passes if name == "best" else ShapesSettings().passes
    return msgspec.structs.replace(told, strategy=name, passes=passes)


def exact_of(cell: Cell) -> Cell:
    """Return the cell of the same work whose batches keep their longest row's length."""
    told = ShapesSettings(strategy="exact", batches=of(cell).batches)
    return msgspec.structs.replace(cell, settings=pairs(told))


def _ready(cell: Cell, planned: set[Cell], found: Mapping[Cell, Record]) -> Iterator[Cell]:
    exact, told = exact_of(cell), of(cell)
    searches = told.strategy == "best" and not told.lengths
    if strategy(cell) == "exact" or not (searches or exact in planned):
        yield cell
    elif exact not in found:
        yield exact
    elif found[exact].status not in HOPELESS:
        yield from _best(cell, found[exact]) if searches else [cell]


def _best(cell: Cell, exact: Record) -> Iterator[Cell]:
    """The cell with its buckets; nothing where there is a bucket for every length that occurs: that is `exact`."""
    told = read(exact)
    if told is None:
        return
    best = best_padding(cell, told, of(cell).passes)
    if best.rows or len(best.lengths) < len({shape.length for shape in told.shapes}):
        lengths = ",".join(map(str, best.lengths))
        made = msgspec.structs.replace(of(cell), lengths=lengths, pad_rows=best.rows)
        yield msgspec.structs.replace(cell, settings=pairs(made))
