"""Where a run writes, and how it goes on."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.effort import QUICK, Effort
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import environment
from weighbridge.bench.measure.allocator import Allocator
from weighbridge.bench.run.planners import Planner
from weighbridge.bench.storage import journals
from weighbridge.bench.storage.request import Request, resumed


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Where to write and how to go on."""

    out: Path | None = None
    resume: bool = False
    retry_failed: bool = False
    time_limit_s: float = 600.0
    effort: Effort = QUICK
    allocator: Allocator = "keep"
    request: Request | None = None
    """Written beside the journal; None where nobody will go on with it by its words."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has ended: its folder, and the records of the cells that were asked for."""

    folder: Path
    records: list[Record]


def run_folder(options: Options) -> Path:
    """`--out`, this machine's newest run where it is to go on, or a new folder named by date and commit."""
    home = Path("results") / environment.machine_name()
    if options.out and options.out.suffix == ".jsonl":
        raise WeighbridgeError(f"--out names a folder, not a journal such as {options.out.name}")
    if options.out:
        if not options.resume and journals.journal(options.out).exists():
            raise WeighbridgeError(f"{options.out} holds a run already; add --resume to go on with it")
        return options.out
    if not options.resume:
        return home / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{environment.git_commit().rstrip('+')}"
    runs = sorted(path.parent for path in home.glob(f"*/{journals.JOURNAL}.lock"))
    if not runs:
        raise WeighbridgeError(f"no run to go on with in {home}; start one without --resume")
    return runs[-1]


def asked(options: Options, request: Request, typed: Collection[str]) -> Options:
    """Return `options` with a folder and a request: of a run that is resumed its own, which `typed` may not contradict.

    Raises WeighbridgeError where there is no run to resume, or the folder holds one.
    """
    folder = run_folder(options)
    agreed = resumed(folder / journals.JOURNAL, request, typed) if options.resume else request
    return msgspec.structs.replace(options, out=folder, request=agreed)


def note(options: Options, journal: Path) -> None:
    """Write what was asked beside the journal, whose lock is held."""
    if options.request:
        options.request.write(journal)


def known(journal: Path, planner: Planner, options: Options, console: Console) -> dict[Cell, Record]:
    """Return the records of a journal; with `--retry-failed` without those of the plan that failed or were skipped."""
    records, aside = journals.mend(journal)
    if aside:
        console.print(f"a damaged line of {journal.name} was set aside in {aside}", markup=False)
    found = {record.cell: record for record in records}
    again = [found[cell] for cell in planner(found) if cell in found and found[cell].status != "ok"]
    if options.retry_failed and again:
        journals.supersede(journal, again)
        return {cell: record for cell, record in found.items() if record not in again}
    return found
