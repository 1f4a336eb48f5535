"""What `weighbridge run` does, without its words: names -> plan -> folder -> records -> reports."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console

from bench import halves
from bench.analysis import ratios
from bench.analysis.row import Row
from bench.analysis.runs import reference_of
from bench.core.errors import WeighbridgeError
from bench.display import Display
from bench.report import csv, html, markdown
from bench.report.overview import Overview
from bench.run.folders import Done, Options, note, run_folder, to_do
from bench.run.jobs import Planned
from bench.run.runner import run
from bench.storage import journal as store
from bench.storage.files import write_whole


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


def write_run(folder: Path, reference: str) -> None:
    if store.journal(folder).exists():
        write_reports(folder, Overview(ratios.rows(store.load(folder), reference), reference))


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
