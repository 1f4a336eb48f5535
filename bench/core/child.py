"""Command lines of this program's own child processes.

A child must import this very package, and nothing of the folder that the user happens to stand in: a `random.py` there
would take the place of Python's own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

PACKAGE = __name__.partition(".")[0]
"""What every module of this program lies in: one name at the top of site-packages."""
ROOT = Path(__file__).absolute().parents[3].resolve()
"""The folder that holds `weighbridge`: `src/` of a clone, or site-packages."""


def command(*words: str) -> list[str]:
    """Return the command line of this interpreter, with the working directory off its module path."""
    return [sys.executable, "-P", *words]


@cache
def path_variables() -> dict[str, str]:
    """Return the environment by which a child finds this package; empty where every interpreter would find it."""
    if ROOT in site_folders(sys.path):
        return {}
    return {"PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])}


def site_folders(paths: Sequence[str]) -> set[Path]:
    """Return the folders among `paths` that hold installed distributions."""
    return {Path(path).resolve() for path in paths if Path(path).name in ("site-packages", "dist-packages")}
