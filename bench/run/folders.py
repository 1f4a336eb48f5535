"""Where a run writes, and how it goes on."""

from __future__ import annotations

from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console

from bench.core.cell import Cell
from bench.core.effort import QUICK, Tier
from bench.core.errors import WeighbridgeError
from bench.core.record import Record
from bench.core.trial import T
from bench.measure import environment
from bench.measure.allocator import Allocator
from bench.storage import journals, studies
from bench.storage.request import Request, resumed


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Where to write and how to go on."""

    out: Path | None = None
    resume: bool = False
    retry_failed: bool = False
    time_limit_s: float = 600.0
    tier: Tier = QUICK
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


def asked(options: Options, name: str, request: Request, typed: Collection[str]) -> Options:
    """Return `options` with a folder and a request: of a run that is resumed its own, which `typed` may not contradict.

    `name` is the journal's. Raises WeighbridgeError where there is no run to resume, or the folder holds one.
    """
    folder = run_folder(options) if name == journals.JOURNAL else study_folder(options, name)
    agreed = resumed(folder / name, request, typed) if options.resume else request
    return msgspec.structs.replace(options, out=folder, request=agreed)


def note(options: Options, journal: Path) -> None:
    """Write what was asked beside the journal, whose lock is held."""
    if options.request:
        options.request.write(journal)


def study_folder(options: Options, name: str) -> Path:
    """A study's journal may lie in the folder of a run."""
    if options.out and not options.resume and (options.out / name).exists():
        raise WeighbridgeError(f"{options.out} holds a {name} already; add --resume to go on with it")
    return options.out or run_folder(options)


@contextmanager
def study_journal(options: Options, name: str, kind: type[T], console: Console) -> Generator[tuple[Path, list[T]]]:
    """A study's journal, which is held for one writer, and the trials that it holds."""
    folder = study_folder(options, name)
    with journals.writing(folder):
        note(options, folder / name)
        trials, aside = studies.mend(folder / name, kind)
        if aside:
            console.print(f"a damaged line of {name} was set aside in {aside}", markup=False)
        yield folder / name, trials


def to_do(journal: Path, cells: Sequence[Cell], options: Options, console: Console) -> list[Cell]:
    """The cells without a record; with `--retry-failed`, those that failed or were skipped, too."""
    records, aside = journals.mend(journal)
    if aside:
        console.print(f"a damaged line of {journal.name} was set aside in {aside}", markup=False)
    wanted = {cell.id for cell in cells}
    again = [record for record in records if record.status != "ok" and record.cell.id in wanted]
    if options.retry_failed and again:
        journals.supersede(journal, again)
        records = [record for record in records if record not in again]
    done = {record.cell.id for record in records}
    return [cell for cell in cells if cell.id not in done]
