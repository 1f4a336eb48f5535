"""The command line: list, doctor, data, run, report; each other command is registered by a file of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from weighbridge.bench.analysis.summary import no_collection
from weighbridge.bench.cli import (
    console,
    data,
    doctor,
    export,
    help,
    listing,
    machine,
    parity,
    serve,
    sweep,
    usage,
    varying_shapes,
)
from weighbridge.bench.cli.compare import register
from weighbridge.bench.cli.console import (
    AllocatorName,
    Device,
    EffortName,
    Json,
    Many,
    NoProgress,
    Nouns,
    Option,
    OutFolder,
    Preset,
    Quiet,
    Resume,
    RetryFailed,
    Set,
    TimeLimit,
    Weights,
    err,
    out,
    print_json,
    print_rows,
    print_table,
)
from weighbridge.bench.cli.run import print_overview, weigh_and_show
from weighbridge.bench.core.effort import effort
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.measure import allocator
from weighbridge.bench.report import write
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.runs import rows_of
from weighbridge.bench.run import cards, folders, jobs, serving

TRACEBACK = "WEIGHBRIDGE_TRACEBACK"
"""The variable by which a developer sees where a fault of this program is."""
app = help.app()


@app.command("list")
def list_command(json: Json = False, everything: Annotated[bool, typer.Option("--all")] = False) -> None:
    """Tasks, backends, scenarios and suites. `--all` shows backends that serve tests, too."""
    found = listing.listing(everything)
    if json:
        return print_json(found)
    listing.show(found)
    for problem in doctor.broken():
        err.print(Text(f"! {problem}", style="yellow"), soft_wrap=True)
    return None


@app.command("doctor")
def doctor_command(json: Json = False) -> None:
    """What is installed, which backend is available on which device, and what to type where it is not."""
    findings = doctor.examine()
    if json:
        return print_json(findings)
    print_rows([{"name": name, "found": value} for name, value in findings.machine.items()])
    out.print()
    print_rows(findings.backends)
    if findings.calibrations:
        out.print()
        print_rows(findings.calibrations)
    for problem in findings.problems:
        out.print(Text(f"! {problem}", style="yellow"))
    return None


@app.command()
def run(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="quick, cpu, full, gpu, tpu, or a file such as ./mine.toml.")] = "quick",
    tasks: Nouns = "",
    backends: Nouns = "",
    reference: Annotated[
        str, typer.Option(help="The backend that ratios are to; the suite's where none is named.")
    ] = "",
    option: Option = None,
    scenarios: Annotated[
        str, typer.Option(help="infer, generate, parity, compile_only, server, ...: docs/scenarios.md.")
    ] = "",
    setting: Set = None,
    precisions: Many = "",
    batch_sizes: Annotated[str, typer.Option(help="Numbers, separated by commas.")] = "",
    lengths: Annotated[str, typer.Option(help="Positions of each row, separated by commas; of texts.")] = "",
    preset: Preset = "",
    weights: Weights = "",
    device: Device = "",
    out_folder: OutFolder = None,
    resume: Resume = False,
    retry_failed: RetryFailed = False,
    effort_name: EffortName = "quick",
    allocator_name: AllocatorName = "keep",
    time_limit: TimeLimit = 600.0,
    plan: Annotated[bool, typer.Option("--plan", help="Print the cells and stop.")] = False,
    no_progress: NoProgress = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Weighs the cells of a suite and writes records.jsonl, report.html, report.md and report.csv."""
    asked, resume = console.request(context), resume or retry_failed
    options = folders.Options(out=out_folder, resume=resume, retry_failed=retry_failed, time_limit_s=time_limit)
    if not plan or resume:
        options = folders.asked(options, asked, console.typed(context))
        asked = options.request or asked
    filters = console.filters(asked)
    planned = jobs.compared(jobs.prepare(asked.options["suite"], filters), asked.options["reference"])
    planned = jobs.weighing(planned, asked.options.get("weights", ""))
    options = msgspec.structs.replace(
        options, effort=effort(asked.options["effort"]), allocator=allocator.chosen(asked.options["allocator"])
    )
    if plan:
        if not json:
            return print_table(["id", "cell"], [[cell.id, cell] for cell in planned.cells], whole=[0])
        return print_json([{"id": cell.id, **msgspec.to_builtins(cell)} for cell in planned.cells])
    weigh_and_show(planned, options, json, quiet=quiet)
    return None


@app.command()
def report(
    paths: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Run folders, or journals.")],
    reference: Annotated[str, typer.Option(help="The backend that ratios are to.")] = "",
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Default: the run's folder; of several, the one that holds them all.")
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open report.html in the browser.")] = False,
    json: Json = False,
) -> None:
    """Writes report.html, report.md and report.csv of one run, or of several side by side, and prints the table."""
    if reference:
        cards.backend(reference)
    with no_collection():
        found = rows_of(paths, reference, brief=not json)
        home = out_folder or found.home
        overview = Overview(found.rows, found.reference, found.lines)
        write.write_reports(home, overview)
    if json:
        print_json([{**msgspec.to_builtins(row), "cell": str(row.record.cell)} for row in found.rows])
    else:
        print_overview(overview)
    for complaint in found.complaints:
        err.print(Text(f"! {complaint}", style="yellow"), soft_wrap=True)
    err.print(Text(f"Wrote {home}/ ({', '.join(write.REPORTS)})"))
    if show:
        typer.launch((home / "report.html").resolve().as_uri())
    raise typer.Exit  # and not return, which would free a hundred thousand rows one by one before the process ends


machine.register(app)
register(app)
serve.register(app)
varying_shapes.register(app)
parity.register(app)
export.register(app)
sweep.register(app)
data.register(app)
help.show_examples(app)


def main() -> None:
    """Does what the arguments say; a wrong request is one line and exit code 2. Raises SystemExit.

    A fault of this program ends in 2, too: 1 is the word for a cell that failed or a regression.
    """
    try:
        if told := usage.run(app):
            complain(told)
        sys.exit(2)
    except SystemExit as ended:
        if ended.code == console.CutShortError.code:
            complain("interrupted")
        raise
    except WeighbridgeError as error:
        complain(str(error))
        sys.exit(error.code)
    except OSError as error:
        complain(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
        sys.exit(2)
    except Exception as error:
        if TRACEBACK in os.environ:
            raise
        complain(f"a fault of its own, {serving.one_line(error)}; {TRACEBACK}=1 shows where, please report it")
        sys.exit(2)
    finally:
        cards.describer.close()


def complain(text: str) -> None:
    """Say in one line what is wrong."""
    err.print(Text(f"weighbridge: {' '.join(text.split())}", style="red"), soft_wrap=True)
