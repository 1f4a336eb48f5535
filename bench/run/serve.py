"""MLPerf's scenarios for cells, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.core.cell import Cell
from bench.run.jobs import Job
from bench.run.study import Study
from bench.run.watcher import Watcher
from bench.scenarios.base import Ask
from bench.scenarios.serve.measure import Asked, Conversation
from bench.scenarios.serve.result import Loaded


def weigh(job: Job, journal: Path, watcher: Watcher, cells: Sequence[Cell], asked: Asked) -> Iterator[Loaded]:
    """Each cell's record, after it is on the disk."""
    tasks = {cell.task: job.task(cell) for cell in cells}

    def converse(cell: Cell, ask: Ask) -> dict[str, Any]:
        return Conversation(cell, tasks[cell.task], asked, ask, watcher.phase).hold()

    return Study(job, journal, watcher).trials(cells, Loaded, converse, {"tier": job.tier.name})
