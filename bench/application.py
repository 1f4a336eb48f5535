"""What `weighbridge run` does, without its words: names -> plan -> folder -> records -> reports."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, get_args

import msgspec
from rich.console import Console

from bench import compare, halves, peaks, registry
from bench.core import errors
from bench.core.backend import Backend, Reference
from bench.core.cell import Cell, Device, Precision
from bench.core.effort import QUICK, Tier
from bench.core.errors import WeighbridgeError
from bench.core.record import Peaks, Record
from bench.core.task import Task
from bench.core.trial import T
from bench.display import Display
from bench.group import Job, Watcher
from bench.measure import environment
from bench.measure.allocator import Allocator
from bench.plan import Filters, Suite, plan
from bench.report import csv, html, markdown
from bench.report.overview import Overview
from bench.row import Row
from bench.run import Run, why_not
from bench.storage import calibration, known_peaks, packages, studies
from bench.storage import journal as store
from bench.storage.files import write_whole
from bench.storage.request import Request, resumed

FAILURES = ("oom", "timeout", "crashed", "parity_failed", "implausible")


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The cells of a request and the backend they are proven against."""

    cells: list[Cell]
    reference: str


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


def prepare(suite_name: str, filters: Filters) -> Planned:
    """The plan of a request; raises WeighbridgeError where it names what is not there or a device that is not."""
    suite = msgspec.convert(registry.suite(suite_name), Suite)
    cells = plan(suite, filters, registry.task, registry.backend)
    if not cells:
        raise WeighbridgeError("no cell fits this request; `weighbridge list` shows what each task can do")
    devices: set[Device] = {cell.device for cell in cells}
    for device in devices:
        if not environment.has_device(device):
            raise WeighbridgeError(f"this machine shows no {device} device; choose --device cpu")
    return Planned(cells=cells, reference=suite.reference)


def weigh(planned: Planned, options: Options, console: Console) -> Done:
    """Weighs what is not done yet and writes the reports; they are written after an interrupt, too."""
    folder = run_folder(options)
    with store.writing(folder) as journal:
        note(options, journal)
        todo = to_do(journal, planned.cells, options, console)
        with Display(console, done=len(planned.cells) - len(todo), total=len(planned.cells)) as display:
            try:
                records = run(planned, todo, journal, display, options)
            finally:
                write_run(folder, planned.reference)
    wanted = {cell.id for cell in planned.cells}
    return Done(folder=folder, records=[record for record in records if record.cell.id in wanted])


def run(planned: Planned, todo: Sequence[Cell], journal: Path, watcher: Watcher, options: Options) -> list[Record]:
    """Weighs `todo` into `journal`; returns every record that the journal then holds."""
    nouns = job(planned, options.time_limit_s, options.tier, options.allocator)
    for _ in Run(nouns, journal, watcher).weigh(todo):
        pass
    return store.load(journal) if journal.exists() else []


def measure_peaks(reference: str, device: str, precisions: Sequence[str]) -> Peaks:
    """Measures this machine's peaks and keeps them; raises WeighbridgeError where a name is unknown or cannot run."""
    backend, known = registry.reference(reference), get_args(Precision)
    if device not in get_args(Device):
        raise errors.unknown("device", device, get_args(Device))
    for precision in precisions:
        if precision not in known:
            raise errors.unknown("precision", precision, known)
    cells = [_peak_cell(reference, device, precision) for precision in precisions]
    for cell in cells:
        if bar := why_not(backend, cell):
            raise WeighbridgeError(bar)
    if not environment.has_device(cells[0].device):
        raise WeighbridgeError(f"this machine shows no {device} device; choose --device cpu")
    found = peaks.measured(reference, cells[0], [cell.precision for cell in cells])
    known_peaks.save(packages.cache_folder(), found)
    return found


def _peak_cell(reference: str, device: str, precision: str) -> Cell:
    fields = {"device": device, "precision": precision, "backend": reference, "task": "", "preset": ""}
    return msgspec.convert({**fields, "scenario": "infer", "batch_size": 1}, Cell)


def job(planned: Planned, time_limit_s: float, tier: Tier = QUICK, allocator: Allocator = "keep") -> Job:
    """The nouns that a run needs, looked up by name."""
    backends: dict[str, Backend] = {name: registry.backend(name) for name in {c.backend for c in planned.cells}}
    reference: Reference = registry.reference(planned.reference)
    tasks = {name: registry.task(name) for name in {cell.task for cell in planned.cells}}
    devices: set[Device] = {cell.device for cell in planned.cells}
    return Job(
        reference=planned.reference,
        tier=tier,
        allocator=allocator,
        visible=[each for each in registry.backends().values() if not each.hidden],
        time_limit_s=time_limit_s,
        root=packages.cache_folder() / "artefacts",
        backends={**backends, planned.reference: reference},
        tasks=tasks,
        files=_files_of(tasks),
        free_bytes=environment.free_bytes,
        calibration=calibration.load(packages.cache_folder(), tier.name, allocator),
        peaks={device: found for device in devices if (found := known_peaks.load(packages.cache_folder(), device))},
    )


