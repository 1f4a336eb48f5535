"""The command `churn`: a short name for `run` with scenario `varying_shapes`.

Exit codes: 0 fine; 1 a cell failed, or padding changed what it computes; 2 the request was wrong.
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
    OutFolder,
    Preset,
    Resume,
    RetryFailed,
    TimeLimit,
    words,
)
from weighbridge.bench.cli.run import weigh_and_show
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.run import cards, folders, jobs
from weighbridge.bench.run.registry import TASKS

SUITE = "varying-shapes"


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("churn")(churn_command)


def churn_command(
    context: typer.Context,
    tasks: Annotated[str, typer.Option(help="Names, separated by commas; default: all with varying lengths.")] = "",
    backends: Annotated[str, typer.Option(help=f"Names, separated by commas; default: suite {SUITE}'s.")] = "",
    precisions: Many = "",
    preset: Preset = "",
    device: Device = "",
    batch_sizes: Annotated[str, typer.Option(help="The largest batch; default: the task's.")] = "",
    batches: Annotated[int, typer.Option(help="How many batches the work has.", min=2, max=10**6)] = 40,
    passes: Annotated[
        int, typer.Option(help="How often the work will be done: compiling is paid once.", min=1, max=10**9)
    ] = 100,
    time_limit: TimeLimit = 1800.0,
    out_folder: OutFolder = None,
    resume: Resume = False,
    retry_failed: RetryFailed = False,
    no_progress: NoProgress = False,
    json: Json = False,
) -> None:
    """The same work with its real lengths, padded by several strategies: what is compiled, lost, wasted; the best."""
    resume = resume or retry_failed
    options = folders.Options(out=out_folder, resume=resume, retry_failed=retry_failed, time_limit_s=time_limit)
    options = folders.asked(options, console.request(context), console.typed(context))
    asked = options.request or console.request(context)
    settings = {"batches": asked.options["batches"], "passes": asked.options["passes"]}
    able = able_tasks(words(asked.options["tasks"]))
    filters = console.filters(asked, tasks=able, scenarios=("varying_shapes",), settings=settings)
    weigh_and_show(jobs.prepare(SUITE, filters), options, json, table=False)


def able_tasks(names: list[str]) -> list[str]:
    """Return the tasks that were named, all with varying lengths where none was; raises WeighbridgeError for others."""
    names, able = cards.named(names, TASKS), [name for name, task in cards.tasks().items() if task.varies]
    for name in names:
        if cards.task(name).name not in able:
            raise WeighbridgeError(f"the examples of {name} all have one shape; choose {' or '.join(able)}")
    return names or able
