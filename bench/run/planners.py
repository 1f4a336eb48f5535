"""Which cells come next, by the records so far: a planner is asked again and again, until nothing is new.

One loop serves all of them (`bench.run.runner.Run.follow`), and a run that is resumed asks as one that never ended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.record import Record
from weighbridge.bench.run.plan import grouped
from weighbridge.bench.scenarios import catalog

Planner = Callable[[Mapping[Cell, Record]], Sequence[Cell]]
"""From the records so far to the cells of a plan that can be weighed by now, those that have a record among them."""


def of_plan(cells: Sequence[Cell]) -> Planner:
    """Return the planner of cells that were named beforehand: each scenario says which of its own are ready."""

    def ready(found: Mapping[Cell, Record]) -> list[Cell]:
        several: dict[str, list[Cell]] = {}
        for cell in cells:
            several.setdefault(cell.scenario, []).append(cell)
        able = {cell: None for name, own in several.items() for cell in catalog.scenario(name).ready(own, found)}
        planned = [cell for cell in cells if cell in able]
        return list(dict.fromkeys([*planned, *able]))

    return ready


def doubling(cells: Sequence[Cell], most: int) -> Planner:
    """Return the planner of a batch sweep: 1, 2, 4, ... until a backend ends other than ok, or the largest was weighed.

    Every batch size is a cell of its own, weighed in its group like any other (measuring rule 16: never is a batch
    halved silently); a backend that ran out of memory or time leaves, and the others go on without it.
    """

    def until_its_end(cell: Cell, found: Mapping[Cell, Record]) -> Iterator[Cell]:
        for size in doubled(most):
            now = sized(cell, size)
            yield now
            if now not in found or found[now].status != "ok":
                return

    return lambda found: [each for cell in cells for each in until_its_end(cell, found)]


def doubled(most: int) -> list[int]:
    """Return 1, 2, 4, ... up to `most`."""
    return [1 << power for power in range(most.bit_length())]


def sized(cell: Cell, batch_size: int) -> Cell:
    """Return the same at another batch size."""
    return msgspec.structs.replace(cell, batch_size=batch_size)


def left_out(record: Record, most: int) -> int:
    """Return how many cells of a sweep will not be weighed after this one: the larger sizes, where it is not ok."""
    return 0 if record.status == "ok" else sum(size > record.cell.batch_size for size in doubled(most))


def every_size(cells: Sequence[Cell], most: int) -> list[Cell]:
    """Return every cell that a sweep may come to."""
    groups = grouped([sized(cell, 1) for cell in cells]).values()
    return [sized(cell, size) for alike in groups for size in doubled(most) for cell in alike]
