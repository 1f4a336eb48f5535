"""Defaults of commands that weigh, from `[tool.weighbridge.<command>]` of ./pyproject.toml.

    [tool.weighbridge.run]
    tasks = ["semantic-search"]
    effort = "standard"

Keys are the command's options without dashes. What is typed goes before what stands there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import typer

from weighbridge.bench.cli.thresholds import SECTION, section
from weighbridge.bench.core.errors import WeighbridgeError, unknown

COMMANDS = ("run", "sweep", "load", "churn", "calibrate")


class Parameter(Protocol):
    """What is asked of a parameter of a command."""

    name: str | None
    opts: list[str]
    multiple: bool


def apply(context: typer.Context, pyproject: Path = Path("pyproject.toml")) -> None:
    """Gives the command that was typed its defaults; raises WeighbridgeError where the file says what it cannot."""
    name = context.invoked_subcommand
    if name not in COMMANDS:
        return
    found = section(pyproject).get(name, {})
    if not isinstance(found, dict):
        raise WeighbridgeError(f"{SECTION[:-1]}.{name}] of {pyproject} is no table")
    commands: Any = vars(context.command)["commands"]
    known = {_option(each): each for each in commands[name].params if _option(each) != "help"}
    for key in found:
        if key not in known:
            raise unknown(f"key of {SECTION[:-1]}.{name}]", str(key), known)
    context.default_map = {name: {str(known[key].name): _value(known[key], key, found[key]) for key in found}}


def _option(parameter: Parameter) -> str:
    return max(parameter.opts, key=len).lstrip("-")


def _value(parameter: Parameter, key: str, value: object) -> object:
    """A list as it would be typed: separated by commas, or the option again and again."""
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(each, str | int | float) for each in listed):
        raise WeighbridgeError(f"{key} in {SECTION[:-1]}.…] takes texts and numbers, not {str(value)[:80]!r}")
    if parameter.multiple:
        return [str(each) for each in listed]
    return ",".join(map(str, listed)) if isinstance(value, list) else value
