"""The command `parity`: a short name for `run` with scenario `parity`.

Exit codes: 0 fine; 1 a backend computes something else, or could not be tried; 2 the request was wrong.
"""

from __future__ import annotations

from typing import Annotated

import typer

from weighbridge.bench.cli import console
from weighbridge.bench.cli.console import (
    Device,
    Json,
    Many,
    NoProgress,
    Nouns,
    OutFolder,
    Preset,
    Resume,
    RetryFailed,
    TimeLimit,
    Weights,
)
from weighbridge.bench.cli.run import weigh_and_show
from weighbridge.bench.run import folders, jobs


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("parity")(parity_command)


def parity_command(
    context: typer.Context,
    tasks: Annotated[str, typer.Argument(metavar="[TASK]", help="Names, separated by commas; default: all.")] = "",
    backends: Nouns = "",
    precisions: Many = "",
    preset: Preset = "",
    weights: Weights = "",
    device: Device = "",
    suite: Annotated[str, typer.Option(help="Whose cells are proven: quick, cpu, full, gpu, tpu, or a file.")] = "full",
    time_limit: TimeLimit = 600.0,
    out_folder: OutFolder = None,
    resume: Resume = False,
    retry_failed: RetryFailed = False,
    no_progress: NoProgress = False,
    json: Json = False,
) -> None:
    """Is it still right? Each backend against float64, and mistakes put into its model that the check must see."""
    resume = resume or retry_failed
    options = folders.Options(out=out_folder, resume=resume, retry_failed=retry_failed, time_limit_s=time_limit)
    options = folders.asked(options, console.request(context), console.typed(context))
    asked = options.request or console.request(context)
    filters = console.filters(asked, scenarios=("parity",))
    planned = jobs.weighing(jobs.prepare(asked.options["suite"], filters), asked.options["weights"])
    weigh_and_show(planned, options, json, table=False)
