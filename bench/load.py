"""MLPerf's scenarios for a cell: single stream, multi stream, offline, server; then the self-audit.

The terms are MLPerf's, the counts are ours: its own ask for ten minutes and more a scenario, which tier `strict` takes.
What fewer queries allow to be said of a percentile is told by its early stopping (`bench.scenarios.serve.stopping`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.core.cell import Cell
from bench.group import Job, Watcher
from bench.scenarios.base import Ask
from bench.scenarios.serve.measure import Asked, Conversation
from bench.scenarios.serve.result import Loaded
from bench.study import Study


def weigh(job: Job, journal: Path, watcher: Watcher, cells: Sequence[Cell], asked: Asked) -> Iterator[Loaded]:
    """Each cell's record, after it is on the disk."""
    tasks = {cell.task: job.task(cell) for cell in cells}

    def converse(cell: Cell, ask: Ask) -> dict[str, Any]:
        return Conversation(cell, tasks[cell.task], asked, ask, watcher.phase).hold()

    return Study(job, journal, watcher).trials(cells, Loaded, converse, {"tier": job.tier.name})
