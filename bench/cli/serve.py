"""The command that drives cells as services: load.

Exit codes: 0 fine; 1 a cell failed, failed its audit, or lost a query; 2 the request was wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import typer
from rich.text import Text

from bench.cli import console
from bench.cli.console import (
    Device,
    Json,
    Many,
    Nouns,
    OutFolder,
    Preset,
    Resume,
    TierName,
    err,
    out,
    print_json,
    print_table,
    words,
)
from bench.cli.progress import Display
from bench.core.effort import tier
from bench.core.errors import unknown
from bench.report.sections import serve
from bench.run import folders, jobs
from bench.run.serve import weigh
from bench.scenarios.serve.measure import EFFORT, Asked
from bench.scenarios.serve.result import JOURNAL, Kind, Loaded
from bench.storage import studies
from bench.storage.files import write_whole


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("load")(load_command)


def load_command(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="quick, full, gpu, tpu: which cells, where none are named.")] = "quick",
    tasks: Nouns = "",
    backends: Nouns = "",
    scenarios: Annotated[
        str, typer.Option(help="Of single_stream, multi_stream, offline, server; default: all four.")
    ] = "",
    precisions: Many = "",
    preset: Preset = "",
    device: Device = "",
    batch_sizes: Annotated[str, typer.Option(help="The largest batch of the server; default: the task's.")] = "",
    bound_ms: Annotated[
        float | None, typer.Option(help="What the server's p99 must hold; default: the task's.", min=0.001)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Serve at this many queries a second and search no rate.", min=0.001)
    ] = None,
    queue: Annotated[int, typer.Option(help="Queries that may wait; more are rejected.", min=1)] = 1024,
    linger_ms: Annotated[
        float, typer.Option(help="How long a query waits for others to fill its batch.", min=0.0)
    ] = 0.0,
    tier_name: TierName = "quick",
    time_limit: Annotated[float, typer.Option(help="Seconds a cell may take.", min=0.001)] = 3600.0,
    out_folder: OutFolder = None,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """Drives inference cells by MLPerf's scenarios, and searches the highest rate that a server holds."""
    options = folders.Options(out=out_folder, resume=resume, time_limit_s=time_limit)
    options = folders.asked(options, JOURNAL, console.request(context), console.typed(context))
    asked = options.request or console.request(context)
    planned = jobs.prepare(asked.options["suite"], console.filters(asked, scenarios=("infer",)))
    options = msgspec.structs.replace(options, tier=tier(asked.options["tier"]))
    folder, every = weigh_showing_progress(planned, options, settings(asked.options))
    write_whole(folder / "load.md", serve.markdown(every, planned.reference).encode())
    trials = [trial for trial in every if trial.cell in planned.cells]
    print_json(trials) if json else show(trials, planned.reference)
    err.print(Text(f"Wrote {folder}/ ({JOURNAL}, load.md)"))
    complete = {trial.cell for trial in trials} == set(planned.cells)
    if not complete or not all(trial.right and not (trial.server and trial.server.lost) for trial in trials):
        raise typer.Exit(1)


def settings(options: Mapping[str, Any]) -> Asked:
    """Return the scenarios that the command's options ask for."""
    bound_ms = options["bound-ms"]
    return Asked(
        kinds=_kinds(options["scenarios"]), effort=EFFORT[options["tier"]], rate=options["rate"],
        queue=options["queue"], linger_s=options["linger-ms"] / 1000,
        bound_s=None if bound_ms is None else bound_ms / 1000,
    )  # fmt: skip


def _kinds(text: str) -> list[Kind]:
    known: tuple[Kind, ...] = get_args(Kind)
    for word in words(text):
        if word not in known:
            raise unknown("scenario", word, known)
    return [kind for kind in known if not text or kind in words(text)]


def weigh_showing_progress(planned: jobs.Planned, options: folders.Options, asked: Asked) -> tuple[Path, list[Loaded]]:
    """Drives what is not done yet; returns the folder and every record of its journal, the reference's first."""
    with folders.study_journal(options, JOURNAL, Loaded, err) as (journal, known):
        weighed = {trial.cell for trial in known}
        todo = [cell for cell in planned.cells if cell not in weighed]
        job = jobs.job(planned, options.time_limit_s, options.tier)
        done, how = len(planned.cells) - len(todo), f"add --resume --out {journal.parent}"
        with Display(err, done=done, total=len(planned.cells)) as display, console.interruptible(how):
            for trial in weigh(job, journal, display, todo, asked):
                reason = f": {trial.reason}" if trial.reason else ""
                display.passed(f"{trial.cell}  {trial.status}{reason}")
        every = studies.load(journal, Loaded)
        return journal.parent, sorted(every, key=lambda trial: trial.cell.backend != planned.reference)


def show(trials: list[Loaded], reference: str) -> None:
    """A block a cell; text is shown as it is."""
    for name, lines in serve.blocks(trials, reference):
        out.print(Text(name, style="bold"))
        print_table(["", ""], [(f"  {heading} ", text) for heading, text in lines], whole=[0])
