"""The command that changes shapes: churn.

Exit codes: 0 fine; 1 a cell failed, or padding changed what it computes; 2 the request was wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from bench.cli import console
from bench.cli.console import Device, Json, Many, OutFolder, Preset, Resume, err, out, print_json, print_table, words
from bench.cli.progress import Display
from bench.core.effort import QUICK
from bench.core.errors import WeighbridgeError
from bench.measure import parity
from bench.report.sections import varying_shapes
from bench.run import cards, folders, jobs
from bench.run.registry import TASKS
from bench.run.varying_shapes import weigh
from bench.scenarios.varying_shapes.result import JOURNAL, Churned
from bench.storage import studies
from bench.storage.files import write_whole

STRATEGIES = 4
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
    batches: Annotated[int, typer.Option(help="How many batches the work has.", min=2)] = 40,
    passes: Annotated[int, typer.Option(help="How often the work will be done: compiling is paid once.", min=1)] = 100,
    time_limit: Annotated[float, typer.Option(help="Seconds a strategy may take.", min=0.001)] = 1800.0,
    out_folder: OutFolder = None,
    resume: Resume = False,
    json: Json = False,
) -> None:
    """The same work with its real lengths, padded by several strategies: what is compiled, lost, wasted; the best."""
    options = folders.Options(out=out_folder, resume=resume, time_limit_s=time_limit)
    options = folders.asked(options, JOURNAL, console.request(context), console.typed(context))
    asked = options.request or console.request(context)
    batches = asked.options["batches"]
    chosen = console.filters(asked, tasks=_tasks(words(asked.options["tasks"])), scenarios=("infer",))
    planned = jobs.prepare(SUITE, chosen)
    folder, every = weigh_showing_progress(planned, options, batches, passes)
    write_whole(folder / "churn.md", varying_shapes.markdown(every, passes).encode())
    trials = [trial for trial in every if trial.cell in planned.cells]
    print_json(trials) if json else show(trials, passes)
    err.print(Text(f"Wrote {folder}/ ({JOURNAL}, churn.md)"))
    if {trial.cell for trial in trials} != set(planned.cells) or not all(map(right, trials)):
        raise typer.Exit(1)


def right(trial: Churned) -> bool:
    """Whether it was measured, and padding changed nothing beyond the order of sums."""
    error = trial.passed.error if trial.passed else None
    return trial.status == "ok" and error is not None and error <= parity.TOLERANCE[trial.cell.precision]


def _tasks(names: list[str]) -> list[str]:
    names, able = cards.named(names, TASKS), [name for name, task in cards.tasks().items() if task.varies]
    for name in names:
        if cards.task(name).name not in able:
            raise WeighbridgeError(f"the examples of {name} all have one shape; choose {' or '.join(able)}")
    return names or able


def weigh_showing_progress(
    planned: jobs.Planned, options: folders.Options, batches: int, passes: int
) -> tuple[Path, list[Churned]]:
    """Does what is not done yet; returns the folder and every trial of its journal."""
    with folders.study_journal(options, JOURNAL, Churned, err) as (journal, known):
        _same_work(journal, known, batches)
        job = jobs.job(planned, options.time_limit_s, QUICK)
        done = sum(trial.cell in planned.cells for trial in known)
        total, how = STRATEGIES * len(planned.cells), f"add --resume --out {journal.parent}"
        with Display(err, done=done, total=total) as display, console.interruptible(how):
            for trial in weigh(job, journal, display, planned.cells, batches, passes, known):
                reason = f": {trial.reason}" if trial.reason else ""
                display.passed(f"{trial.cell}, {trial.strategy}  {trial.status}{reason}")
        return journal.parent, studies.load(journal, Churned)


def _same_work(journal: Path, known: list[Churned], batches: int) -> None:
    """Totals of other work are not compared with these."""
    for trial in known:
        if trial.passed and len(trial.passed.shapes) != batches:
            there = len(trial.passed.shapes)
            raise WeighbridgeError(
                f"{journal} holds work of {there} batches, not {batches}; add --batches {there} or choose another --out"
            )


def show(trials: list[Churned], passes: int) -> None:
    """A table a cell; text is shown as it is."""
    for cell, sentence, rows in varying_shapes.tables(trials, passes):
        out.print(Text(str(cell), style="bold"))
        out.print(Text(f"  {sentence}"))
        strategy = varying_shapes.NARROW.index("strategy")
        print_table(varying_shapes.NARROW, [varying_shapes.narrow(line) for line in rows], whole=[strategy])
        for line in varying_shapes.below([trial for trial in trials if trial.cell == cell]):
            out.print(Text(f"  {line}"))
