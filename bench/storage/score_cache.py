"""Scores that are remembered: the same code, weights, data, versions and processor give the same score again.

A score takes a pass over the whole eval split, which for a sentence encoder on two cores is twenty times longer than
its timing. It is measured once for each of these and kept beside the group's prepared files; a record says when.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from weighbridge.bench.core.arrays import content_hash
from weighbridge.bench.core.backend import Backend
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.task import Task
from weighbridge.bench.measure import environment
from weighbridge.bench.scenarios.steps.requests import Scored
from weighbridge.bench.storage import sealed


def remembered(
    cell: Cell, task: Task, backend: Backend, folder: Path, measure: Callable[[], dict[str, float]]
) -> Scored:
    """The score and when it was measured; from `folder`, which the weights and the data name, or by measuring now."""
    threads = [environment.describe(backend.distributions)[name] for name in ("versions", "threads", "gpus")]
    code = environment.source_hash(*environment.module_files(task.data), *environment.package_files(type(backend)))
    path = folder / "scores" / f"{content_hash([msgspec.structs.replace(cell, settings=()), code, threads])}.json"
    moved_aside = sealed.set_aside(path)
    if sealed.is_whole(path):
        return msgspec.json.decode(path.read_bytes(), type=Scored)
    found = Scored(score=dict(measure()), measured=datetime.now(UTC).isoformat(timespec="seconds"))
    sealed.write(path, msgspec.json.encode(found))
    return msgspec.structs.replace(found, moved_aside=moved_aside)
