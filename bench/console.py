"""What the files of the command line share: where they print, and the options that they have in common."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from bench.core import WeighbridgeError

out, err = Console(), Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
TIER_HELP = "quick, standard or strict: 1, 3 or 5 processes a cell."
Many = Annotated[str, typer.Option(help="Names, separated by commas.")]


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def words(text: str) -> list[str]:
    """`a, b` -> ["a", "b"]."""
    return [word.strip() for word in text.split(",") if word.strip()]


def sizes(text: str) -> list[int]:
    """`8, 16` -> [8, 16]; raises WeighbridgeError for anything else."""
    found = [int(word) if word.isdecimal() else 0 for word in words(text)]
    if any(size < 1 for size in found):
        raise WeighbridgeError(f"--batch-sizes takes whole numbers from 1, separated by commas, not {text!r}")
    return found
