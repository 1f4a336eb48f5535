"""What `--help` and `--version` say: the words above all commands, and an example below each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer
from rich.text import Text

from bench.cli import defaults
from bench.cli.console import out
from bench.measure.environment import git_commit, version

ABOUT = """Proves that a PyTorch model computes the same on other backends, and weighs what moving it gains and costs.

Start with `weighbridge doctor`, then `weighbridge run --tasks semantic-search --backends torch,flax`.
"""
CODES = (
    "Exit codes: 0 fine; 1 a cell failed or regressed, or one asked for by name could not run; 2 the request was "
    "wrong; 130 interrupted."
)
EXAMPLES = {
    "list": "weighbridge list --json",
    "doctor": "weighbridge doctor",
    "data": "weighbridge data fetch",
    "run": "weighbridge run --tasks semantic-search --backends torch,torch-compile,flax --effort standard",
    "report": "weighbridge report results/MACHINE/RUN --open",
    "calibrate": "weighbridge calibrate --tasks semantic-search",
    "peaks": "weighbridge peaks --precisions fp32,bf16",
    "compare": "weighbridge compare results/MACHINE/BEFORE results/MACHINE/AFTER --markdown",
    "history": "weighbridge history --machine MACHINE",
    "baseline": "weighbridge baseline set results/MACHINE/RUN",
    "load": "weighbridge load --tasks semantic-search --backends torch,flax --scenarios server",
    "churn": "weighbridge churn --tasks semantic-search --backends torch,torch-compile,flax",
    "sweep": "weighbridge sweep --tasks image-classification --backends torch,flax --most 256",
}
"""Of each command; a test reads them with the command's own parser."""


def app() -> typer.Typer:
    """The command line without commands."""
    found = typer.Typer(
        no_args_is_help=True, pretty_exceptions_enable=False, help=ABOUT, epilog=CODES,
        context_settings={"help_option_names": ["-h", "--help"]},
    )  # fmt: skip
    found.callback()(shared)
    return found


def _tell_version(asked: bool) -> None:
    if asked:
        out.print(Text(f"weighbridge {version('weighbridge') or git_commit()}"))
        raise typer.Exit


def shared(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", "-V", callback=_tell_version, is_eager=True, help="Print it and stop.")
    ] = False,
) -> None:
    """Options before any command, and defaults of the one that follows; the words of the help are `ABOUT`."""
    defaults.apply(context)


def show_examples(app: typer.Typer) -> None:
    """Put an example below the help of each command."""
    for command in app.registered_commands:
        command.epilog = _example([command.name or getattr(command.callback, "__name__", "")])
    for group in app.registered_groups:
        group.epilog = _example([group.name or ""])


def _example(names: Iterable[str]) -> str:
    return "\n\n".join(f"Example: {EXAMPLES[name]}" for name in names)
