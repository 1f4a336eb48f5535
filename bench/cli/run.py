"""What every command that weighs a plan does: folder -> records -> reports -> words on the terminal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import typer
from rich.console import Console
from rich.text import Text

from weighbridge.bench.analysis import ratios, runs
from weighbridge.bench.cli import console
from weighbridge.bench.cli.progress import Display
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.report import terminal, write
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.run import planners
from weighbridge.bench.run.folders import Done, Options, known, note, run_folder
from weighbridge.bench.run.jobs import Planned
from weighbridge.bench.run.runner import run
from weighbridge.bench.storage import journals


def weigh_and_show(planned: Planned, options: Options, json: bool, table: bool = True, quiet: bool = False) -> None:
    """Weighs a plan and tells of it, in the table of all or in what its scenarios say alone.

    Ends the command with exit code 1 where a cell failed, with 130 where it was interrupted.
    """
    with console.interruptible(console.SAME_COMMAND):
        done = weigh(planned, options, console.progress)
    overview = Overview(ratios.rows(done.records, planned.ratios_to), planned.ratios_to)
    if json:
        console.print_json(done.records)
    elif quiet:
        console.out.print(*(terminal.first(overview) or [Text(overview.weighed)]), sep="\n")
    else:
        print_overview(overview, table)
    console.err.print(Text(f"Wrote {done.folder}/ ({', '.join(('records.jsonl', *write.REPORTS))})"))
    if runs.failed(done.records, planned.asked):
        raise typer.Exit(1)


def print_overview(overview: Overview, table: bool = True) -> None:
    """Prints the answer, the table of all where it is asked for, and what scenarios say of their own rows."""
    if table or not overview.sections:
        console.out.print(terminal.render(overview))
    elif said := terminal.first(overview):
        console.out.print(*said, Text(), sep="\n")
    for section in overview.sections:
        console.print_section(section)


@contextmanager
def reported(folder: Path, reference: str) -> Generator[None]:
    """Writes a run's reports, after a failure or an interrupt, too, which a full disk must not hide."""
    try:
        yield
    except BaseException:
        with suppress(OSError, WeighbridgeError):
            write.write_run(folder, reference)
        raise
    write.write_run(folder, reference)


def weigh(planned: Planned, options: Options, err: Console) -> Done:
    """Weighs what is not done yet and writes the reports; they are written after an interrupt, too."""
    folder, planner = run_folder(options), planners.of_plan(planned.cells)
    with journals.writing(folder) as journal:
        note(options, journal)
        before = known(journal, planner, options, err)
        done = sum(cell in before for cell in planner(before))
        total = max(done, len(planned.cells))
        with Display(err, done=done, total=total) as display, reported(folder, planned.ratios_to):
            records = run(planned, journal, display, options, before)
    return Done(folder=folder, records=records)
