"""What `--help` and `--version` say: the words above all commands, and an example below each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import msgspec
import typer
from rich.text import Text

from weighbridge.bench.cli import defaults
from weighbridge.bench.cli.console import out
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.measure.environment import git_commit, version
from weighbridge.bench.run import jobs

ABOUT = """Proves that a PyTorch model computes the same on other backends, and weighs what moving it gains and costs.

Start with `weighbridge doctor`, then `weighbridge run --tasks {task} --backends {backends}`.
"""
CODES = (
    "Exit codes: 0 fine; 1 a cell failed or regressed, or one asked for by name could not run; 2 the request was "
    "wrong; 130 interrupted."
)
EXAMPLES = {
    "list": "list --json",
    "doctor": "doctor",
    "data": "data fetch",
    "run": "run --tasks {task} --backends {backends} --effort standard",
    "parity": "parity {task} --backends {backends}",
    "export": "export {task} --format safetensors",
    "report": "report results/MACHINE/RUN --open",
    "calibrate": "calibrate --tasks {task}",
    "peaks": "peaks --precisions fp32,bf16",
    "compare": "compare results/MACHINE/BEFORE results/MACHINE/AFTER --markdown",
    "history": "history --machine MACHINE",
    "baseline": "baseline set results/MACHINE/RUN",
    "load": "load --tasks {task} --backends {backends} --scenarios server",
    "churn": "churn --tasks {varying} --backends {backends}",
    "sweep": "sweep --tasks {task} --backends {backends} --most 256",
}
"""Of each command, by its name; a test reads them with the command's own parser. Names come from the suites."""
QUICK, VARYING = "quick", "varying-shapes"


def filled(text: str) -> str:
    """A text with names that can be typed: the last task of a suite's first cells, and their backends."""
    try:
        first, varying = _first(QUICK), _first(VARYING)
    except WeighbridgeError:  # a suite that somebody edited must not end a command that does not ask for it
        first = varying = {"tasks": ["TASK"], "backends": ["BACKEND"]}
    return text.format(task=first["tasks"][-1], backends=",".join(first["backends"]), varying=varying["tasks"][-1])


def _first(suite: str) -> Any:
    return msgspec.to_builtins(jobs.suite_of(suite).cells[0])


def app() -> typer.Typer:
    """The command line without commands."""
    found = typer.Typer(
        no_args_is_help=True, pretty_exceptions_enable=False, help=filled(ABOUT), epilog=CODES,
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
    return "\n\n".join(f"Example: weighbridge {filled(EXAMPLES[name])}" for name in names)
