"""What there is to weigh: tasks by family, backends, scenarios with their settings, suites."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.text import Text

from weighbridge.bench.cli.console import out, print_rows, print_table
from weighbridge.bench.core.card import BackendCard, TaskCard
from weighbridge.bench.core.settings import names
from weighbridge.bench.run import cards, registry
from weighbridge.bench.scenarios import catalog

Rows = Sequence[Mapping[str, object]]


def listing(everything: bool = False) -> dict[str, list[dict[str, object]]]:
    """Return tasks, family by family, backends, scenarios and suites as rows."""
    backends = [each for each in cards.backends().values() if everything or not each.hidden]
    return {
        "tasks": [_task(each) for each in sorted(cards.tasks().values(), key=lambda task: (task.family, task.name))],
        "backends": [_backend(each) for each in backends],
        "scenarios": [
            {
                "scenario": each.name,
                "way": each.way,
                "settings (-S)": list(names(each.Settings)),
                "tasks": [task.name for task in cards.tasks().values() if each.fits(task)],
            }
            for each in catalog.scenarios().values()
        ],
        "suites": [{"suite": name, "about": registry.suite(name)["about"]} for name in registry.suite_names()],
    }


def _task(task: TaskCard) -> dict[str, object]:
    return {
        "task": task.name,
        "family": task.family,
        "ways": list(task.scenarios),
        "presets": list(task.models),
        "models": {preset: model.architecture for preset, model in task.models.items()},
        "metric": task.target.metric,
        "higher_is_better": task.target.higher_is_better,
        "target": task.target.value,
        "target_source": task.target.source,
        "baseline": task.baseline.value,
        "baseline_source": task.baseline.source,
        "data": task.source,
        "licence": task.licence,
    }


def _backend(backend: BackendCard) -> dict[str, object]:
    problem = backend.problem or cards.not_installed(backend)
    return {
        "backend": backend.name,
        "available": problem is None,
        "devices": list(backend.devices),
        "ways": list(backend.scenarios),
        "precisions": list(backend.precisions),
        "options (-O)": list(backend.options),
        "formats (--format)": list(backend.formats),
        "why_not": problem or "",
    }


def show(found: Mapping[str, Rows]) -> None:
    """Print a listing: the tasks of a family under its name, then where their data are from, then the rest."""
    for family, rows in groupby(found["tasks"], key=lambda row: row["family"]):
        _show_tasks(str(family), list(rows))
    _show_the_rest(found)


def _show_tasks(family: str, rows: Rows) -> None:
    headings = ("task", "metric", "baseline", "target", "ways", "presets")
    out.print(Text(family, style="bold"))
    print_table(headings, [[row[name] for name in headings] for row in rows], whole=range(4))
    for row in rows:
        out.print(Text(f"  {row['task']}: {row['data']}; {row['licence']}"), soft_wrap=True)
    out.print()


def _show_the_rest(found: Mapping[str, Rows]) -> None:
    """Scenarios that fit every task say so: a dozen names, ten times over, hide the ones that differ."""
    tasks = [row["task"] for row in found["tasks"]]
    fitting = [{**row, "tasks": _few(row["tasks"], tasks)} for row in found["scenarios"]]
    _show_backends(found["backends"])
    for rows in (fitting, found["suites"]):
        print_rows(rows)
        out.print()


def _show_backends(rows: Rows) -> None:
    """What each offers, then which are not available here, and why."""
    shown = {"backend": "backend", "devices": "devices", "precisions": "precisions", "options (-O)": "-O"}
    print_table([*shown.values()], [[row[name] for name in shown] for row in rows], whole=range(3))
    for row in rows:
        if row["why_not"]:
            out.print(Text(f"  {row['backend']} is not available: {row['why_not']}"), soft_wrap=True)
    out.print()


def _few(fitting: object, tasks: Sequence[object]) -> object:
    return "all" if isinstance(fitting, list) and len(fitting) == len(tasks) else fitting  # pyright: ignore[reportUnknownArgumentType]