def _files_of(tasks: Mapping[str, Task]) -> Any:
    """Task name -> verified folders; hashed once a run, and a failure is remembered too."""

    @cache
    def found(task: str) -> dict[str, Path] | str:
        try:
            return dict(packages.files(tasks[task].packages))
        except WeighbridgeError as error:
            return str(error)

    def files(task: str) -> dict[str, Path]:
        result = found(task)
        if isinstance(result, str):
            raise WeighbridgeError(result)
        return result

    return files


def run_folder(options: Options) -> Path:
    """`--out`, this machine's newest run where it is to go on, or a new folder named by date and commit."""
    home = Path("results") / environment.machine_name()
    if options.out:
        if not options.resume and store.journal(options.out).exists():
            raise WeighbridgeError(f"{options.out} holds a run already; add --resume to go on with it")
        return options.out
    if not options.resume:
        return home / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{environment.git_commit().rstrip('+')}"
    runs = sorted(path.parent for path in home.glob(f"*/{store.JOURNAL}.lock"))
    if not runs:
        raise WeighbridgeError(f"no run to go on with in {home}; start one without --resume")
    return runs[-1]


def asked(options: Options, name: str, request: Request, typed: Collection[str]) -> Options:
    """Return `options` with a folder and a request: of a run that is resumed its own, which `typed` may not contradict.

    `name` is the journal's. Raises WeighbridgeError where there is no run to resume, or the folder holds one.
    """
    folder = run_folder(options) if name == store.JOURNAL else study_folder(options, name)
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
    with store.writing(folder):
        note(options, folder / name)
        trials, aside = studies.mend(folder / name, kind)
        if aside:
            console.print(f"a damaged line of {name} was set aside in {aside}", markup=False)
        yield folder / name, trials


def to_do(journal: Path, cells: Sequence[Cell], options: Options, console: Console) -> list[Cell]:
    """The cells without a record; with `--retry-failed`, those that failed or were skipped, too."""
    records, aside = store.mend(journal)
    if aside:
        console.print(f"a damaged line of {journal.name} was set aside in {aside}", markup=False)
    wanted = {cell.id for cell in cells}
    again = [record for record in records if record.status != "ok" and record.cell.id in wanted]
    if options.retry_failed and again:
        store.supersede(journal, again)
        records = [record for record in records if record not in again]
    done = {record.cell.id for record in records}
    return [cell for cell in cells if cell.id not in done]


def write_run(folder: Path, reference: str) -> None:
    if store.journal(folder).exists():
        write_reports(folder, Overview(compare.rows(store.load(folder), reference), reference))


REPORTS: dict[str, Callable[[Overview], str]] = {
    "report.html": html.render,
    "report.md": markdown.render,
    "report.csv": lambda overview: csv.render(overview.rows, overview.lines),
}


def write_reports(folder: Path, overview: Overview) -> None:
    """Every kind of report, each whole or not at all."""
    for name, render in REPORTS.items():
        write_whole(folder / name, render(overview).encode())


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of one run or several, the reference of the first, and where their reports belong."""

    rows: list[Row]
    lines: list[str]
    """Of report.csv, as many as rows; empty where a line is not written yet."""
    reference: str
    home: Path


def rows_of(paths: Sequence[Path], reference: str = "") -> Reported:
    """Rows of run folders or journals, in the order given; each run's ratios are to `reference`, or to its own."""
    journals = [store.existing(path) for path in paths]
    if not journals:
        raise WeighbridgeError("name at least one run folder, such as results/<machine>/<date>-<commit>")
    found = halves.Read([], [])
    chosen: list[str] = []
    for journal, name in zip(journals, _names(journals), strict=True):
        chosen.append(reference or reference_of(journal))
        read = halves.read(journal, chosen[-1], name)
        found.rows.extend(read.rows)
        found.lines.extend(read.lines)
    folders = [journal.resolve().parent for journal in journals]
    return Reported(rows=found.rows, lines=found.lines, reference=chosen[0], home=Path(os.path.commonpath(folders)))


def _names(journals: Sequence[Path]) -> list[str]:
    """What tells the runs apart: nothing where there is one, else folder or file names, numbered where they agree."""
    if len(journals) == 1:
        return [""]
    names = [path.resolve().parent.name if path.name == store.JOURNAL else path.stem for path in journals]
    again = Counter(names)
    return [name if again[name] == 1 else f"{name} ({at})" for at, name in enumerate(names, start=1)]


def reference_of(journal: Path) -> str:
    """The backend with the most records among those that can be a reference, by the first ten thousand."""
    counts = Counter(cell.backend for cell in islice(store.cells(journal), 10_000))
    if not counts:
        raise WeighbridgeError(f"{journal} holds no record that this version can read")
    known = registry.backends()
    able = [name for name in counts if isinstance(known.get(name), Reference)]
    if not able:
        raise WeighbridgeError("these records hold no reference; name one with --reference")
    return max(able, key=lambda name: counts[name])


def failed(records: Sequence[Record], filters: Filters) -> bool:
    """Whether a cell failed, or one of a backend that was asked for by name was skipped: it must not vanish."""
    return any(
        record.status in FAILURES or (record.status == "skipped" and record.cell.backend in filters.backends)
        for record in records
    )
