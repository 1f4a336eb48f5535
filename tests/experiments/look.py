"""A first look at a device: one process a cell, short blocks, no verdict. Does each backend open, agree and tell?

    python -m tests.experiments.look --suite gpu --tasks image-classification --presets base-vit --precisions bf16

Prints a line a cell, as JSON, as soon as its group is done: status and reason, parity, seconds of the first step and of
a step, memory, facts. Each group has its own processes; `--apart` weighs every backend in a group of its own, so that
one that dies or hangs holds up no other. Exit code 1 where a cell is not `ok`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.effort import Effort
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure.statistics import median
from weighbridge.bench.run.jobs import job, prepare
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.runner import Run

LOOK = Effort(name="look", processes=1, bound=1.0, warm_cap_s=0.5, cap_s=0.5, fewest_turns=2, patience_s=0.0)


class Timeline:
    """Tells on stderr what is done, and the seconds since the start."""

    def __init__(self) -> None:
        self.begin, self.cell = time.monotonic(), ""

    def started(self, cell: Cell) -> None:
        """Whose turn has come."""
        self.cell = f"{cell.task} {cell.scenario} {cell.precision} {cell.backend}"

    def prepared(self, cell: Cell, took_s: float) -> None:
        """Nothing."""

    def phase(self, name: str) -> None:
        """What its worker does now."""
        print(f"{time.monotonic() - self.begin:6.1f} s  {self.cell}: {name}", file=sys.stderr, flush=True)

    def progress(self, fraction: float) -> None:
        """Too fine for a look."""

    def finished(self, record: Record) -> None:
        """How it ended."""
        self.started(record.cell)
        self.phase(f"{record.status} {record.reason}")


def main(words: Sequence[str] | None = None) -> int:
    """Weighs what is asked for, and returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("tasks", "backends", "scenarios", "precisions", "presets"):
        parser.add_argument(f"--{name}", type=lambda text: tuple(text.split(",")), default=())
    parser.add_argument("--batch-sizes", type=lambda text: tuple(map(int, text.split(","))), default=())
    parser.add_argument("--suite", default="gpu")
    parser.add_argument("--device", default="")
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--time-limit", type=float, default=180.0)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(words)
    names = ("tasks", "backends", "scenarios", "precisions", "presets", "batch_sizes", "device")
    planned = prepare(given.suite, Filters(**{name: getattr(given, name) for name in names}))
    given.out.mkdir(parents=True, exist_ok=True)
    run = Run(job(planned, given.time_limit, LOOK), given.out / "records.jsonl", Timeline())
    lots = [[cell] for cell in planned.cells] if given.apart else [planned.cells]
    records = [_told(record) for lot in lots for record in run.weigh(lot)]
    return 0 if all(record.status == "ok" for record in records) else 1


def _told(record: Record) -> Record:
    first = record.processes[0] if record.processes else None
    line = {
        "cell": record.cell.id,
        "name": " ".join((record.cell.task, record.cell.scenario, record.cell.precision, record.cell.executor)),
        "status": record.status,
        "reason": record.reason,
        "parity": record.parity,
        "step_s": median(first.step_s) if first and first.step_s else None,
        "queued_step_s": median(first.queued_step_s) if first and first.queued_step_s else None,
        "first_s": first and first.first_s,
        "device_bytes": first and [first.device_peak_bytes, first.device_reserved_bytes, first.device_process_bytes],
        "energy_j_per_step": first and first.energy_j_per_step,
        "score": record.score,
        "cost": record.cost,
        "facts": record.facts,
        "warmup_s": first and first.warmup_s[:8],
    }
    print(msgspec.json.encode(line).decode(), flush=True)
    return record


if __name__ == "__main__":
    sys.exit(main())
