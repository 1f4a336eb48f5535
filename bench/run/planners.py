"""Batch sweeps: the same cells at batch 1, 2, 4, ... until a backend ends other than ok, or the largest was weighed.

Every batch size is a cell of its own, weighed in its group like any other (measuring rule 16: never is a batch
halved silently); a backend that ran out of memory or time leaves, and the others go on without it. What does not hang
on the batch size (score, operations, compilation from a filled cache) is left out, parity is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from bench.core.cell import Cell
from bench.core.record import Record
from bench.run import planners
from bench.run.jobs import Job
from bench.run.runner import Run, grouped
from bench.run.watcher import Watcher


def doubled(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`."""
    return [1 << power for power in range(most.bit_length())]


Left = Callable[[int], None]
"""Is told how many cells will not be weighed after all."""


class Sweep:
    """One walk up the batch sizes, appending to one journal."""

    def __init__(self, job: Job, journal: Path, watcher: Watcher, most: int, left: Left = lambda cells: None) -> None:
        tier = msgspec.structs.replace(job.tier, thorough=False)
        self.run = Run(msgspec.structs.replace(job, tier=tier), journal, watcher)
        self.sizes, self.left = planners.doubled(most), left

    def weigh(self, cells: Sequence[Cell], known: Mapping[Cell, Record]) -> Iterator[Record]:
        """Every cell at every size until its end, group by group; `known` are not weighed again. Yields new records."""
        for alike in grouped([sized(cell, 1) for cell in cells]).values():
            yield from self._up(alike, known)

    def _up(self, cells: Sequence[Cell], known: Mapping[Cell, Record]) -> Iterator[Record]:
        found = dict(known)
        for index, size in enumerate(self.sizes):
            now = [sized(cell, size) for cell in cells]
            for record in self.run.weigh([cell for cell in now if cell not in found]):
                found[record.cell] = record
                yield record
            ended = [cell for cell in now if found[cell].status != "ok"]
            self.left(len(ended) * (len(self.sizes) - index - 1))
            cells = [cell for cell in now if cell not in ended]


def sized(cell: Cell, batch_size: int) -> Cell:
    """The same at another batch size."""
    return msgspec.structs.replace(cell, batch_size=batch_size)


def planned(cells: Sequence[Cell], most: int) -> list[Cell]:
    """Every cell that a sweep may come to, in its order."""
    groups = grouped([sized(cell, 1) for cell in cells]).values()
    return [sized(cell, size) for alike in groups for size in planners.doubled(most) for cell in alike]
