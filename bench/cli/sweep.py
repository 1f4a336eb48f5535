"""The command that sweeps batch sizes: throughput against batch size, up to a full memory."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from weighbridge.bench.analysis import knee, ratios
from weighbridge.bench.analysis.knee import Curve
from weighbridge.bench.cli import console
from weighbridge.bench.cli.console import (
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
    err,
    out,
    print_json,
    print_table,
)
from weighbridge.bench.cli.progress import Display
from weighbridge.bench.core.effort import effort
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.measure import environment
from weighbridge.bench.report import write
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.sections import sweep as section
from weighbridge.bench.run import folders, jobs, planners, runner
from weighbridge.bench.run.folders import Done, Options
from weighbridge.bench.run.jobs import Planned
from weighbridge.bench.storage.files import write_whole
from weighbridge.bench.storage.journals import load, writing

UNITS = {
    "": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40,
}  # fmt: skip
"""A letter alone is a power of two, as `docker run --memory` and the kernel's cgroups read it."""
LEAST_LIMIT = 2**26
"""64 MiB: below that not even an interpreter with numpy starts."""
MAY_WRAP = ("cell", "ratio", "status")
EXPECTED = ("ok", "oom", "timeout")
"""Ends that a sweep looks for; any other is a failure."""


def register(app: typer.Typer) -> None:
    """Adds the command to the command line."""
    app.command("sweep")(sweep_command)


def sweep_command(
    context: typer.Context,
    suite: Annotated[str, typer.Option(help="quick, cpu, full, gpu, tpu.")] = "quick",
    tasks: Nouns = "",
    backends: Nouns = "",
    scenarios: Many = "infer",
    precisions: Many = "",
    preset: Preset = "",
    device: Device = "",
    most: Annotated[int, typer.Option(help="The largest batch size; they double from 1.", min=1, max=2**31 - 1)] = 1024,
    memory_limit: Annotated[
        str,
        typer.Option(metavar="SIZE", help="Host memory of a worker, as 4G; default on cpu: its share of what is free."),
    ] = "",
    out_folder: OutFolder = None,
    resume: Resume = False,
    retry_failed: RetryFailed = False,
    effort_name: EffortName = "quick",
    time_limit: TimeLimit = 600.0,
    plan: Annotated[bool, typer.Option("--plan", help="Print the cells that it may come to, and stop.")] = False,
    no_progress: NoProgress = False,
    json: Json = False,
) -> None:
    """Throughput against batch size, doubling until memory or time runs out; names the knee. Writes sweep.md, too."""
    asked, resume = console.request(context), resume or retry_failed
    options = Options(out=out_folder, resume=resume, retry_failed=retry_failed, time_limit_s=time_limit)
    if not plan or resume:
        options = folders.asked(options, asked, console.typed(context))
        asked = options.request or asked
    most, limit = asked.options["most"], limit_bytes(asked.options["memory-limit"])
    planned = jobs.prepare(asked.options["suite"], console.filters(asked, batch_sizes=[1]))
    options = msgspec.structs.replace(options, effort=effort(asked.options["effort"]))
    if plan:
        cells = planners.every_size(planned.cells, most)
        return print_json(cells) if json else print_table(["cell"], [[str(cell)] for cell in cells])
    with console.interruptible(console.SAME_COMMAND):
        done = weigh(planned, options, most, limit)
    found = knee.curves(ratios.rows(done.records, planned.reference), most)
    print_json(summaries(found)) if json else _show(found)
    err.print(Text(f"Wrote {done.folder}/ ({', '.join(('records.jsonl', 'sweep.md', *write.REPORTS))})"))
    if any(record.status not in EXPECTED for record in done.records):
        raise typer.Exit(1)
    return None


def limit_bytes(text: str) -> int | None:
    """`4G`, `4GiB`, `512 MiB` or plain bytes; None where nothing was said."""
    if not text:
        return None
    found = re.fullmatch(r"(\d{1,15}(?:\.\d{1,15})?) ?([KMGT](?:i?B)?)?", text.strip(), re.IGNORECASE)
    unit = (found[2] or "").upper().replace("I", "i") if found else ""
    if not found or unit not in UNITS:
        raise WeighbridgeError(f"--memory-limit takes a size such as 4G, 512MiB or 4000000000, not {text[:80]!r}")
    limit = int(float(found[1]) * UNITS[unit])
    if limit < LEAST_LIMIT:
        raise WeighbridgeError(f"--memory-limit {text} is below 64MiB, in which no worker starts; choose a larger one")
    return limit


def weigh(planned: Planned, options: Options, most: int, limit: int | None) -> Done:
    """Sweeps what is not done yet and writes the reports; they are written after an interrupt, too."""
    folder = folders.run_folder(options)
    every, planner = planners.every_size(planned.cells, most), planners.doubling(planned.cells, most)
    with writing(folder) as journal:
        folders.note(options, journal)
        before = folders.known(journal, planner, options, err)
        with Display(console.progress, done=sum(cell in before for cell in every), total=len(every)) as display:
            display.left_out(sum(planners.left_out(before[cell], most) for cell in every if cell in before))
            walk = runner.Run(job_of(planned, options, limit), journal, display)
            found = dict(before)
            try:
                for record in walk.follow(planner, before):
                    found[record.cell] = record
                    display.left_out(planners.left_out(record, most))
            finally:
                _report(folder, journal, planned.reference, most)
    return Done(folder=folder, records=[found[cell] for cell in planner(found)])


def job_of(planned: Planned, options: Options, limit: int | None) -> jobs.Job:
    """Return a job that leaves out what does not hang on the batch size: score, operations, doubts; parity it shows."""
    job = jobs.job(planned, options.time_limit_s, msgspec.structs.replace(options.effort, thorough=False))
    if limit is None and all(cell.device == "cpu" for cell in planned.cells):
        limit = environment.free_bytes()
    return msgspec.structs.replace(job, host_limit_bytes=limit)


def _report(folder: Path, journal: Path, reference: str, most: int) -> None:
    if journal.exists():
        rows = ratios.rows(load(journal), reference)
        write.write_reports(folder, Overview(rows, reference))
        write_whole(folder / "sweep.md", section.markdown(knee.curves(rows, most)).encode())


def summaries(curves: Sequence[Curve]) -> list[dict[str, object]]:
    """Return curves for `--json`."""
    return [
        {
            "cell": msgspec.structs.replace(each.first, batch_size=1),
            "items_per_s": {str(size): rate for size, rate in each.rates.items()},
            "knee": each.knee,
            "best": each.best,
            "ended_by": each.end,
            "reason": each.reason,
        }
        for each in curves
    ]


def _show(curves: Sequence[Curve]) -> None:
    for title, alike in groupby(curves, key=lambda each: section.title(each.first)):
        out.print(Text(title, style="bold cyan"))
        whole = [at for at, heading in enumerate(section.COLUMNS) if heading not in MAY_WRAP]
        print_table(section.COLUMNS, [line for each in alike for line in section.lines(each)], whole)
    for each in curves:
        out.print(Text(section.sentence(each)))
