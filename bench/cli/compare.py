"""The commands that hold a run against others: compare, baseline, history.

Exit codes: 0 no regression; 1 a regression; 2 the request was wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.text import Text

from weighbridge.bench.analysis import gate, history, runs, summary
from weighbridge.bench.cli.console import Json, err, out, print_json, print_table
from weighbridge.bench.cli.thresholds import thresholds
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.measure import environment
from weighbridge.bench.report import changes
from weighbridge.bench.report.units import number, seconds, size
from weighbridge.bench.storage import baseline
from weighbridge.bench.storage.journals import existing

MOST_ROWS = 40
COLOURS = {"REGRESSION": "red", "MISSING": "yellow", "INCOMPARABLE": "yellow", "IMPROVED": "green"}
baseline_app = typer.Typer(no_args_is_help=True, help="The run that later runs of a machine are held against.")
Share = Annotated[str | None, typer.Option(metavar="SHARE", help="5% or 0.05; default from pyproject.toml, else ours.")]
Machine = Annotated[str, typer.Option(help="Default: this machine.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.command("compare")(compare_command)
    app.command("history")(history_command)
    app.add_typer(baseline_app, name="baseline")


def compare_command(
    journals: Annotated[list[Path], typer.Argument(metavar="[BEFORE] AFTER", help="BEFORE: by default the baseline.")],
    speed: Share = None,
    memory: Share = None,
    score: Share = None,
    require_all: Annotated[bool, typer.Option("--require-all", help="Fail where a cell is missing, too.")] = False,
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown for a pull request.")] = False,
) -> None:
    """What got slower, fatter or wrong in AFTER. Exit code 1 where something did, and only then."""
    if len(journals) > 2:
        raise WeighbridgeError("compare takes one run (against the baseline) or two: BEFORE AFTER")
    given = {"speed": speed, "memory": memory, "score": score, "require-all": require_all or None}
    chosen = thresholds(given)
    before = existing(journals[0]) if len(journals) == 2 else baseline.found()
    after = existing(journals[-1])
    with summary.no_collection():
        outcome = gate.judge(*summary.read_both(before, after), chosen, reference_of(after))
        show(outcome, json, markdown)
    if outcome.failed:
        raise typer.Exit(1)


def reference_of(journal: Path) -> str:
    """The backend that cells took turns with; empty where nobody here knows one of the journal's as a reference."""
    try:
        return runs.reference_of(journal)
    except WeighbridgeError:
        return ""


def show(outcome: gate.Outcome, json: bool, markdown: bool) -> None:
    """Print the outcome in the form that was asked for."""
    if json:
        return print_json(changes.as_json(outcome))
    if markdown:
        sys.stdout.write(changes.markdown(outcome))
        return None
    rows, more = changes.shown(outcome, MOST_ROWS)
    if rows:
        print_table(changes.HEADINGS, rows, style=lambda row: COLOURS.get(str(row[0]), ""))
    if more:
        out.print(f"… and {more:,} more (--json has all)")
    if told := changes.told_upgrades(outcome):
        out.print(Text(told), soft_wrap=True)
    for text in outcome.warnings:
        out.print(Text(f"! {text}", style="yellow"))
    return out.print(Text(changes.headline(outcome), style="red" if outcome.failed else ""))


@baseline_app.command("set")
def baseline_set(run: Path, machine: Machine = "") -> None:
    """Makes RUN the baseline, in the place of the one before."""
    file, records = baseline.keep(run, machine)
    ok = sum(record.status == "ok" for record in records)
    err.print(Text(f"Wrote {file} ({ok} of {len(records)} cells ok); commit it"), soft_wrap=True)


@baseline_app.command("show")
def baseline_show(machine: Machine = "", json: Json = False) -> None:
    """The cells of the baseline: when and how they were measured, and what they weighed."""
    cells = summary.read(baseline.found(machine)).cells
    if json:
        return print_json([{"id": cell.id, "cell": str(cell), **msgspec.to_builtins(cells[cell])} for cell in cells])
    rows = [
        [
            str(cell),
            each.status,
            seconds(each.step_s),
            size(each.host_peak_bytes),
            f"{each.metric} {number(each.score, digits=4)}" if each.metric else "–",
            each.started[:16],
        ]
        for cell, each in cells.items()
    ]
    return print_table(("cell", "status", "step", "host peak", "score", "measured"), rows)


def history_command(
    machine: Machine = "",
    results: Annotated[Path, typer.Option(help="The folder of all results.")] = Path("results"),
    json: Json = False,
) -> None:
    """Each cell over all runs of a machine, and the runs from which it was slower or faster."""
    with summary.no_collection():
        found = history.of(results, machine or environment.machine_name())
    if json:
        return print_json(found)
    rows = [
        [
            str(series.cell),
            str(len(series.runs)),
            seconds(series.step_s[0]),
            seconds(series.step_s[-1]),
            "; ".join(map(history.words, series.steps)) or series.note,
        ]
        for series in found
    ]
    return print_table(("cell", "runs", "first", "last", "steps"), rows)
