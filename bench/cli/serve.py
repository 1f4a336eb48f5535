"""The command `load`: a short name for `run` with MLPerf's scenarios.

Exit codes: 0 fine; 1 a cell failed, failed its audit, or lost a query; 2 the request was wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
import typer

from weighbridge.bench.cli import console
from weighbridge.bench.cli.console import (
    MOST_S,
    Device,
    EffortName,
    Json,
    Many,
    NoProgress,
    Nouns,
    OutFolder,
    Preset,
    Resume,
    RetryFailed,
    TimeLimit,
    words,
)
from weighbridge.bench.cli.run import weigh_and_show
from weighbridge.bench.core.effort import effort
from weighbridge.bench.core.errors import unknown
from weighbridge.bench.core.settings import Value
from weighbridge.bench.report.sections.serve import SCENARIOS
from weighbridge.bench.run import folders, jobs


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("load")(load_command)


def load_command(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="quick, cpu, full, gpu, tpu: cells where none are named.")] = "quick",
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
        float | None, typer.Option(help="What the server's p99 must hold; default: the task's.", min=0.001, max=MOST_S)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="Serve at this many queries a second and search no rate.", min=0.001, max=1e9)
    ] = None,
    queue: Annotated[int, typer.Option(help="Queries that may wait; more are rejected.", min=1, max=10**9)] = 1024,
    linger_ms: Annotated[
        float, typer.Option(help="How long a query waits for others to fill its batch.", min=0.0, max=MOST_S)
    ] = 0.0,
    effort_name: EffortName = "quick",
    time_limit: TimeLimit = 3600.0,
    out_folder: OutFolder = None,
    resume: Resume = False,
    retry_failed: RetryFailed = False,
    no_progress: NoProgress = False,
    json: Json = False,
) -> None:
    """Drives inference cells by MLPerf's scenarios, and searches the highest rate that a server holds."""
    resume = resume or retry_failed
    options = folders.Options(out=out_folder, resume=resume, retry_failed=retry_failed, time_limit_s=time_limit)
    options = folders.asked(options, console.request(context), console.typed(context))
    asked = options.request or console.request(context)
    kinds = chosen(asked.options["scenarios"])
    set_to = settings(asked.options) if "server" in kinds else {}
    planned = jobs.prepare(asked.options["suite"], console.filters(asked, scenarios=kinds, settings=set_to))
    options = msgspec.structs.replace(options, effort=effort(asked.options["effort"]))
    weigh_and_show(planned, options, json, table=False)


def chosen(text: str) -> list[str]:
    """Return the scenarios that were named, all four where none was; raises WeighbridgeError for any other."""
    for word in words(text):
        if word not in SCENARIOS:
            raise unknown("scenario", word, SCENARIOS)
    return [kind for kind in SCENARIOS if not text or kind in words(text)]


def settings(options: Mapping[str, Any]) -> dict[str, Value]:
    """Return the settings of a server that the command's options stand for."""
    found: dict[str, Value] = {"queue": options["queue"], "linger_s": options["linger-ms"] / 1000}
    found |= {} if options["bound-ms"] is None else {"bound_s": options["bound-ms"] / 1000}
    return found | ({} if options["rate"] is None else {"rate": options["rate"]})
